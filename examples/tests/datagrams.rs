//! The datagram examples with foreign peers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::needs::loopbacks;
use crate::program::{PATIENCE, Program};
use crate::sockets::{shared_udp_port, uninterrupted};

fn client(server: &str) -> UdpSocket {
    let any = if server.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
    let client = UdpSocket::bind(any).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(server).unwrap();
    client
}

#[test]
fn udp_echo_serves_until_sigterm() {
    for listen in loopbacks() {
        let echo = Program::example("udp_echo", &["--listen", listen]);
        let address = echo.address();
        let (first, second) = (client(&address), client(&address));
        for size in [0, 1, 1400, 60_000] {
            first.send(&vec![1; size]).unwrap();
            second.send(&vec![2; size]).unwrap();
            let mut buffer = vec![0; 65_536];
            assert_eq!(uninterrupted(|| first.recv(&mut buffer)).unwrap(), size);
            assert!(buffer[..size].iter().all(|byte| *byte == 1));
            assert_eq!(uninterrupted(|| second.recv(&mut buffer)).unwrap(), size);
            assert!(buffer[..size].iter().all(|byte| *byte == 2));
        }
        echo.signal(Signal::TERM);
        let ending = echo.end();
        assert_eq!((ending.code, ending.errors), (Some(0), String::new()));
    }
}

#[test]
fn udp_echo_outlives_clients_that_go_without_reading() {
    let echo = Program::example("udp_echo", &["--listen", "127.0.0.1:0"]);
    let address = echo.address();
    for _ in 0..50 {
        let gone = client(&address);
        for _ in 0..20 {
            gone.send(b"never read").unwrap();
        }
    }
    // What was sent may have filled the server's buffer: then this is lost, and sent again.
    let client = client(&address);
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let answered = || {
        client.send(b"still there?").unwrap();
        client.recv(&mut [0; 100]).is_ok_and(|len| len == 12)
    };
    while !answered() {
        assert!(Instant::now() < deadline, "no answer");
    }
    echo.signal(Signal::INT);
    assert_eq!(echo.end().code, Some(0));
}

#[test]
fn udp_echo_says_in_one_line_why_it_cannot_serve() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, code) in [(&*address, 1), ("nonsense", 2)] {
        let ending = Program::example("udp_echo", &["--listen", listen]).end();
        assert_eq!(ending.code, Some(code));
        assert_eq!(ending.errors.lines().count(), 1, "{}", ending.errors);
    }
    let ending = Program::example("udp_echo", &[]).end();
    assert_eq!((ending.code, ending.errors.lines().count()), (Some(2), 1));
}

#[test]
fn udp_echo_serves_pythons_sockets() {
    let echo = Program::example("udp_echo", &["--listen", "127.0.0.1:0"]);
    let address = echo.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    let script = "
import socket, sys
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.settimeout(10)
peer.connect((sys.argv[1], int(sys.argv[2])))
for size in (0, 1, 1472, 65507):
    peer.send(bytes([size % 251]) * size)
    assert peer.recv(70000) == bytes([size % 251]) * size
print('all came back')
";
    let Some(python) = Program::foreign("python3", &["-c", script, host, port]) else { return };
    let ending = python.end();
    assert_eq!((ending.code, ending.output), (Some(0), vec!["all came back".to_owned()]));
}

#[test]
fn multicast_discovery_finds_and_loses_peers_and_ends_by_itself() {
    // A port of its own, so that tests that run at the same time do not meet.
    let (_held, port) = shared_udp_port().unwrap();
    let group = format!("239.255.43.22:{port}");
    let peer = |name: &str, seconds: &str| {
        let arguments = ["--name", name, "--group", &*group, "--for", seconds];
        let program = Program::example("multicast_discovery", &arguments);
        assert_eq!(program.line(), format!("announcing to {group}"));
        program
    };
    let first = peer("kitchen", "30");
    let second = peer("cellar", "1");
    assert!(first.line().starts_with("found cellar at "));
    assert!(second.line().starts_with("found kitchen at "));
    let ending = second.end();
    assert_eq!((ending.code, ending.errors), (Some(0), String::new()));
    assert_eq!(first.line(), "lost cellar");
    first.signal(Signal::TERM);
    assert_eq!(first.end().code, Some(0));
}

#[test]
fn multicast_discovery_refuses_what_is_no_group() {
    let arguments = ["--group", "127.0.0.1:4321", "--for", "1"];
    let ending = Program::example("multicast_discovery", &arguments).end();
    assert_eq!(ending.code, Some(2));
    let ending = Program::example("multicast_discovery", &["--name", ""]).end();
    assert_eq!((ending.code, ending.errors.lines().count()), (Some(2), 1));
}

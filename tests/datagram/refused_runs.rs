//! Runs of datagrams that the kernel refuses to cut up: each is then sent by itself.
#![cfg(feature = "udp-batch")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use wharf::testing::settle;
use wharf::{DatagramTransport, Endpoint, EventLoop};

use crate::datagram_probe::{Event, Log, Probe};
use crate::needs::{self, loopbacks};
use crate::network::{in_network_of_its_own, ip};
use crate::running::rest;
use crate::sockets::uninterrupted;

fn peer(ip: IpAddr) -> UdpSocket {
    let peer = UdpSocket::bind((ip, 0)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer
}

/// Sends runs of datagrams of this size, and sees that all arrive without an error.
fn send_runs(
    event_loop: &EventLoop,
    endpoint: &Endpoint<Probe>,
    log: &Log,
    to: &UdpSocket,
    size: usize,
) {
    let before = endpoint.handle().statistics().sent;
    for round in 0..3_u8 {
        endpoint
            .with(|_, transport| {
                for number in 0..5 {
                    transport.send(&vec![round * 5 + number; size]).unwrap();
                }
                transport.send(b"of another size").unwrap();
            })
            .unwrap();
        settle(event_loop).unwrap();
        let mut buffer = [0; 65_536];
        for number in 0..5 {
            assert_eq!(uninterrupted(|| to.recv(&mut buffer)).unwrap(), size);
            assert!(buffer[..size].iter().all(|byte| *byte == round * 5 + number));
        }
        assert_eq!(uninterrupted(|| to.recv(&mut buffer)).unwrap(), 15);
    }
    rest(event_loop);
    assert_eq!(log.events(), [Event::Made]);
    let statistics = endpoint.handle().statistics();
    let counts = (statistics.sent - before, statistics.send_errors, statistics.errors_received);
    assert_eq!(counts, (18, 0, 0));
}

/// A socket without checksums (`SO_NO_CHECK`, which no safe library sets) refuses every run.
#[test]
fn socket_without_checksums_sends_each_datagram_by_itself() {
    let event_loop = EventLoop::new().unwrap();
    let peer = peer(Ipv4Addr::LOCALHOST.into());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let script = "
import socket
socket.socket(fileno=0).setsockopt(socket.SOL_SOCKET, 11, 1)
";
    if !needs::program("python3") {
        return;
    }
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap())))
        .status();
    assert!(python.unwrap().success());
    let log = Log::default();
    let probe = Probe::new(&log);
    let builder = event_loop.create_datagram_endpoint(|| probe).socket(socket);
    let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
    send_runs(&event_loop, &endpoint, &log, &peer, 100);
}

/// A run's datagrams must fit the path, whereas the kernel breaks up single ones.
#[test]
fn datagrams_longer_than_the_path_takes_at_once_are_sent_by_themselves() {
    let name = "refused_runs::datagrams_longer_than_the_path_takes_at_once_are_sent_by_themselves";
    in_network_of_its_own(name, || {
        ip("link set lo mtu 1500");
        let event_loop = EventLoop::new().unwrap();
        for own in loopbacks() {
            let own: SocketAddr = own.parse().unwrap();
            let peer = peer(own.ip());
            let log = Log::default();
            let probe = Probe::new(&log);
            let builder = event_loop.create_datagram_endpoint(|| probe);
            let builder = builder.local_address(own).peer_address(peer.local_addr().unwrap());
            let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
            for size in [1000, 2000, 1400, 9000] {
                send_runs(&event_loop, &endpoint, &log, &peer, size);
            }
        }
    });
}

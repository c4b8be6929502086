//! The `tcp_proxy` example between real peers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::needs::{self, netcat_that_ends};
use crate::program::{PATIENCE, Program};
use crate::serving::{Directory, refusing_address};
use crate::sockets::uninterrupted;

/// A proxy to `upstream`, and where it listens.
fn proxy(upstream: &str, options: &[&str]) -> (Program, String) {
    let always = ["--listen", "127.0.0.1:0", "--connect", upstream];
    let proxy = Program::example("tcp_proxy", &[&always, options].concat());
    let address = proxy.address();
    (proxy, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Serves each connection with `serve`, on threads of its own; gives the address.
fn upstream(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = uninterrupted(|| stream.read(&mut buffer)) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|position| (position.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

/// Ends a proxy; what it said on standard error.
fn end(proxy: Program) -> String {
    proxy.signal(Signal::TERM);
    let ending = proxy.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    ending.errors
}

#[test]
fn a_proxy_passes_on_what_curl_and_pythons_http_server_say() {
    let directory = Directory::new();
    let data = pattern(5_000_000);
    std::fs::write(directory.join("file"), &data).unwrap();
    let place = directory.join("").display().to_string();
    let arguments = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", &place];
    if !needs::program("curl") {
        return;
    }
    let Some(http) = Program::foreign("python3", &arguments) else { return };
    let line = http.line();
    let port = line.split(' ').skip_while(|word| *word != "port").nth(1).expect(&line);
    let (proxy, address) = proxy(&format!("127.0.0.1:{port}"), &[]);
    for round in 0..3 {
        let fetched = directory.join(format!("fetched-{round}"));
        let url = format!("http://{address}/file");
        let mut curl = Command::new("curl");
        let curl = curl.args(["-s", "-m", "15", "-o"]).arg(&fetched).arg(url);
        let status = curl.status().unwrap();
        assert!(status.success(), "{status}");
        assert!(std::fs::read(&fetched).unwrap() == data);
    }
    let said = end(proxy);
    assert!(said.contains(" of 3 so far"), "{said}");
}

#[test]
fn a_client_whose_upstream_refuses_is_closed_and_one_line_says_so() {
    let (_bound, nobody) = refusing_address().unwrap();
    let nobody = nobody.to_string();
    let (proxy, address) = proxy(&nobody, &[]);
    let mut client = connect(&address);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    let said = end(proxy);
    let about: Vec<&str> = said.lines().filter(|line| line.contains(&nobody)).collect();
    assert_eq!(about.len(), 1, "{said}");
    assert!(about[0].contains("refused"), "{said}");
}

#[test]
fn a_half_close_of_netcat_passes_through() {
    if !netcat_that_ends() {
        return;
    }
    let server = upstream(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(format!("{} bytes\n", received.len()).as_bytes()).unwrap();
    });
    let (proxy, address) = proxy(&server, &[]);
    let (host, port) = address.split_once(':').unwrap();
    let Some(mut nc) = Program::foreign("nc", &["-N", host, port]) else { return };
    nc.types(&"x".repeat(100_000));
    nc.types_no_more();
    let ending = nc.end();
    assert_eq!((ending.code, &*ending.output), (Some(0), &["100000 bytes".to_owned()][..]));
    let said = end(proxy);
    assert!(said.contains("100000 bytes up, 13 bytes down"), "{said}");
}

#[test]
fn socat_gets_everything_back_through_a_proxy() {
    let (proxy, address) = proxy(&upstream(echo), &[]);
    let to = format!("TCP4:{address}");
    let Some(mut socat) = Program::foreign("socat", &["-t", "10", "-", &to]) else { return };
    let line = "y".repeat(999);
    for _ in 0..1000 {
        socat.types(&line);
        socat.types("\n");
    }
    socat.types_no_more();
    let ending = socat.end();
    assert_eq!(ending.code, Some(0));
    assert_eq!(ending.output.len(), 1000);
    assert!(ending.output.iter().all(|back| *back == line));
    end(proxy);
}

/// Much, both ways at once, so that the kernel moves it.
#[test]
fn a_proxy_moves_much_both_ways_at_once() {
    let (proxy, address) = proxy(&upstream(echo), &[]);
    let clients = (0..3).map(|_| {
        let address = address.clone();
        thread::spawn(move || {
            let data = pattern(20_000_000);
            let mut client = connect(&address);
            let (mut writer, written) = (client.try_clone().unwrap(), data.clone());
            let writer = thread::spawn(move || {
                writer.write_all(&written).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            writer.join().unwrap();
            assert!(back == data);
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
    let said = end(proxy);
    assert!(said.contains("60000000 bytes up, 60000000 bytes down"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn many_connections_leave_no_descriptor() {
    let (proxy, address) = proxy(&upstream(echo), &["--connections", "150"]);
    let mut first = connect(&address);
    first.write_all(b"x").unwrap();
    first.read_exact(&mut [0]).unwrap();
    let before = proxy.descriptors();
    for round in 0..3 {
        let mut clients: Vec<_> = (0..140).map(|_| connect(&address)).collect();
        let message = pattern(if round == 1 { 300_000 } else { 100 });
        for client in &mut clients {
            client.write_all(&message[..100]).unwrap();
        }
        for (place, client) in clients.iter_mut().enumerate() {
            let mut back = vec![0; 100];
            client.read_exact(&mut back).unwrap();
            assert!(back == message[..100]);
            if place % 3 == 0 {
                // Gone in the middle of something.
                client.write_all(&message).unwrap();
            }
        }
    }
    let limit = Instant::now() + PATIENCE;
    while proxy.descriptors() > before {
        assert!(Instant::now() < limit, "{} of {before} descriptors", proxy.descriptors());
        thread::sleep(Duration::from_millis(5));
    }
    drop(first);
    end(proxy);
}

#[test]
fn an_upstream_that_is_killed_in_the_middle_ends_its_clients() {
    const SERVER: &str = "
import socket
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
client, _ = server.accept()
while True:
    client.sendall(b'0123456789abcdef' * 4096)
";
    let Some(server) = Program::foreign("python3", &["-c", SERVER]) else { return };
    let (proxy, address) = proxy(&format!("127.0.0.1:{}", server.line()), &[]);
    let mut client = connect(&address);
    let mut received = vec![0; 1_000_000];
    client.read_exact(&mut received).unwrap();
    // Killed, and waited for.
    drop(server);
    client.read_to_end(&mut received).unwrap();
    let whole = b"0123456789abcdef".iter().cycle();
    assert!(received.iter().eq(whole.take(received.len())));
    // The upstream's end was passed on, which leaves the client's side open.
    drop(client);
    let said = end(proxy);
    assert!(said.contains(" of 1 so far"), "{said}");
}

#[test]
fn a_proxy_reads_no_faster_than_it_is_told() {
    let (proxy, address) = proxy(&upstream(echo), &["--read-limit", "200000"]);
    let began = Instant::now();
    let mut client = connect(&address);
    client.write_all(&pattern(100_000)).unwrap();
    let mut back = vec![0; 100_000];
    client.read_exact(&mut back).unwrap();
    assert!(back == pattern(100_000));
    // All but the burst at 200,000 bytes a second.
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    drop(client);
    end(proxy);
}

#[test]
fn a_signal_lets_a_relay_come_to_its_end() {
    let (proxy, address) = proxy(&upstream(echo), &["--statistics", "1"]);
    let mut client = connect(&address);
    let mut exchange = |text: &[u8]| {
        client.write_all(text).unwrap();
        let mut back = vec![0; text.len()];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, text);
    };
    exchange(b"before");
    proxy.signal(Signal::TERM);
    while TcpStream::connect(&*address).is_ok() {}
    exchange(b"and after");
    drop(client);
    let ending = proxy.end();
    assert_eq!(ending.code, Some(0));
    let last = ending.errors.lines().last().unwrap_or_default();
    assert!(last.ends_with("15 bytes up, 15 bytes down"), "{last}");
}

#[test]
fn what_a_proxy_is_told_wrongly_is_named() {
    for (arguments, expected) in [
        (&["--listen", ":0"][..], "--connect ADDRESS is missing"),
        (&["--listen", ":0", "--connect", "a:1", "--read-limit", "much"], "much"),
        (&["--listn", ":0"], "--listn"),
    ] {
        let ending = Program::example("tcp_proxy", arguments).end();
        assert_eq!(ending.code, Some(2));
        assert!(ending.errors.contains(expected), "{}", ending.errors);
        assert_eq!(ending.errors.lines().count(), 1, "{}", ending.errors);
    }
}

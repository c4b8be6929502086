use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::*;

/// A server that runs `serve` for each of `connections` connections, each on its own thread.
fn server(connections: usize, serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let stream = stream.unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1000];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Reads until the client closes; closing with unread input would reset the connection.
fn discard(mut stream: TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

fn load(server: SocketAddr) -> Echo {
    Echo {
        server,
        connections: 3,
        size: 700,
        in_flight: 4,
        messages: 100,
        warm_up: 10,
        tls: false,
        timed: false,
    }
}

#[test]
fn echo_load_gets_every_message_back() {
    let result = load(server(3, echo)).run(&mut Control::uncontrolled()).unwrap();
    assert!(result.starts_with("messages=100 seconds="), "{result}");
}

#[test]
fn echo_load_copes_with_messages_larger_than_the_socket_takes() {
    let load =
        Echo { size: 3_000_000, in_flight: 2, messages: 4, warm_up: 3, ..load(server(3, echo)) };
    load.run(&mut Control::uncontrolled()).unwrap();
}

#[test]
fn echo_load_notices_a_changed_byte() {
    let address = server(3, |mut stream| {
        let mut buffer = [0; 700];
        stream.read_exact(&mut buffer).unwrap();
        buffer[699] ^= 1;
        let _ = stream.write_all(&buffer);
        discard(stream);
    });
    let error = load(address).run(&mut Control::uncontrolled()).unwrap_err();
    assert_eq!(error.to_string(), "the server changed what it echoed");
}

#[test]
fn echo_load_notices_a_byte_too_many() {
    let address = server(3, |mut stream| {
        let _ = stream.write_all(&[0; 2801]);
        discard(stream);
    });
    let error = load(address).run(&mut Control::uncontrolled()).unwrap_err();
    assert_eq!(error.to_string(), "the server sent more than it received");
}

#[test]
fn echo_load_notices_a_server_that_closes() {
    let address = server(3, |mut stream| {
        let _ = stream.read_exact(&mut [0; 2800]);
    });
    let load = Echo { connections: 1, messages: 0, ..load(address) };
    let error = load.run(&mut Control::uncontrolled()).unwrap_err();
    assert_eq!(error.to_string(), "the server closed a connection");
}

#[test]
fn churn_load_visits_as_often_as_asked() {
    let server = server(25, echo);
    let (tls, resume) = (false, false);
    let load = Churn { server, concurrent: 4, connections: 20, size: 64, warm_up: 5, tls, resume };
    let result = load.run(&mut Control::uncontrolled()).unwrap();
    assert!(result.starts_with("connections=20 resumed=0 seconds="), "{result}");
}

#[test]
fn idle_and_latency_loads_use_their_connections() {
    let idle = Idle {
        server: server(5, echo),
        connections: 5,
        first: 2,
        size: 64,
        tls: false,
        speech: Speech::Bytes,
    };
    assert_eq!(idle.run(&mut Control::uncontrolled()).unwrap(), "connections=5");
    let latency = Latency { server: server(1, echo), messages: 50, size: 64, warm_up: 5 };
    let result = latency.run(&mut Control::uncontrolled()).unwrap();
    assert!(result.starts_with("messages=50 p50="), "{result}");
}

#[test]
fn timed_round_trips_are_all_reported() {
    let load = Echo { in_flight: 1, timed: true, ..load(server(3, echo)) };
    let line = load.run(&mut Control::uncontrolled()).unwrap();
    let value = |name: &str| {
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        let found = pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        found.unwrap().parse::<f64>().unwrap()
    };
    assert!(value("p50") > 0.0);
    assert!(value("p50") <= value("p99") && value("p99") <= value("p999"));
}

//! Sockets that others share, who can make them blocking ones at any time: nothing waits for them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use wharf::{Buffered, EventLoop, Protocol, Splicing, Transport, TransportHandle, relay};

use crate::files::file_with;
use crate::probe::{Log, Probe};
use crate::running::{rest, run_until};

/// Two ends of a TCP connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    (peer, listener.accept().unwrap().0)
}

/// Adopts one end, and has somebody else make it a blocking socket.
fn adopted<P: Protocol>(event_loop: &EventLoop, protocol: P) -> (TcpStream, TransportHandle) {
    let (peer, near) = connected();
    let other = near.try_clone().unwrap();
    let adopting = event_loop.connect_accepted_socket(|| protocol, near).start();
    let handle = event_loop.run_until_complete(adopting).unwrap().unwrap().into();
    other.set_nonblocking(false).unwrap();
    (peer, handle)
}

#[test]
fn a_shared_socket_that_others_make_blocking_is_read_and_written_without_waiting() {
    for buffered in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::new();
        let echo = Probe::new(&log).buffer_of(100).echoing();
        let (mut peer, _) = match buffered {
            true => adopted(&event_loop, Buffered(echo)),
            false => adopted(&event_loop, echo),
        };
        for round in 1..=3 {
            peer.write_all(b"hello").unwrap();
            run_until(&event_loop, "the message", || log.received_len() == 5 * round);
            peer.read_exact(&mut [0; 5]).unwrap();
        }
        // More than fits on the way.
        log.handle().write(&[7; 20_000_000]);
        rest(&event_loop);
        assert!(log.handle().write_buffer_size() > 0);
        log.handle().abort();
        run_until(&event_loop, "the end", || log.is_lost());
    }
}

#[test]
fn a_file_goes_to_a_shared_socket_that_others_make_blocking_without_waiting() {
    const LEN: usize = 20_000_000;
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let (mut peer, handle) = adopted(&event_loop, Probe::new(&log));
    let sending = handle.send_file(file_with(&vec![7; LEN]), 0, None);
    rest(&event_loop);
    assert!(!sending.is_done(), "the peer has not read it");
    peer.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 100_000];
    let mut received = 0;
    run_until(&event_loop, "the file", || {
        while let Ok(count @ 1..) = peer.read(&mut buffer) {
            received += count;
        }
        received == LEN
    });
    assert_eq!(event_loop.run_until_complete(sending).unwrap().unwrap(), LEN as u64);
}

#[test]
fn a_relay_of_shared_sockets_that_others_make_blocking_does_not_wait() {
    for splicing in [Splicing::Never, Splicing::Automatic, Splicing::Always] {
        let event_loop = EventLoop::new().unwrap();
        let (near, far) = (Log::new(), Log::new());
        let (mut client, a) = adopted(&event_loop, Probe::new(&near).not_reading());
        let (mut server, b) = adopted(&event_loop, Probe::new(&far).not_reading());
        let builder = relay(&a, &b).splicing(splicing);
        let statistics = builder.statistics();
        let outcome = builder.start();
        for round in 1..=3 {
            client.write_all(&[7; 60_000]).unwrap();
            run_until(&event_loop, "the bytes", || statistics.a_to_b() == 60_000 * round);
            server.read_exact(&mut [0; 60_000]).unwrap();
        }
        drop((client, server));
        event_loop.run_until_complete(outcome).unwrap().unwrap();
    }
}

//! Peers that go on talking while a relay comes to its end.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use wharf::{EventLoop, RelayEnd, Splicing, Transport, relay};

use super::stage::{Waiting, pattern};
use crate::running::{PATIENCE, run_until};
use crate::sockets::uninterrupted;

const MUCH: usize = 2_000_000;

/// An upstream answers and is gone; the client reads slowly, and says something with each read. What
/// it says is a reset for the connection to the upstream, and must not be one for its own.
#[test]
fn a_client_that_talks_gets_the_whole_answer_of_an_upstream_that_is_gone() {
    for splicing in [Splicing::Always, Splicing::Never] {
        let event_loop = EventLoop::new().unwrap();
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let (up, to) = (upstream.local_addr().unwrap(), front.local_addr().unwrap());
        let answering = thread::spawn(move || {
            let (mut socket, peer) = upstream.accept().unwrap();
            socket.read_exact(&mut [0; 3]).unwrap();
            socket.write_all(&pattern(MUCH)).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            // What the client says is not read here: closing resets, which takes what is unsent.
            wait_until_acknowledged(up, peer);
        });
        let client = thread::spawn(move || {
            let mut socket = TcpStream::connect(to).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(b"ask").unwrap();
            let (mut received, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
            while let Ok(count @ 1..) = uninterrupted(|| socket.read(&mut buffer)) {
                received.extend_from_slice(&buffer[..count]);
                // It may be told by a broken pipe that nobody listens.
                let _ = socket.write_all(b".");
            }
            received
        });
        let accepted = front.accept().unwrap().0;
        let near = event_loop.connect_accepted_socket(|| Waiting, accepted).start();
        let near = event_loop.run_until_complete(near).unwrap().unwrap();
        let far = event_loop.create_connection(|| Waiting, up).start();
        let far = event_loop.run_until_complete(far).unwrap().unwrap();
        let outcome = relay(&near, &far).splicing(splicing).start();
        run_until(&event_loop, "the end of the relay", || outcome.is_done());
        let outcome = outcome.take_result().unwrap().unwrap();
        assert!(
            matches!(outcome.end, RelayEnd::Finished | RelayEnd::Failed(..)),
            "{splicing:?}: {outcome:?}"
        );
        let finished = || event_loop.statistics().connections_open == 0 && client.is_finished();
        run_until(&event_loop, "the client", finished);
        answering.join().unwrap();
        let received = client.join().unwrap();
        assert!(received == pattern(MUCH), "{splicing:?}: {} bytes", received.len());
    }
}

/// The system's table of sockets says how much of a socket's output the peer has not acknowledged.
fn wait_until_acknowledged(local: SocketAddr, peer: SocketAddr) {
    let [own, peer] = [local, peer].map(|address| format!(":{:04X}", address.port()));
    let unacknowledged = || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [.., local, remote, _, queues] = columns[..5] else { return false };
            local.ends_with(&own) && remote.ends_with(&peer) && !queues.starts_with("00000000:")
        })
    };
    while unacknowledged() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The relay is over, and both its connections are closed, before the client reads anything.
#[test]
fn a_client_that_reads_only_after_the_relay_is_over_gets_the_whole_answer() {
    for splicing in [Splicing::Always, Splicing::Never] {
        let event_loop = EventLoop::new().unwrap();
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(front.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let accepted = front.accept().unwrap().0;
        let near = event_loop.connect_accepted_socket(|| Waiting, accepted).start();
        let near = event_loop.run_until_complete(near).unwrap().unwrap();
        let far = upstream.local_addr().unwrap();
        let far = event_loop.create_connection(|| Waiting, far).start();
        let far = event_loop.run_until_complete(far).unwrap().unwrap();
        let mut answering = upstream.accept().unwrap().0;
        // As much as the sockets hold: nobody reads.
        let answer = pattern(60_000);
        answering.write_all(&answer).unwrap();
        drop(answering);
        let builder = relay(&near, &far).splicing(splicing);
        let passed = builder.statistics();
        let outcome = builder.start();
        let all = answer.len() as u64;
        run_until(&event_loop, "the answer", || passed.b_to_a() == all);
        // What it says is read by nobody.
        client.write_all(b"and one thing more").unwrap();
        near.handle().close();
        run_until(&event_loop, "the end of the relay", || outcome.is_done());
        run_until(&event_loop, "both ends", || event_loop.statistics().connections_open == 0);
        client.write_all(b"and another").unwrap();
        let reading = thread::spawn(move || {
            let mut received = Vec::new();
            let _ = client.read_to_end(&mut received);
            received
        });
        run_until(&event_loop, "the client", || reading.is_finished());
        let received = reading.join().unwrap();
        assert!(received == answer, "{splicing:?}: {} bytes", received.len());
    }
}

//! A shutdown waits also for peers that have still to take what was sent to connections that are over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use wharf::{PausedProtocol, Protocol, Result, Transport};

use crate::loops::system_loop;
use crate::serving::{Seen, address, run_in_memory, until};

const SECOND: Duration = Duration::from_secs(1);

/// Answers more than a peer that does not read takes at once, little enough for the system to hold.
struct Answer(usize, Rc<Seen>);

impl Protocol for Answer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&vec![7; self.0]);
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.1.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Does not read, and has its handle kept in `seen`.
fn paused(seen: &Rc<Seen>) -> PausedProtocol {
    let seen = Rc::clone(seen);
    PausedProtocol::calling(move |transport| {
        seen.handles.borrow_mut().push(transport.handle());
        Ok(())
    })
}

#[test]
fn shutdown_waits_for_peers_that_have_still_to_take_what_was_sent() {
    // When the peer begins to read, and what the shutdown says then, after how long.
    for (reads_after, aborted, took) in [(Some(10), 0, 10), (None, 1, 20)] {
        run_in_memory(async |event_loop| {
            let (served, seen) = (Seen::new(), Seen::new());
            let own = Rc::clone(&served);
            let answer = move || Answer(1000, Rc::clone(&own));
            let server = event_loop.create_server(answer, "10.0.0.1:7").await?;
            let other = event_loop.create_server(served.watcher(), "10.0.0.1:8").await?;
            let own = Rc::clone(&seen);
            event_loop.create_connection(move || paused(&own), "10.0.0.1:7").await?;
            until(&event_loop, "the end of the connection", || served.lost() == 1).await;
            assert_eq!((server.connections(), event_loop.statistics().lingering), (0, 1));

            let began = event_loop.time();
            assert_eq!(other.shutdown(20 * SECOND).await?, 0);
            assert!(event_loop.time() - began < SECOND, "it is not one of this server's");
            if let Some(after) = reads_after {
                let handle = seen.handles.borrow()[0].clone();
                event_loop.call_later(after * SECOND, move || handle.resume_reading());
            }
            assert_eq!(server.shutdown(20 * SECOND).await?, aborted);
            let elapsed = event_loop.time() - began;
            assert_eq!(elapsed.as_secs(), took, "{elapsed:?}");
            assert_eq!(event_loop.statistics().lingering_cut_off, aborted as u64);
            Ok(())
        });
    }
}

#[test]
fn shutdown_does_not_wait_for_peers_that_only_keep_their_side_open() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let server = event_loop.create_server(served.watcher(), "10.0.0.1:7").await?;
        let own = Rc::clone(&seen);
        event_loop.create_connection(move || paused(&own), "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || served.made.get() == 1).await;
        served.handles.borrow()[0].close();
        until(&event_loop, "the end of the connection", || served.lost() == 1).await;
        assert_eq!(event_loop.statistics().lingering, 1);
        let began = event_loop.time();
        assert_eq!(server.shutdown(20 * SECOND).await?, 0);
        assert!(event_loop.time() - began < SECOND);
        Ok(())
    });
}

// The pause is the subject: it is longer than a loop that closes waits by itself.
#[test]
fn a_program_that_ends_after_its_shutdown_cuts_no_reply() {
    const LEN: usize = 2_000_000;
    let event_loop = system_loop();
    let client = event_loop
        .run(async |event_loop| {
            let served = Seen::new();
            let own = Rc::clone(&served);
            let answer = move || Answer(LEN, Rc::clone(&own));
            let server = event_loop.create_server(answer, "127.0.0.1:0").await?;
            let address = address(&server);
            let client = thread::spawn(move || {
                let mut socket = TcpStream::connect(address).expect("a connection");
                for _ in 0..25 {
                    thread::sleep(Duration::from_millis(100));
                    let _ = socket.write_all(b"x");
                }
                let mut received = Vec::new();
                let outcome = socket.read_to_end(&mut received);
                outcome.map(|_| received.len()).map_err(|error| error.kind())
            });
            until(&event_loop, "all handed over", || served.lost() == 1).await;
            assert_eq!(server.shutdown(30 * SECOND).await?, 0);
            Ok(client)
        })
        .expect("no error");
    drop(event_loop);
    assert_eq!(client.join().expect("a client"), Ok(LEN));
}

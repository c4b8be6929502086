//! Half-open peers: those that say nothing, take nothing, or are only half there.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use crate::serving::{LIMIT, Seen, address, run, until};

const SOON: Option<Duration> = Some(Duration::from_millis(50));

/// Keeps its side open, and notes which deadline ended it.
struct Waiting {
    seen: Rc<Seen>,
    writes: usize,
    closes: bool,
}

impl Protocol for Waiting {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.seen.made.set(self.seen.made.get() + 1);
        transport.write(&vec![7; self.writes]);
        if self.closes {
            transport.close();
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.seen.eofs.set(self.seen.eofs.get() + 1);
        Ok(Eof::KeepOpen)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let kind = error.and_then(Error::timeout_kind);
        self.seen.lost.borrow_mut().push(kind.map(|kind| format!("{kind:?}")));
        Ok(())
    }
}

/// Has one connection with a deadline of 50 ms, and checks that this is what ends it.
fn check(timeout: Timeout, writes: usize, closes: bool, peer: impl Fn(&mut TcpStream)) -> Rc<Seen> {
    run(async |event_loop| {
        let seen = Seen::new();
        let own = Rc::clone(&seen);
        let server = event_loop
            .create_server(move || Waiting { seen: Rc::clone(&own), writes, closes }, "127.0.0.1:0")
            .connection_timeout(timeout, SOON)
            .write_buffer_cap(None)
            .await?;
        let began = event_loop.time();
        let mut client = TcpStream::connect(address(&server))?;
        client.set_read_timeout(Some(LIMIT))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        peer(&mut client);
        until(&event_loop, "its end", || seen.lost() == 1).await;
        assert!(event_loop.time() - began >= Duration::from_millis(50));
        assert_eq!(*seen.lost.borrow(), [Some(format!("{timeout:?}"))]);
        assert_eq!((server.connections(), event_loop.statistics().sources), (0, 1));
        Ok(seen)
    })
}

#[test]
fn a_peer_that_says_nothing_is_ended_by_the_idle_deadline() {
    check(Timeout::Idle, 0, false, |_| {});
}

#[test]
fn a_peer_that_has_ended_its_side_and_stays_is_ended_by_the_idle_deadline() {
    let seen = check(Timeout::Idle, 0, false, |client| {
        client.write_all(b"request").expect("room");
        client.shutdown(Shutdown::Write).expect("a connection");
    });
    assert_eq!(seen.eofs.get(), 1);
}

#[test]
fn a_peer_that_takes_nothing_is_ended_by_the_write_stall_deadline() {
    check(Timeout::WriteStall, 32 * 1024 * 1024, false, |client| {
        // It took some, and then no more.
        client.read_exact(&mut [0; 100]).expect("some");
    });
}

#[test]
fn a_peer_that_takes_nothing_cannot_keep_a_close_from_ending() {
    check(Timeout::Linger, 32 * 1024 * 1024, true, |_| {});
}

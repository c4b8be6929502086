//! A reset while wharf itself does not read: what was received before comes first.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;
use wharf::testing::{advance, pair};
use wharf::{Buffered, EventLoop, Protocol, RateGroup, RateLimit, Timeout, Transport, WaterMarks};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probe::{Call, Log, Probe};
use crate::running::{rest, run_until};

const COUNT: usize = 50_000;

/// A tenth of what is sent, and a tenth of that at once.
fn limit() -> RateLimit {
    RateLimit::bytes_per_second(100_000).burst(5000)
}

/// A probe with a read limit of its own, or of a group.
fn limited(log: &Log, event_loop: &EventLoop, grouped: bool) -> Probe {
    let group = grouped.then(|| RateGroup::new(event_loop));
    if let Some(group) = &group {
        group.set_read_limit(Some(limit()));
    }
    Probe::new(log).buffer_of(3000).on_made(move |transport| {
        match &group {
            Some(group) => transport.set_rate_group(Some(group))?,
            None => transport.set_read_limit(Some(limit())),
        }
        Ok(())
    })
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

#[track_caller]
fn assert_reset_after(near: &Log, count: usize) {
    assert_eq!(near.received_len(), count);
    assert_eq!(near.cause().unwrap().io_kind, Some(ErrorKind::ConnectionReset));
    assert_eq!((near.count(Call::Eof), near.count(Call::Lost)), (0, 1));
}

/// The near end of a connection whose peer sends and then resets, in memory.
fn reset_in_memory<P: Protocol>(event_loop: &EventLoop, near: &Log, protocol: P) {
    let far = Log::new();
    pair(event_loop, 100_000, protocol, Probe::new(&far).not_reading()).unwrap();
    near.handle().write(b"unread, so that the peer's end is a reset");
    far.handle().write(&[7; COUNT]);
    settle(event_loop).unwrap();
    far.handle().abort();
    settle(event_loop).unwrap();
}

#[test]
fn a_read_limit_does_not_lose_what_came_before_a_reset() {
    for grouped in [false, true] {
        for buffered in [false, true] {
            let event_loop = memory_loop();
            let near = Log::new();
            let probe = limited(&near, &event_loop, grouped);
            match buffered {
                true => reset_in_memory(&event_loop, &near, Buffered(probe)),
                false => reset_in_memory(&event_loop, &near, probe),
            }
            assert!(near.received_len() <= 6000 && !near.is_lost(), "the limit holds");
            advance(&event_loop, Duration::from_secs(2)).unwrap();
            assert_reset_after(&near, COUNT);
        }
    }
}

#[test]
fn a_read_limit_does_not_lose_what_came_before_a_reset_on_tcp() {
    for (adopted, buffered) in [(false, false), (false, true), (true, false), (true, true)] {
        let event_loop = system_loop();
        let near = Log::new();
        let probe = limited(&near, &event_loop, false);
        let mut peer = match buffered {
            true => joined(&event_loop, Buffered(probe), adopted),
            false => joined(&event_loop, probe, adopted),
        };
        peer.write_all(&[7; COUNT]).unwrap();
        rest(&event_loop);
        reset(peer);
        run_until(&event_loop, "the end", || near.is_lost());
        assert_reset_after(&near, COUNT);
    }
}

/// The peer of a TCP connection of that protocol.
fn joined<P: Protocol>(event_loop: &EventLoop, protocol: P, adopted: bool) -> TcpStream {
    if adopted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        let adopting = event_loop.connect_accepted_socket(|| protocol, near).start();
        event_loop.run_until_complete(adopting).unwrap().unwrap();
        return peer;
    }
    let mut protocol = Some(protocol);
    let factory = move || protocol.take().expect("one connection");
    let server = event_loop.create_server(factory, "127.0.0.1:0").start();
    let server = event_loop.run_until_complete(server).unwrap().unwrap();
    let peer = TcpStream::connect(server.local_address().unwrap()).unwrap();
    rest(event_loop);
    peer
}

#[cfg(feature = "tls")]
#[test]
fn a_read_limit_does_not_lose_what_came_before_a_reset_under_tls() {
    use wharf::TlsVersion;

    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = crate::encryption::Tls::new(version);
        let event_loop = memory_loop();
        let (near, far) = (Log::new(), Log::new());
        let mut peer = Some(Probe::new(&far).not_reading());
        let factory = move || peer.take().expect("one connection");
        let server = event_loop.create_server(factory, "10.0.0.1:443").tls(&tls.server).start();
        let _server = event_loop.run_until_complete(server).unwrap().unwrap();
        let probe = limited(&near, &event_loop, false);
        let connecting = event_loop.create_connection(|| probe, "10.0.0.1:443").tls(&tls.client);
        event_loop.run_until_complete(connecting.start()).unwrap().unwrap();
        run_until(&event_loop, "the server's end", || far.is_made());
        near.handle().write(b"unread, so that the peer's end is a reset");
        settle(&event_loop).unwrap();
        far.handle().write(&[7; COUNT]);
        settle(&event_loop).unwrap();
        far.handle().abort();
        settle(&event_loop).unwrap();
        assert!(!near.is_lost());
        advance(&event_loop, Duration::from_secs(2)).unwrap();
        assert_reset_after(&near, COUNT);
    }
}

/// An echo whose peer takes nothing of it is held, and that is none of its own doing.
#[test]
fn a_hold_does_not_lose_what_came_before_a_reset() {
    for buffered in [false, true] {
        let event_loop = memory_loop();
        let (near, far) = (Log::new(), Log::new());
        let echo = Probe::new(&near).buffer_of(1000).echoing();
        let peer = Probe::new(&far).not_reading();
        match buffered {
            true => drop(pair(&event_loop, 100_000, Buffered(echo), peer)),
            false => drop(pair(&event_loop, 100_000, echo, peer)),
        }
        near.handle().set_write_buffer_limits(WaterMarks::from_high(1000)).unwrap();
        for _ in 0..3 {
            far.handle().write(&[7; 100_000]);
            settle(&event_loop).unwrap();
        }
        let arrived = 300_000 - far.handle().write_buffer_size();
        assert!(!near.handle().is_reading() && near.received_len() < arrived);
        far.handle().abort();
        run_until(&event_loop, "the end", || near.is_lost());
        assert_reset_after(&near, arrived);
        assert_eq!(near.count(Call::Resume), 0);
    }
}

/// What may never be read is not kept for ever.
#[test]
fn a_limit_that_lets_nothing_pass_keeps_a_reset_waiting_no_longer_than_it_may_linger() {
    let event_loop = memory_loop();
    let near = Log::new();
    let probe = Probe::new(&near).on_made(|transport| {
        transport.set_read_limit(Some(RateLimit::bytes_per_second(0).burst(100)));
        transport.set_timeout(Timeout::Linger, Some(Duration::from_secs(3)));
        Ok(())
    });
    reset_in_memory(&event_loop, &near, probe);
    advance(&event_loop, Duration::from_millis(2900)).unwrap();
    assert!(!near.is_lost());
    advance(&event_loop, Duration::from_millis(200)).unwrap();
    assert_reset_after(&near, 100);
    assert_eq!(event_loop.statistics().timers, 0);
}

/// As long as a limit lets something pass, nothing is lost.
#[test]
fn a_slow_limit_takes_its_time_after_a_reset() {
    let event_loop = memory_loop();
    let near = Log::new();
    let probe = Probe::new(&near).on_made(|transport| {
        transport.set_read_limit(Some(RateLimit::bytes_per_second(500).burst(500)));
        transport.set_timeout(Timeout::Linger, Some(Duration::from_secs(3)));
        Ok(())
    });
    reset_in_memory(&event_loop, &near, probe);
    advance(&event_loop, Duration::from_secs(90)).unwrap();
    assert!(!near.is_lost());
    advance(&event_loop, Duration::from_secs(20)).unwrap();
    assert_reset_after(&near, COUNT);
}

#[test]
fn a_protocol_that_has_paused_itself_is_told_at_once_whatever_else_stops_reading() {
    let event_loop = memory_loop();
    let near = Log::new();
    let probe = limited(&near, &event_loop, false).on_data(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    reset_in_memory(&event_loop, &near, probe);
    assert!(near.is_lost() && near.received_len() < COUNT);
}

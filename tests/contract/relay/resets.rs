//! One side of a relay is reset or cut off: what came before is sent on, and the other side is not told
//! that it was all.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use wharf::testing::{advance, pair};
use wharf::{
    EventLoop, LoopFuture, RateLimit, RelayEnd, RelayOutcome, RelaySide, Splicing, Transport,
    TransportHandle, relay,
};

use super::stage::{SECOND, Waiting, pattern};
use crate::loops::{memory_loop, settle, system_loop};
use crate::probe::{Log, Probe};
use crate::running::{rest, run_until};

const COUNT: usize = 400_000;

/// A connected pair of which the second end has room for all that the first one sends.
fn roomy() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    near.set_recv_buffer_size(4_000_000).unwrap();
    near.connect(&listener.local_addr().unwrap().into()).unwrap();
    (listener.accept().unwrap().0, near.into())
}

fn adopted(event_loop: &EventLoop, socket: TcpStream) -> TransportHandle {
    let adopting = event_loop.connect_accepted_socket(|| Waiting, socket).start();
    event_loop.run_until_complete(adopting).unwrap().unwrap().into()
}

fn has_failed(outcome: LoopFuture<RelayOutcome>, side: RelaySide) -> bool {
    let outcome = outcome.take_result().expect("it is over").unwrap();
    matches!(outcome.end, RelayEnd::Failed(failed, _) if failed == side)
}

#[test]
fn a_relay_sends_what_came_before_a_reset_however_far_the_other_side_lags_behind() {
    for splicing in [Splicing::Never, Splicing::Automatic, Splicing::Always] {
        for limited in [false, true] {
            let event_loop = system_loop();
            let (peer, near) = roomy();
            let unread = near.try_clone().unwrap();
            let source = adopted(&event_loop, near);
            if limited {
                let limit = RateLimit::bytes_per_second(2_000_000).burst(20_000);
                source.set_read_limit(Some(limit));
            }
            let (sink, mut far) = roomy();
            SockRef::from(&sink).set_send_buffer_size(30_000).unwrap();
            SockRef::from(&far).set_recv_buffer_size(30_000).unwrap();
            let sink = adopted(&event_loop, sink);
            let builder = relay(&sink, &source).splicing(splicing);
            let statistics = builder.statistics();
            let outcome = builder.start();
            let sent = pattern(COUNT);
            std::io::Write::write_all(&mut (&peer), &sent).unwrap();
            rest(&event_loop);
            // All that was not passed on is in our own queue, where no reset takes it away.
            run_until(&event_loop, "all to arrive", || {
                let waiting = rustix::io::ioctl_fionread(&unread).unwrap();
                waiting + statistics.b_to_a() == COUNT as u64
            });
            drop(unread);
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            rest(&event_loop);
            assert!(!outcome.is_done(), "{splicing:?}: the reader is slow");
            far.set_nonblocking(true).unwrap();
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            run_until(&event_loop, "the end", || {
                while let Ok(count @ 1..) = far.read(&mut buffer) {
                    received.extend_from_slice(&buffer[..count]);
                }
                outcome.is_done() && received.len() >= COUNT
            });
            assert!(received == sent, "{splicing:?}: {} bytes", received.len());
            assert!(has_failed(outcome, RelaySide::B), "{splicing:?}");
        }
    }
}

/// A relay in memory whose first peer has sent more than the second one takes.
struct Lagging {
    event_loop: EventLoop,
    first: Log,
    second: Log,
    outcome: LoopFuture<RelayOutcome>,
}

fn lagging() -> Lagging {
    let event_loop = memory_loop();
    let (first, second) = (Log::new(), Log::new());
    let ends = |capacity, log: &Log| -> TransportHandle {
        pair(&event_loop, capacity, Waiting, Probe::new(log).not_reading()).unwrap().0.into()
    };
    let (a, b) = (ends(COUNT, &first), ends(10_000, &second));
    let outcome = relay(&a, &b).start();
    second.handle().write(b"unread by the first, whose end is a reset");
    settle(&event_loop).unwrap();
    first.handle().write(&pattern(COUNT));
    settle(&event_loop).unwrap();
    first.handle().abort();
    settle(&event_loop).unwrap();
    assert!(!outcome.is_done());
    Lagging { event_loop, first, second, outcome }
}

#[test]
fn a_relay_waits_for_a_slow_reader_after_a_reset_as_long_as_it_takes_something() {
    let Lagging { event_loop, first, second, outcome } = lagging();
    assert!(first.is_lost());
    // A little each time, for minutes.
    let mut turns = 0;
    while !second.is_lost() {
        turns += 1;
        assert!(turns < 1000, "{} bytes", second.received_len());
        second.handle().resume_reading();
        wharf::testing::step(&event_loop).unwrap();
        second.handle().pause_reading();
        advance(&event_loop, 20 * SECOND).unwrap();
    }
    assert!(turns > 5, "{turns}");
    assert!(second.received() == pattern(COUNT), "{} bytes", second.received_len());
    assert!(has_failed(outcome, RelaySide::A));
}

#[test]
fn a_relay_waits_no_longer_than_it_may_linger_for_a_reader_that_takes_nothing() {
    let Lagging { event_loop, outcome, .. } = lagging();
    advance(&event_loop, 70 * SECOND).unwrap();
    assert!(outcome.is_done());
    assert!(has_failed(outcome, RelaySide::A));
    assert_eq!(event_loop.statistics().connections_open, 0);
    assert_eq!(event_loop.statistics().timers, 0);
}

/// What was received has nowhere to go any more: nothing is waited for.
#[test]
fn a_relay_is_over_at_once_when_its_other_side_is_reset_as_well() {
    for writes in [false, true] {
        let Lagging { event_loop, second, outcome, .. } = lagging();
        if writes {
            // Input that has nowhere to go, either.
            second.handle().write(&[7; 5000]);
            settle(&event_loop).unwrap();
        }
        second.handle().abort();
        settle(&event_loop).unwrap();
        assert!(outcome.is_done(), "nothing is waited for");
        assert!(outcome.take_result().is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(event_loop.statistics().connections_open, 0);
    }
}

#[cfg(feature = "tls")]
mod under_tls {
    use wharf::{Connection, TlsVersion};

    use super::*;
    use crate::encryption::Tls;

    const SENT: usize = 20_000;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum End {
        Orderly,
        Reset,
        Replaced,
        /// The end of the TCP connection without `close_notify`.
        CutOff,
    }

    struct Front {
        event_loop: EventLoop,
        tls: Tls,
    }

    impl Front {
        /// A connection under TLS: the server's end of it, and what its client sees.
        fn join(&self, address: &'static str, client: Probe, server: Probe) -> Connection<Probe> {
            let log = server.log().clone();
            let mut server = Some(server);
            let factory = move || server.take().expect("one connection");
            let listening = self.event_loop.create_server(factory, address).tls(&self.tls.server);
            let listening = self.event_loop.run_until_complete(listening.start());
            let listening = listening.unwrap().unwrap();
            let connecting = self.event_loop.create_connection(|| client, address);
            let connecting = connecting.tls(&self.tls.client).start();
            let client = self.event_loop.run_until_complete(connecting).unwrap().unwrap();
            run_until(&self.event_loop, "the server's end", || log.is_made());
            listening.close();
            client
        }
    }

    #[test]
    fn a_relay_under_tls_vouches_only_for_a_stream_that_has_ended() {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            for end in [End::Orderly, End::Reset, End::Replaced, End::CutOff] {
                ends(version, end);
            }
        }
    }

    fn ends(version: TlsVersion, end: End) {
        let event_loop = memory_loop();
        let front = Front { event_loop: event_loop.clone(), tls: Tls::new(version) };
        let (client, near) = (Log::new(), Log::new());
        front.join("10.0.0.1:443", Probe::new(&client), Probe::new(&near).not_reading());
        let (upstream, origin) = (Log::new(), Log::new());
        let near_upstream = Probe::new(&upstream).not_reading();
        let far_upstream = Probe::new(&origin).not_reading();
        let upstream: TransportHandle = if end == End::CutOff {
            front.join("10.0.0.2:443", near_upstream, far_upstream).into()
        } else {
            pair(&event_loop, 100_000, near_upstream, far_upstream).unwrap().0.into()
        };
        let outcome = relay(near.handle(), &upstream).start();
        client.handle().write(if end == End::Reset { b"unread" } else { b"" });
        origin.handle().write(&pattern(SENT));
        settle(&event_loop).unwrap();
        match end {
            End::Orderly => origin.handle().close(),
            End::Reset | End::CutOff => origin.handle().abort(),
            End::Replaced => {
                upstream.set_protocol(Box::new(Waiting), wharf::bytes::Bytes::new());
            }
        }
        run_until(&event_loop, "the end", || client.is_lost());
        assert!(client.received() == pattern(SENT), "{version:?} {end:?}");
        let was_told_all = end == End::Orderly;
        let truncated = client.cause().is_some_and(|cause| cause.is_truncated);
        assert_eq!(truncated, !was_told_all, "{version:?} {end:?}: {:?}", client.cause());
        assert_eq!(client.count(crate::probe::Call::Eof) == 1, was_told_all, "{version:?} {end:?}");
        upstream.abort();
        advance(&event_loop, SECOND).unwrap();
        assert!(outcome.is_done());
    }
}

//! The rules of relays where the kernel moves the bytes: what other files here test in memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::settle;
use wharf::{
    EventLoop, Protocol, RelayEnd, RelaySide, Result, Splicing, Timeout, TimeoutKind, Transport,
    TransportHandle, relay,
};

use super::stage::{Link, Stage, connected, pattern, shared};
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

/// More than fits on the way.
const MUCH: usize = 3_000_000;

const SPLICED: [(Link, Splicing); 2] =
    [(Link::Unix, Splicing::Always), (Link::Tcp, Splicing::Always)];

/// A relay in which bytes wait on their way to the server, which does not read.
fn stuck(link: Link, splicing: Splicing) -> Stage {
    let stage = Stage::new(link, splicing);
    stage.server.handle().pause_reading();
    stage.client.handle().write(&pattern(MUCH));
    stage
        .until("the relay to be full", || !stage.a.is_reading() && stage.b.write_buffer_size() > 0);
    assert!(stage.statistics.spliced() > 0);
    stage
}

#[test]
fn a_deadline_of_one_side_ends_a_relay_that_splices() {
    for (link, splicing) in SPLICED {
        let stage = stuck(link, splicing);
        // It counts from the last progress, of which there is none any more.
        stage.b.set_timeout(Timeout::WriteStall, Some(Duration::from_millis(20)));
        match stage.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::B, error) => {
                assert_eq!(error.timeout_kind(), Some(TimeoutKind::WriteStall));
            }
            end => panic!("{link:?} {end:?}"),
        }
        stage.end();

        let stage = Stage::new(link, splicing);
        stage.a.set_timeout(Timeout::Idle, Some(Duration::from_millis(20)));
        match stage.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::A, error) => {
                assert_eq!(error.timeout_kind(), Some(TimeoutKind::Idle));
            }
            end => panic!("{link:?} {end:?}"),
        }
        stage.end();
    }
}

#[test]
fn a_relay_that_splices_is_idle_when_nothing_came_from_either_side() {
    for (link, splicing) in SPLICED {
        let idle = |relay: wharf::RelayBuilder| {
            relay.splicing(splicing).idle_timeout(Some(Duration::from_millis(30)))
        };
        let stage = Stage::with(link, idle, |probe| probe, |probe| probe);
        assert_eq!(stage.event_loop.statistics().timers, 1);
        stage.client.handle().write(b"up");
        stage.server.handle().write(b"down");
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::TimedOut), "{link:?} {outcome:?}");
        assert_eq!((outcome.a_to_b, outcome.b_to_a), (2, 4));
        stage.end();
    }
}

#[test]
fn cancelling_or_dropping_the_outcome_aborts_both_sides_of_a_relay_that_splices() {
    for (link, splicing) in SPLICED {
        for drops in [false, true] {
            let stage = stuck(link, splicing);
            match drops {
                true => stage.forget(),
                false => {
                    assert!(stage.cancel());
                    assert!(stage.outcome().unwrap_err().is_cancelled());
                }
            }
            assert!(stage.a.is_closing() && stage.b.is_closing());
            assert_eq!(stage.b.write_buffer_size(), 0, "what waited is dropped");
            stage.server.handle().resume_reading();
            stage.until("both ends", || ended(&stage.client) && ended(&stage.server));
            assert!(stage.server.received_len() < MUCH);
            stage.end();
        }
    }
}

/// An orderly end, or a reset.
fn ended(log: &Log) -> bool {
    log.calls().contains(&Call::Eof) || log.is_lost()
}

#[test]
fn closing_the_loop_ends_relays_that_splice() {
    for (link, splicing) in SPLICED {
        let stage = stuck(link, splicing);
        let (client, server) = (stage.client.clone(), stage.server.clone());
        drop(stage);
        assert!(client.is_lost() && server.is_lost());
    }
}

#[test]
fn a_side_that_takes_nothing_fails_a_relay_that_splices_when_there_is_something_for_it() {
    for (link, splicing) in SPLICED {
        let stage =
            Stage::with(link, |relay| relay.splicing(splicing), |probe| probe, |probe| probe);
        stage.b.write_eof();
        stage.settle();
        stage.client.handle().write(b"for nobody");
        match stage.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::A, error) => assert!(error.is_closed(), "{error}"),
            end => panic!("{link:?} {end:?}"),
        }
        stage.end();
    }
}

#[test]
fn relays_of_sockets_refuse_what_those_in_memory_do() {
    let (event_loop, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    for (link, splicing) in SPLICED {
        let peer = Log::new();
        let here = connected(&event_loop, link, Probe::new(&peer));
        let there = connected(&other, link, Probe::new(&Log::new()));
        for wrong in [&here, &there] {
            let refused = relay(&here, wrong).splicing(splicing).start().take_result().unwrap();
            assert!(refused.unwrap_err().is_invalid());
        }
        settle(&event_loop).unwrap();
        assert!(!here.is_closing() && !there.is_closing());

        let gone = connected(&event_loop, link, Probe::new(&Log::new()));
        gone.abort();
        settle(&event_loop).unwrap();
        let refused = relay(&gone, &here).splicing(splicing).start().take_result().unwrap();
        assert!(refused.unwrap_err().is_closed());
        run_until(&event_loop, "the end of the other", || peer.is_lost());
    }
}

/// Joins its connection with another, from inside a callback and with what it has not used.
struct Joins {
    to: TransportHandle,
    splicing: Splicing,
}

impl Protocol for Joins {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let rest = Bytes::copy_from_slice(data.strip_prefix(b"go\n").ok_or("the first words")?);
        relay(transport.handle(), &self.to)
            .leftovers(rest, Bytes::new())
            .splicing(self.splicing)
            .start()
            .detach();
        Ok(())
    }
}

#[test]
fn a_protocol_that_joins_its_connection_splices_behind_what_was_left_over() {
    let event_loop = EventLoop::new().unwrap();
    let (client, server) = (Log::new(), Log::new());
    let to = connected(&event_loop, Link::Tcp, Probe::new(&server).echoing());
    let factory = move || Joins { to: to.clone(), splicing: Splicing::Always };
    let serving = event_loop.create_server(factory, "127.0.0.1:0").start();
    let serving = event_loop.run_until_complete(serving).unwrap().unwrap();
    let address = serving.addresses()[0].to_string();
    let probe = Probe::new(&client);
    let connecting = event_loop.create_connection(|| probe, address).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    let data = pattern(MUCH);
    client.handle().write(b"go\n");
    client.handle().write(&data);
    client.handle().write_eof();
    run_until(&event_loop, "the end", || client.is_lost());
    assert!(server.received() == data && client.received() == data);
}

#[test]
fn a_shutdown_leaves_a_relay_that_splices_its_time_and_then_aborts_it() {
    let event_loop = EventLoop::new().unwrap();
    for link in [Link::Unix, Link::Tcp] {
        let (client, server) = (Log::new(), Log::new());
        let to = connected(&event_loop, link, Probe::new(&server).half_open());
        let factory = move || Joins { to: to.clone(), splicing: Splicing::Always };
        let serving = event_loop.create_server(factory, "127.0.0.1:0").start();
        let serving = event_loop.run_until_complete(serving).unwrap().unwrap();
        let address = serving.addresses()[0].to_string();
        let probe = Probe::new(&client).half_open();
        let connecting = event_loop.create_connection(|| probe, address).start();
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        client.handle().write(b"go\nbefore");
        run_until(&event_loop, "the first bytes", || server.received() == b"before");
        // The first one has all the time that there is; who asks again can shorten it.
        let patient = serving.shutdown(Duration::from_secs(600));
        settle(&event_loop).unwrap();
        client.handle().write(b" and meanwhile");
        run_until(&event_loop, "the others", || server.received() == b"before and meanwhile");
        assert!(!patient.is_done());
        let hasty = serving.shutdown(Duration::from_millis(5));
        assert_eq!(event_loop.run_until_complete(hasty).unwrap().unwrap(), 1);
        assert!(event_loop.run_until_complete(patient).unwrap().is_ok());
        run_until(&event_loop, "both ends", || ended(&client) && ended(&server));
        client.handle().abort();
        server.handle().abort();
        run_until(&event_loop, "nothing", || event_loop.statistics().connections_open == 0);
    }
}

#[test]
fn a_connection_that_is_joined_anew_splices_to_the_other_from_the_start() {
    for (link, splicing) in SPLICED {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(b"one");
        stage.until("some bytes", || stage.server.received() == b"one");
        let next = Log::new();
        let other = connected(&stage.event_loop, link, Probe::new(&next));
        let builder = relay(&stage.a, &other).splicing(splicing);
        let statistics = builder.statistics();
        let second = builder.start();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Closed(RelaySide::A)), "{outcome:?}");
        stage.client.handle().write(&pattern(MUCH));
        stage.client.handle().write_eof();
        stage.until("the end of the second", || second.is_done());
        assert!(next.received() == pattern(MUCH), "{link:?}");
        assert_eq!(stage.server.received(), b"one");
        assert_eq!(statistics.spliced(), MUCH as u64, "{link:?}: all of it, from the first byte");
        stage.end();
    }
}

#[test]
fn limits_hold_for_what_is_spliced_between_unix_sockets() {
    for read in [true, false] {
        let stage = Stage::new(Link::Unix, Splicing::Always);
        // One burst, and then nothing any more: no time has to pass for this.
        let limit = wharf::RateLimit::bytes_per_second(0).burst(20_000);
        match read {
            true => stage.a.set_read_limit(Some(limit)),
            false => stage.b.set_write_limit(Some(limit)),
        }
        stage.client.handle().write(&pattern(MUCH));
        stage.until("the burst", || stage.server.received_len() >= 20_000);
        for _ in 0..20 {
            stage.settle();
        }
        assert_eq!(stage.server.received_len(), 20_000);
        assert!(stage.statistics.spliced() >= 20_000);
        match read {
            true => stage.a.set_read_limit(None),
            false => stage.b.set_write_limit(None),
        }
        stage.until("the rest", || stage.server.received_len() == MUCH);
        assert!(stage.server.received() == pattern(MUCH));
        stage.end();
    }
}

// 263.
#[cfg(feature = "tls")]
#[test]
fn an_upgrade_of_a_connection_that_is_relayed_is_refused() {
    for (link, splicing) in super::stage::ALL {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(b"before");
        stage.until("some bytes", || stage.server.received() == b"before");
        let server = crate::encryption::Tls::new(wharf::TlsVersion::Tls13).server;
        stage.a.start_tls((&server).into(), Bytes::new());
        match stage.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::A, error) => assert!(error.is_invalid(), "{error}"),
            end => panic!("{link:?} {splicing:?} {end:?}"),
        }
        stage.until("both ends", || ended(&stage.client) && ended(&stage.server));
        assert_eq!(stage.client.received(), b"", "nothing of TLS is said");
        stage.end();
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_connection_that_left_its_relay_can_be_upgraded() {
    let event_loop = EventLoop::new().unwrap();
    for (link, splicing) in super::stage::ALL {
        if link == Link::Memory {
            continue;
        }
        let (client, server, next) = (Log::new(), Log::new(), Log::successor());
        let tls = crate::encryption::Tls::new(wharf::TlsVersion::Tls13);
        let a = connected(&event_loop, link, Probe::new(&client).half_open());
        let b = connected(&event_loop, link, Probe::new(&server));
        let outcome = relay(&a, &b).splicing(splicing).start();
        client.handle().write(b"relayed");
        run_until(&event_loop, "some bytes", || server.received() == b"relayed");
        a.set_protocol(Box::new(Probe::new(&next).echoing()), Bytes::new());
        settle(&event_loop).unwrap();
        a.start_tls((&tls.server).into(), Bytes::new());
        client.handle().start_tls(tls.client.server_name("server.test").into(), Bytes::new());
        client.handle().write(b"under TLS");
        run_until(&event_loop, "the echo", || client.received() == b"under TLS");
        assert!(outcome.is_done());
        assert_eq!(server.received(), b"relayed");
        a.abort();
        run_until(&event_loop, "the end", || client.is_lost() && server.is_lost());
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_side_under_tls_is_copied_whatever_is_asked_for() {
    let event_loop = EventLoop::new().unwrap();
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        let tls = crate::encryption::Tls::new(version);
        let (client, server) = (Log::new(), Log::new());
        let accepted = Rc::new(RefCell::new(None));
        let made = Rc::clone(&accepted);
        let factory = move || Accepted(Rc::clone(&made));
        let serving = event_loop.create_server(factory, "127.0.0.1:0").tls(&tls.server).start();
        let serving = event_loop.run_until_complete(serving).unwrap().unwrap();
        let probe = Probe::new(&client).half_open();
        let address = serving.addresses()[0].to_string();
        let connecting = event_loop.create_connection(|| probe, address).tls(&tls.client).start();
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        run_until(&event_loop, "the server's side", || accepted.borrow().is_some());
        let a: TransportHandle = accepted.take().unwrap();
        let b = connected(&event_loop, Link::Tcp, Probe::new(&server).echoing());
        let builder = relay(&a, &b).splicing(Splicing::Always);
        let statistics = builder.statistics();
        let outcome = builder.start();
        client.handle().write(&pattern(MUCH));
        run_until(&event_loop, "all of it", || client.received_len() == MUCH);
        assert!(server.received() == pattern(MUCH) && client.received() == pattern(MUCH));
        assert_eq!(statistics.spliced(), 0);
        client.handle().close();
        run_until(&event_loop, "the end", || outcome.is_done());
        serving.close();
    }
}

/// What runs on an accepted connection until it is joined.
#[cfg(feature = "tls")]
struct Accepted(Rc<RefCell<Option<TransportHandle>>>);

#[cfg(feature = "tls")]
impl Protocol for Accepted {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        *self.0.borrow_mut() = Some(transport.handle());
        super::stage::Waiting.connection_made(transport)
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("the relay should have it".into())
    }
}

#[test]
fn what_is_left_in_a_pipe_when_a_side_leaves_its_relay_is_still_delivered() {
    for (link, splicing) in SPLICED {
        let stage = stuck(link, splicing);
        let waiting = stage.b.write_buffer_size();
        let spliced = stage.statistics.a_to_b();
        let received = shared::<Vec<u8>>();
        stage.a.set_protocol(Box::new(Collects(Rc::clone(&received))), Bytes::new());
        stage.settle();
        stage.server.handle().resume_reading();
        stage.until("the end of the server's side", || stage.server.calls().contains(&Call::Eof));
        assert!(waiting > 0);
        assert_eq!(stage.server.received_len() as u64, spliced, "{link:?}");
        stage.a.resume_reading();
        stage.until("the rest at the new protocol", || {
            received.borrow().len() + stage.server.received_len() == MUCH
        });
        let all = [stage.server.received(), received.take()].concat();
        assert!(all == pattern(MUCH));
        stage.end();
    }
}

/// Keeps what it receives.
struct Collects(Rc<RefCell<Vec<u8>>>);

impl Protocol for Collects {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}

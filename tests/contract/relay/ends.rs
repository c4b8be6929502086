//! How a relay comes to an end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::advance;
use wharf::{
    EventLoop, Protocol, RelayEnd, RelaySide, Result, Splicing, Timeout, TimeoutKind, Transport,
    relay, with_info,
};

use super::stage::{ALL, Link, SECOND, Stage, connected, pattern, shared};
use crate::loops::memory_loop;
use crate::probe::{Call, Log, Probe};

#[test]
fn the_end_of_one_side_is_passed_on_and_the_other_way_stays_open() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(&pattern(500_000));
        stage.client.handle().write_eof();
        stage.until("the end", || stage.server.calls().contains(&Call::Eof));
        assert!(stage.server.received() == pattern(500_000), "all before the end");
        stage.server.handle().write(&pattern(700_000));
        stage.until("the answer", || stage.client.received_len() == 700_000);
        assert!(!stage.client.calls().contains(&Call::Eof));
        stage.server.handle().close();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{link:?} {splicing:?} {outcome:?}");
        stage.until("the end", || stage.client.calls().contains(&Call::Eof));
        stage.end();
    }
}

#[test]
fn an_end_that_came_before_the_relay_is_passed_on() {
    for (link, splicing) in ALL {
        let stage = Stage::with(
            link,
            |relay| relay.splicing(splicing),
            |probe| {
                probe.on_made(|transport| {
                    transport.write(b"all there is");
                    transport.write_eof();
                    Ok(())
                })
            },
            |probe| probe,
        );
        stage.until("the end", || stage.server.calls().contains(&Call::Eof));
        assert_eq!(stage.server.received(), b"all there is");
        stage.end();
    }
}

/// The client has not read the answer when both peers have ended their sides.
#[test]
fn when_both_peers_have_ended_the_side_that_sent_everything_is_closed_at_once() {
    for splicing in [Splicing::Automatic, Splicing::Never] {
        let stage = Stage::new(Link::Memory, splicing);
        stage.client.handle().pause_reading();
        stage.server.handle().write(&pattern(120_000));
        stage.server.handle().write_eof();
        stage.settle();
        assert!(stage.a.write_buffer_size() > 0, "the client reads slowly");
        assert!(!stage.server.calls().contains(&Call::Eof));
        stage.client.handle().write_eof();
        stage.settle();
        assert!(stage.a.write_buffer_size() > 0);
        assert!(stage.server.calls().contains(&Call::Eof), "it need not wait for the client");
        stage.client.handle().resume_reading();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{outcome:?}");
        stage.until("the end", || stage.client.calls().contains(&Call::Eof));
        assert!(stage.client.received() == pattern(120_000));
        stage.end();
    }
}

#[test]
fn what_came_before_a_reset_is_delivered_and_then_the_other_side_ends() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(b"the last words");
        stage.until("the words", || stage.server.received() == b"the last words");
        // Unread input makes the end a reset.
        stage.client.handle().pause_reading();
        stage.server.handle().write(b"not read");
        stage.until("it to arrive", || stage.statistics.b_to_a() == 8);
        stage.client.handle().write(&pattern(5000));
        stage.settle();
        stage.client.handle().abort();
        let outcome = stage.outcome().unwrap();
        match outcome.end {
            RelayEnd::Failed(RelaySide::A, error) => {
                let kind = error.io_kind();
                assert!(
                    kind == Some(std::io::ErrorKind::ConnectionReset)
                        || kind == Some(std::io::ErrorKind::BrokenPipe),
                    "{link:?} {error}"
                );
            }
            end => panic!("{link:?} {splicing:?} {end:?}"),
        }
        stage.until("the end", || stage.server.calls().contains(&Call::Eof));
        let received = stage.server.received();
        assert!(received[14..] == pattern(5000)[..received.len() - 14]);
        stage.end();
    }
}

#[test]
fn closing_or_aborting_a_connection_of_a_relay_ends_it() {
    for (link, splicing) in ALL {
        for abort in [false, true] {
            let stage = Stage::new(link, splicing);
            stage.client.handle().write(b"before");
            stage.until("some bytes", || stage.server.received() == b"before");
            match abort {
                true => stage.b.abort(),
                false => stage.b.close(),
            }
            let outcome = stage.outcome().unwrap();
            assert!(matches!(outcome.end, RelayEnd::Closed(RelaySide::B)), "{outcome:?}");
            stage.until("both ends", || {
                stage.client.calls().contains(&Call::Eof)
                    && stage.server.calls().contains(&Call::Eof)
            });
            stage.end();
        }
    }
}

#[test]
fn a_deadline_of_one_side_ends_the_relay() {
    let stage = Stage::new(Link::Memory, Splicing::Automatic);
    stage.b.set_timeout(Timeout::WriteStall, Some(SECOND));
    stage.server.handle().pause_reading();
    stage.client.handle().write(&pattern(1_000_000));
    // The other side's input is dropped for five seconds, so that it is no reset.
    stage.pass(10 * SECOND);
    match stage.outcome().unwrap().end {
        RelayEnd::Failed(RelaySide::B, error) => {
            assert_eq!(error.timeout_kind(), Some(TimeoutKind::WriteStall));
        }
        end => panic!("{end:?}"),
    }
    stage.end();
}

#[test]
fn a_relay_is_idle_when_nothing_came_from_either_side() {
    let idle = |relay: wharf::RelayBuilder| relay.idle_timeout(Some(10 * SECOND));
    let stage = Stage::with(Link::Memory, idle, |probe| probe, |probe| probe);
    for turn in 0..6 {
        stage.pass(8 * SECOND);
        let writer = if turn % 2 == 0 { &stage.client } else { &stage.server };
        writer.handle().write(b"alive");
    }
    stage.pass(10 * SECOND - Duration::from_nanos(1));
    assert!(!stage.a.is_closing());
    assert_eq!(stage.event_loop.statistics().timers, 1);
    stage.pass(Duration::from_millis(1));
    let outcome = stage.outcome().unwrap();
    assert!(matches!(outcome.end, RelayEnd::TimedOut), "{outcome:?}");
    assert_eq!((outcome.a_to_b, outcome.b_to_a), (15, 15));
    stage.end();
}

#[test]
fn cancelling_or_dropping_the_outcome_aborts_both_sides() {
    for drops in [false, true] {
        let stage = Stage::new(Link::Memory, Splicing::Automatic);
        stage.settle();
        match drops {
            true => stage.forget(),
            false => {
                assert!(stage.cancel());
                assert!(stage.outcome().unwrap_err().is_cancelled());
            }
        }
        assert!(stage.a.is_closing() && stage.b.is_closing());
        stage.until("both ends", || {
            stage.client.calls().contains(&Call::Eof) && stage.server.calls().contains(&Call::Eof)
        });
        stage.end();
    }
}

#[test]
fn a_connection_that_gets_another_protocol_leaves_the_relay() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(b"one");
        stage.until("some bytes", || stage.server.received() == b"one");
        let received = shared::<Vec<u8>>();
        let next = Box::new(Collector(Rc::clone(&received)));
        stage.a.set_protocol(next, wharf::bytes::Bytes::new());
        stage.settle();
        stage.client.handle().write(b"two");
        stage.until("the other protocol's bytes", || *received.borrow() == b"two");
        stage.until("the end", || stage.server.calls().contains(&Call::Eof));
        stage.server.handle().close();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Closed(RelaySide::A)), "{outcome:?}");
        assert_eq!(stage.server.received(), b"one");
        stage.end();
    }
}

/// Keeps what it receives.
struct Collector(Rc<RefCell<Vec<u8>>>);

impl Protocol for Collector {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}

#[test]
fn a_shutdown_leaves_a_relay_its_time_and_then_aborts_it() -> Result {
    let event_loop = memory_loop();
    event_loop.run(async |event_loop: EventLoop| {
        let peer = Log::new();
        let far = Probe::new(&peer).half_open();
        let upstream = connected(&event_loop, Link::Memory, far);
        let server = event_loop
            .create_server(with_info(move |_| Ok(Joins(upstream.clone()))), "10.0.0.1:7")
            .await?;
        let log = Log::new();
        let near = Probe::new(&log).half_open();
        let client = event_loop.create_connection(|| near, "10.0.0.1:7").await?;
        client.handle().write(b"before");
        event_loop.sleep(SECOND).await;
        let began = event_loop.time();
        let down = server.shutdown(5 * SECOND);
        event_loop.sleep(SECOND).await;
        client.handle().write(b" and meanwhile");
        event_loop.sleep(SECOND).await;
        assert_eq!(peer.received(), b"before and meanwhile");
        down.await?;
        assert_eq!(event_loop.time() - began, 5 * SECOND);
        event_loop.sleep(SECOND).await;
        assert!(log.calls().contains(&Call::Eof) && peer.calls().contains(&Call::Eof));
        Ok(())
    })
}

/// Joins its connection to another at once.
struct Joins(wharf::TransportHandle);

impl Protocol for Joins {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        relay(transport.handle(), &self.0).start().detach();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("the relay should have it".into())
    }
}

#[test]
fn closing_the_loop_ends_its_relays() {
    let stage = Stage::new(Link::Memory, Splicing::Automatic);
    let (client, server) = (stage.client.clone(), stage.server.clone());
    advance(&stage.event_loop, SECOND).unwrap();
    drop(stage);
    assert!(client.is_lost() && server.is_lost());
}

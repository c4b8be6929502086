//! The limits of one connection: what passes, what waits, what closing does.

use std::cell::Cell;
use std::rc::Rc;

use wharf::testing::{advance, pair, step};
use wharf::{EventLoop, RateLimit, Timeout, TimeoutKind, Transport, WaterMarks};

use super::{Flow, Idle, SECOND, Sink, limit};
use crate::loops::{memory_loop, settle, system_loop};
use crate::probe::{Call, Log, Probe, assert_rules_were_kept};
use crate::running::run_until;

#[test]
fn a_read_limit_holds_over_any_time_within_one_burst() {
    for (rate, burst) in [(10_000, 1000), (10_000, 100), (64, 1), (1_000_000, 250_000), (7, 3)] {
        let event_loop = memory_loop();
        let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(rate, burst))));
        for seconds in [1, 3, 10] {
            let received = flow.in_time(&event_loop, seconds * SECOND);
            let expected = u64::from(seconds) * rate;
            assert!(received <= expected + burst, "{received} of {expected} at {rate}/{burst}");
            assert!(received + burst >= expected, "{received} of {expected} at {rate}/{burst}");
        }
    }
}

#[test]
fn a_write_limit_holds_over_any_time_within_one_burst() {
    for (rate, burst) in [(10_000, 1000), (64, 1), (1_000_000, 250_000), (7, 3)] {
        let event_loop = memory_loop();
        let flow =
            Flow::new(&event_loop, |source, _| source.set_write_limit(Some(limit(rate, burst))));
        // What the pair's buffer took before the limit was set.
        settle(&event_loop).unwrap();
        let first = flow.received.get();
        for seconds in [1, 3, 10] {
            let received = flow.in_time(&event_loop, seconds * SECOND);
            let expected = u64::from(seconds) * rate;
            assert!(received <= expected + burst, "{received} of {expected} at {rate}/{burst}");
            assert!(received + burst >= expected, "{received} of {expected} at {rate}/{burst}");
        }
        assert!(first <= 4096 + burst);
    }
}

#[test]
fn a_limited_connection_has_a_timer_only_while_it_waits_for_its_budget() {
    let event_loop = memory_loop();
    let received = Rc::new(Cell::new(0));
    let (peer, sink) = pair(&event_loop, 4096, Idle, Sink(Rc::clone(&received))).unwrap();
    sink.handle().set_read_limit(Some(limit(1000, 100)));
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().timers, 0);
    peer.handle().write(&[1; 300]);
    settle(&event_loop).unwrap();
    assert_eq!((received.get(), event_loop.statistics().timers), (100, 1));
    advance(&event_loop, SECOND).unwrap();
    assert_eq!((received.get(), event_loop.statistics().timers), (300, 0));
}

#[test]
fn while_the_budget_is_used_up_nothing_is_read_and_the_peer_has_to_wait() {
    let event_loop = memory_loop();
    let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(0, 50))));
    advance(&event_loop, 100 * SECOND).unwrap();
    assert_eq!(flow.received.get(), 50);
    assert!(!flow.sink.handle().is_reading());
    assert!(flow.source.handle().write_buffer_size() > 64 * 1024, "its writing is paused");
    flow.sink.handle().set_read_limit(None);
    assert!(flow.in_turns(&event_loop, 20) > 10_000);
    assert!(flow.sink.handle().is_reading());
}

#[test]
fn a_limit_a_pause_and_a_hold_are_independent_reasons_not_to_read() {
    let event_loop = memory_loop();
    let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(1000, 100))));
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 100);
    flow.sink.handle().pause_reading();
    assert_eq!(flow.in_time(&event_loop, 10 * SECOND), 0, "the pause outlasts the throttle");
    flow.sink.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 200, "a full bucket");
    flow.sink.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 200, "resuming does not end the throttle");

    // An echo whose peer does not read is held, too.
    let (near, far) = (Log::new(), Log::new());
    let echo = Probe::new(&near).echoing();
    pair(&event_loop, 64, echo, Probe::new(&far).not_reading()).unwrap();
    near.handle().set_write_buffer_limits(WaterMarks::from_high(10)).unwrap();
    near.handle().set_read_limit(Some(limit(1000, 100)));
    far.handle().write(&[7; 1000]);
    settle(&event_loop).unwrap();
    assert_eq!((near.received_len(), near.handle().is_reading()), (100, false));
    advance(&event_loop, 10 * SECOND).unwrap();
    assert_eq!(near.received_len(), 100, "the hold outlasts the throttle");
    far.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert_eq!(near.received_len(), 200, "what the bucket has filled with, and no more");
    assert!(!near.handle().is_reading(), "the end of the hold does not end the throttle");
    near.handle().pause_reading();
    assert_eq!(flow.in_time(&event_loop, SECOND), 1000, "nobody else is concerned");
    assert_eq!(near.received_len(), 200, "and the pause outlasts both");
    near.handle().resume_reading();
    advance(&event_loop, 10 * SECOND).unwrap();
    assert_eq!((near.received_len(), far.received_len()), (1000, 1000));
}

#[test]
fn what_is_written_beyond_the_budget_is_queued_and_pauses_writing() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let pair = pair(&event_loop, 1 << 20, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().set_write_limit(Some(limit(10_000, 1000)));
    near.handle().write(&[3; 101_000]);
    settle(&event_loop).unwrap();
    assert_eq!((far.received_len(), near.handle().write_buffer_size()), (1000, 100_000));
    assert_eq!(near.calls(), [Call::Made, Call::Pause]);
    advance(&event_loop, 5 * SECOND).unwrap();
    assert_eq!(near.handle().write_buffer_size(), 50_000);
    assert_eq!(near.count(Call::Resume), 0);
    advance(&event_loop, 4 * SECOND).unwrap();
    assert_eq!(near.calls(), [Call::Made, Call::Pause, Call::Resume]);
    advance(&event_loop, SECOND).unwrap();
    assert_eq!(far.received(), vec![3; 101_000]);
    drop((event_loop, pair));
    assert_rules_were_kept();
}

#[test]
fn the_time_that_a_write_limit_takes_is_no_write_stall() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let pair = pair(&event_loop, 4096, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().set_timeout(Timeout::WriteStall, Some(SECOND));
    near.handle().set_write_limit(Some(limit(10, 100)));
    near.handle().write(&[0; 150]);
    advance(&event_loop, 2 * SECOND).unwrap();
    // Longer than the deadline between two bytes.
    near.handle().set_write_limit(Some(RateLimit::bytes_per_second(0)));
    advance(&event_loop, 10 * SECOND).unwrap();
    assert_eq!(near.calls(), [Call::Made]);
    assert_eq!(far.received_len(), 120);
    // The peer that takes nothing is stalled all the same.
    near.handle().set_write_limit(Some(limit(1_000_000, 100_000)));
    far.handle().pause_reading();
    near.handle().write(&[0; 50_000]);
    advance(&event_loop, 2 * SECOND).unwrap();
    assert_eq!(near.cause().unwrap().timeout, Some(TimeoutKind::WriteStall));
    drop((event_loop, pair));
}

#[test]
fn close_sends_what_is_queued_no_faster_than_the_limit_for_as_long_as_that_takes() {
    let event_loop = memory_loop();
    for seconds in [20, 40] {
        let (near, far) = (Log::new(), Log::new());
        let _pair = pair(&event_loop, 1 << 20, Probe::new(&near), Probe::new(&far)).unwrap();
        near.handle().set_write_limit(Some(limit(1000, 1000)));
        near.handle().write(&vec![0; 1000 + seconds * 1000]);
        near.handle().close();
        advance(&event_loop, SECOND).unwrap();
        assert_eq!(far.received_len(), 2000);
        advance(&event_loop, 60 * SECOND).unwrap();
        assert!(near.is_lost());
        assert_eq!((far.received_len(), near.cause()), (1000 + seconds * 1000, None));
    }
    // A limit that lets nothing pass is no progress.
    let (near, far) = (Log::new(), Log::new());
    let _pair = pair(&event_loop, 1 << 20, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().set_write_limit(Some(limit(0, 1000)));
    near.handle().write(&[0; 2000]);
    near.handle().close();
    advance(&event_loop, 31 * SECOND).unwrap();
    assert_eq!(near.cause().unwrap().timeout, Some(TimeoutKind::Linger));
    assert!(far.cause().is_some(), "a reset");
}

#[test]
fn a_limited_connection_that_closes_after_its_peers_end_does_not_keep_the_loop_busy() {
    let memory = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let probes = (Probe::new(&near).half_open(), Probe::new(&far).half_open());
    let _pair = pair(&memory, 1 << 20, probes.0, probes.1).unwrap();
    closes_at_ease(&memory, &near, &far);

    let system = system_loop();
    let (near, far) = (Log::new(), Log::new());
    let probes = (Probe::new(&near).half_open(), Probe::new(&far).half_open());
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let one = system.create_connection_on(|| probes.0, one).start();
    system.run_until_complete(one).unwrap().unwrap();
    let other = system.create_connection_on(|| probes.1, other).start();
    system.run_until_complete(other).unwrap().unwrap();
    closes_at_ease(&system, &near, &far);
}

fn closes_at_ease(event_loop: &EventLoop, near: &Log, far: &Log) {
    // Nothing passes after the burst.
    near.handle().set_write_limit(Some(limit(0, 1000)));
    far.handle().write_eof();
    run_until(event_loop, "the end", || near.calls().contains(&Call::Eof));
    near.handle().write(&[0; 1400]);
    near.handle().close();
    let mut turns = 0;
    while far.received_len() < 1000 || turns < 50 {
        step(event_loop).unwrap();
        turns += 1;
    }
    assert_eq!(event_loop.statistics().ready, 0, "there is nothing to do");
    near.handle().set_write_limit(None);
    run_until(event_loop, "the rest", || far.received_len() == 1400 && near.is_lost());
}

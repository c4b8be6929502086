//! Section X: the deadlines of a connection, in virtual time.

use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{EventLoop, Timeout, TimeoutKind, Transport};

use crate::loops::{memory_loop, settle};
use crate::probe::{Call, Log, Probe, assert_rules_were_kept};
use crate::running::Reports;

const SECOND: Duration = Duration::from_secs(1);
const MUCH: usize = 1024 * 1024;

#[test]
fn idle_deadline_aborts_by_default_and_is_not_reported() {
    let stage = Stage::new(Probe::new, Probe::new);
    stage.near.handle().set_timeout(Timeout::Idle, Some(10 * SECOND));
    stage.pass(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(stage.near.calls(), [Call::Made]);
    stage.pass(2 * Duration::from_millis(1));
    let timed_out = Call::TimedOut(Timeout::Idle);
    assert_eq!(stage.near.calls(), [Call::Made, timed_out, Call::Lost]);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Idle));
    assert!(stage.reports.take().is_empty());
    stage.end();
}

#[test]
fn timed_out_that_succeeds_keeps_the_connection_and_re_arms() {
    let stage = Stage::new(|log| Probe::new(log).on_timed_out(|_| Ok(())), Probe::new);
    stage.near.handle().set_timeout(Timeout::Idle, Some(SECOND));
    stage.pass(4 * SECOND + SECOND / 2);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::Idle)), 4);
    assert!(!stage.near.is_lost());
    stage.end();
}

#[test]
fn traffic_in_either_direction_postpones_the_idle_deadline() {
    let stage = Stage::new(Probe::new, Probe::new);
    stage.near.handle().set_timeout(Timeout::Idle, Some(2 * SECOND));
    for turn in 0..6 {
        stage.pass(SECOND);
        let writer = if turn % 2 == 0 { &stage.near } else { &stage.far };
        writer.handle().write(b"alive");
        settle(&stage.event_loop).unwrap();
    }
    assert!(!stage.near.is_lost());
    stage.pass(3 * SECOND);
    assert!(stage.near.is_lost());
    stage.end();
}

#[test]
fn user_deadline_passes_whatever_the_traffic_is_and_aborts_by_default() {
    let stage = Stage::new(Probe::new, Probe::new);
    stage.near.handle().set_timeout(Timeout::User, Some(3 * SECOND));
    for _ in 0..5 {
        stage.far.handle().write(b"alive");
        stage.pass(SECOND / 2);
    }
    assert!(!stage.near.is_lost());
    stage.pass(SECOND);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 1);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::User));
    assert!(stage.reports.take().is_empty());
    stage.end();
}

#[test]
fn user_deadline_that_is_kept_passes_again_after_as_long_until_it_is_removed() {
    let stage = Stage::new(|log| Probe::new(log).on_timed_out(|_| Ok(())), Probe::new);
    let near = stage.near.handle();
    near.set_timeout(Timeout::User, Some(SECOND));
    stage.pass(3 * SECOND + SECOND / 2);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 3);
    // Set anew, it counts from then.
    near.set_timeout(Timeout::User, Some(SECOND));
    stage.pass(SECOND - Duration::from_millis(2));
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 3);
    stage.pass(SECOND / 2);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 4);
    near.set_timeout(Timeout::User, None);
    stage.pass(100 * SECOND);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 4);
    assert_eq!(stage.event_loop.statistics().timers, 0);
    // Zero passes in the next tick.
    near.set_timeout(Timeout::User, Some(Duration::ZERO));
    wharf::testing::step(&stage.event_loop).unwrap();
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 5);
    near.set_timeout(Timeout::User, None);
    stage.end();
}

#[test]
fn user_deadline_does_not_pass_while_the_connection_is_closing() {
    let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().set_timeout(Timeout::User, Some(SECOND));
    stage.near.handle().write(&vec![7; MUCH]);
    stage.near.handle().close();
    stage.pass(5 * SECOND);
    assert!(!stage.near.is_lost());
    stage.pass(30 * SECOND);
    assert_eq!(stage.near.count(Call::TimedOut(Timeout::User)), 0);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Linger));
    stage.end();
}

#[test]
fn user_deadline_of_a_builder_counts_from_connection_made() {
    let event_loop = memory_loop();
    let (served, log) = (Log::new(), Log::new());
    let own = served.clone();
    let serving = event_loop
        .create_server(move || Probe::new(&own), "10.0.0.1:7")
        .connection_timeout(Timeout::User, Some(5 * SECOND))
        .start();
    let _server = event_loop.run_until_complete(serving).unwrap().unwrap();
    advance(&event_loop, 60 * SECOND).unwrap();
    let probe = Probe::new(&log);
    let connecting = event_loop.create_connection(|| probe, "10.0.0.1:7").start();
    let _client = event_loop.run_until_complete(connecting).unwrap().unwrap();
    advance(&event_loop, 5 * SECOND - Duration::from_millis(1)).unwrap();
    assert!(!served.is_lost());
    advance(&event_loop, Duration::from_millis(2)).unwrap();
    assert_eq!(served.cause().unwrap().timeout, Some(TimeoutKind::User));
}

#[test]
fn deadline_that_was_removed_does_not_pass() {
    let stage = Stage::new(Probe::new, Probe::new);
    stage.near.handle().set_timeout(Timeout::Idle, Some(SECOND));
    stage.near.handle().set_timeout(Timeout::Idle, None);
    stage.pass(100 * SECOND);
    assert_eq!(stage.near.calls(), [Call::Made]);
    stage.end();
}

// 62: differs.
#[test]
fn close_lingers_for_thirty_seconds_and_then_aborts() {
    let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().write(&vec![0; MUCH]);
    stage.near.handle().close();
    stage.pass(29 * SECOND);
    assert!(!stage.near.is_lost());
    stage.pass(2 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Linger));
    assert_eq!(stage.near.calls(), [Call::Made, Call::Lost], "without timed_out");
    stage.end();
}

#[test]
fn linger_deadline_can_be_set() {
    let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().set_timeout(Timeout::Linger, Some(3 * SECOND));
    stage.near.handle().write(&vec![0; MUCH]);
    stage.near.handle().close();
    stage.pass(4 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Linger));
    stage.end();
}

#[test]
fn write_stall_ends_a_held_connection_after_a_minute() {
    // An echo whose client never reads.
    let stage = Stage::new(|log| Probe::new(log).echoing(), |log| Probe::new(log).not_reading());
    stage.far.handle().write(&vec![0; MUCH]);
    stage.pass(59 * SECOND);
    assert!(!stage.near.handle().is_reading(), "held");
    assert!(!stage.near.is_lost());
    stage.pass(2 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::WriteStall));
    assert!(stage.reports.take().is_empty());
    stage.end();
}

#[test]
fn write_stall_deadline_is_off_while_nothing_is_held_or_closing() {
    let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().write(&vec![0; MUCH]);
    stage.pass(1000 * SECOND);
    assert_eq!(stage.near.calls(), [Call::Made, Call::Pause]);
    stage.end();
}

#[test]
fn write_stall_deadline_counts_from_the_last_progress() {
    let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().set_timeout(Timeout::WriteStall, Some(2 * SECOND));
    stage.near.handle().write(&vec![0; MUCH]);
    for _ in 0..5 {
        stage.pass(SECOND + SECOND / 2);
        // The peer takes something, and stops again.
        stage.far.handle().resume_reading();
        wharf::testing::step(&stage.event_loop).unwrap();
        stage.far.handle().pause_reading();
        settle(&stage.event_loop).unwrap();
    }
    assert!(!stage.near.is_lost());
    stage.pass(3 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::WriteStall));
    stage.end();
}

#[test]
fn idle_connection_without_deadlines_has_no_timer() {
    let stage = Stage::new(|log| Probe::new(log).echoing(), Probe::new);
    stage.far.handle().write(b"some traffic");
    settle(&stage.event_loop).unwrap();
    assert_eq!(stage.event_loop.statistics().timers, 0);
    // Many deadlines take one, and none is left afterwards.
    for kind in [Timeout::Idle, Timeout::Linger, Timeout::WriteStall, Timeout::User] {
        stage.near.handle().set_timeout(kind, Some(SECOND));
    }
    assert_eq!(stage.event_loop.statistics().timers, 1);
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    assert_eq!(stage.event_loop.statistics().timers, 0);
    stage.end();
}

/// A connection without deadlines of its own notes nothing of its traffic before it needs one.
#[test]
fn the_deadlines_of_closing_begin_with_closing_however_old_the_connection_is() {
    for sets in [false, true] {
        let stage = Stage::new(Probe::new, |log| Probe::new(log).not_reading());
        stage.pass(100 * SECOND);
        stage.near.handle().write(&[7; 10_000]);
        settle(&stage.event_loop).unwrap();
        if sets {
            stage.near.handle().set_timeout(Timeout::Closing, Some(1000 * SECOND));
        }
        stage.near.handle().close();
        stage.pass(20 * SECOND);
        assert!(!stage.near.is_lost());
        stage.far.handle().resume_reading();
        settle(&stage.event_loop).unwrap();
        assert_eq!((stage.near.cause(), stage.far.received_len()), (None, 10_000));
        stage.end();
    }
}

/// Two probes joined in memory.
struct Stage {
    event_loop: EventLoop,
    reports: Reports,
    near: Log,
    far: Log,
}

impl Stage {
    fn new(near: impl FnOnce(&Log) -> Probe, far: impl FnOnce(&Log) -> Probe) -> Self {
        let event_loop = memory_loop();
        let reports = Reports::of(&event_loop);
        let logs = (Log::new(), Log::new());
        pair(&event_loop, 4096, near(&logs.0), far(&logs.1)).unwrap();
        settle(&event_loop).unwrap();
        Self { event_loop, reports, near: logs.0, far: logs.1 }
    }

    fn pass(&self, duration: Duration) {
        advance(&self.event_loop, duration).unwrap();
    }

    fn end(self) {
        let event_loop = self.event_loop.clone();
        drop(self);
        let statistics = event_loop.statistics();
        assert_eq!((statistics.timers, statistics.sources, statistics.connections_open), (0, 0, 0));
        assert_rules_were_kept();
    }
}

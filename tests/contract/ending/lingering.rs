//! Sockets that linger, in virtual time.

use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{Buffered, EventLoop, Protocol, Timeout, TimeoutKind, Transport, WriteStatus};

use crate::loops::{memory_loop, settle};
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

struct Stage {
    event_loop: EventLoop,
    near: Log,
    far: Log,
}

impl Stage {
    fn new<A: Protocol, B: Protocol>(
        capacity: usize,
        near: impl FnOnce(&Log) -> A,
        far: impl FnOnce(&Log) -> B,
    ) -> Self {
        let event_loop = memory_loop();
        let (near_log, far_log) = (Log::new(), Log::new());
        pair(&event_loop, capacity, near(&near_log), far(&far_log)).unwrap();
        Self { event_loop, near: near_log, far: far_log }
    }

    fn pass(&self, time: Duration) {
        advance(&self.event_loop, time).unwrap();
    }

    fn lingering(&self) -> u64 {
        self.event_loop.statistics().lingering
    }

    fn cut_off(&self) -> u64 {
        self.event_loop.statistics().lingering_cut_off
    }
}

// 62.
#[test]
fn connection_lost_comes_when_all_is_handed_over_and_the_socket_lingers() {
    let stage = Stage::new(64, Probe::new, |log| Probe::new(log).not_reading());
    let begun = stage.event_loop.time();
    let sources = stage.event_loop.statistics().sources;
    stage.near.handle().write(b"the last words");
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    assert_eq!((stage.near.cause(), stage.near.count(Call::Lost)), (None, 1));
    assert_eq!(stage.event_loop.time(), begun, "without waiting");
    assert_eq!(stage.lingering(), 1);
    // It is no connection any more.
    let statistics = stage.event_loop.statistics();
    assert_eq!((statistics.sources, statistics.connections_open), (sources - 1, 1));
    assert_eq!(stage.near.handle().write(b"x"), WriteStatus::Closed);
    stage.far.handle().resume_reading();
    settle(&stage.event_loop).unwrap();
    assert_eq!(stage.far.received(), b"the last words");
    // The peer has ended, too.
    assert_eq!((stage.lingering(), stage.event_loop.statistics().timers), (0, 0));
}

#[test]
fn a_socket_lingers_no_longer_than_the_peer_has_to_take() {
    // It keeps its side open, but has taken everything, and says nothing.
    let stage = Stage::new(64, Probe::new, |log| Probe::new(log).half_open());
    stage.near.handle().write(b"the last words");
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    assert_eq!((stage.far.count(Call::Eof), stage.lingering()), (1, 1));
    stage.pass(2 * SECOND);
    assert_eq!((stage.lingering(), stage.event_loop.statistics().timers), (0, 0));
    assert!(!stage.far.is_lost(), "it may still write, to nobody");
}

#[test]
fn a_socket_lingers_while_the_peer_makes_progress() {
    // Ten bytes every 25 seconds, of a hundred that the system holds.
    let reads = |log: &Log| {
        Buffered(Probe::new(log).buffer_of(10).not_reading().on_data(|transport, _| {
            transport.pause_reading();
            Ok(())
        }))
    };
    let stage = Stage::new(100, Probe::new, reads);
    stage.near.handle().write(&[7; 100]);
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    assert!(stage.near.is_lost());
    for _ in 0..9 {
        stage.pass(25 * SECOND);
        assert_eq!(stage.lingering(), 1);
        stage.far.handle().resume_reading();
        settle(&stage.event_loop).unwrap();
    }
    assert_eq!(stage.far.received_len(), 90);
    // Then it takes nothing for longer than the linger deadline, which begins when progress was seen.
    stage.pass(29 * SECOND);
    assert_eq!((stage.lingering(), stage.cut_off()), (1, 0));
    stage.pass(3 * SECOND);
    assert_eq!((stage.lingering(), stage.cut_off()), (0, 1));
    // What it has not read is there all the same.
    for _ in 0..2 {
        stage.far.handle().resume_reading();
        settle(&stage.event_loop).unwrap();
    }
    run_until(&stage.event_loop, "the end", || stage.far.is_lost());
    assert_eq!((stage.far.received_len(), stage.far.cause()), (100, None));
}

#[test]
fn a_peer_that_goes_on_talking_is_heard_for_five_seconds() {
    let stage = Stage::new(64, Probe::new, |log| Probe::new(log).half_open());
    stage.near.handle().close();
    for second in 0..10 {
        stage.far.handle().write(b"still there?");
        stage.pass(SECOND);
        let expected = u64::from(second < 4);
        assert_eq!(stage.lingering(), expected, "after {} s", second + 1);
    }
    run_until(&stage.event_loop, "the end", || stage.far.is_lost());
    assert_eq!(stage.cut_off(), 0, "the peer had everything");
}

// 62: what the peer says is no reason to give it less time.
#[test]
fn a_peer_that_talks_and_takes_nothing_has_the_linger_deadline() {
    let cases = [
        (None, 29, 32),
        (Some(Some(8 * SECOND)), 7, 10),
        (Some(Some(100 * SECOND)), 99, 102),
        // No bound, as in asyncio.
        (Some(None), 3600, 0),
    ];
    for (limit, still, gone) in cases {
        let stage = Stage::new(1000, Probe::new, |log| Probe::new(log).half_open().not_reading());
        if let Some(limit) = limit {
            stage.near.handle().set_timeout(Timeout::Linger, limit);
        }
        stage.near.handle().write(&[7; 1000]);
        stage.near.handle().close();
        settle(&stage.event_loop).unwrap();
        assert_eq!((stage.near.cause(), stage.near.count(Call::Lost)), (None, 1));
        for second in 1..=still {
            stage.far.handle().write(b"x");
            stage.pass(SECOND);
            assert_eq!(stage.lingering(), 1, "{limit:?}, after {second} s");
        }
        if gone > 0 {
            stage.pass((gone - still) * SECOND);
        }
        assert_eq!(stage.lingering(), u64::from(gone == 0), "{limit:?}");
        assert_eq!(stage.cut_off(), u64::from(gone > 0), "{limit:?}");
        if gone == 0 {
            stage.far.handle().resume_reading();
            settle(&stage.event_loop).unwrap();
            assert_eq!(stage.far.received_len(), 1000);
        }
    }
}

// 62: the deadline of closing as a whole.
#[test]
fn closing_as_a_whole_can_have_a_deadline() {
    // Progress postpones the linger deadline, but not this one.
    let stage = Stage::new(1000, Probe::new, |log| {
        Buffered(Probe::new(log).buffer_of(1000).not_reading().on_data(|transport, _| {
            transport.pause_reading();
            Ok(())
        }))
    });
    stage.near.handle().set_timeout(Timeout::Closing, Some(100 * SECOND));
    stage.near.handle().write(&vec![7; MIB]);
    stage.near.handle().close();
    for _ in 0..9 {
        stage.pass(11 * SECOND);
        assert!(!stage.near.is_lost());
        stage.far.handle().resume_reading();
    }
    stage.pass(2 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Closing));
    stage.far.handle().resume_reading();
    settle(&stage.event_loop).unwrap();
    stage.far.handle().resume_reading();
    settle(&stage.event_loop).unwrap();
    assert!(stage.far.cause().is_some(), "what was cut off does not look complete");

    // A socket that lingers keeps to it.
    let stage = Stage::new(100, Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().set_timeout(Timeout::Closing, Some(2 * SECOND));
    stage.near.handle().write(&[7; 100]);
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    assert_eq!((stage.near.cause(), stage.lingering()), (None, 1));
    stage.pass(3 * SECOND);
    assert_eq!((stage.lingering(), stage.cut_off()), (0, 1));
}

// 62: a slow reader, and one that stops.
#[test]
fn the_linger_deadline_counts_from_the_last_progress() {
    let per_second = 200_000;
    let stage = Stage::new(65_536, Probe::new, Probe::new);
    let limit = wharf::RateLimit::bytes_per_second(per_second).burst(65_536);
    stage.far.handle().set_read_limit(Some(limit));
    stage.near.handle().write(&vec![7; 12 * MIB]);
    stage.near.handle().close();
    run_until_passed(&stage, 70, || stage.far.is_lost());
    assert_eq!((stage.far.received_len(), stage.far.cause()), (12 * MIB, None));
    assert_eq!(stage.near.cause(), None);

    let stage = Stage::new(65_536, Probe::new, Probe::new);
    let limit = wharf::RateLimit::bytes_per_second(per_second).burst(65_536);
    stage.far.handle().set_read_limit(Some(limit));
    stage.near.handle().write(&vec![7; 12 * MIB]);
    stage.near.handle().close();
    stage.pass(25 * SECOND);
    stage.far.handle().pause_reading();
    stage.pass(29 * SECOND);
    assert!(!stage.near.is_lost());
    stage.pass(2 * SECOND);
    assert_eq!(stage.near.cause().unwrap().timeout, Some(TimeoutKind::Linger));
    stage.far.handle().resume_reading();
    stage.pass(2 * SECOND);
    assert!(stage.far.received_len() < 12 * MIB);
    assert!(stage.far.cause().is_some(), "a reset");
}

fn run_until_passed(stage: &Stage, seconds: u32, condition: impl Fn() -> bool) {
    for _ in 0..seconds {
        if condition() {
            return;
        }
        stage.pass(SECOND);
    }
    assert!(condition(), "after {seconds} s");
}

#[test]
fn what_is_discarded_is_bounded_without_progress() {
    let stage = Stage::new(65_536, Probe::new, |log| Probe::new(log).half_open());
    stage.near.handle().write(b"too much");
    stage.near.handle().close();
    stage.far.handle().set_write_buffer_cap(None);
    stage.far.handle().write(&vec![7; 64 * MIB]);
    settle(&stage.event_loop).unwrap();
    let left = stage.far.handle().write_buffer_size();
    assert!(left > 50 * MIB, "{left} bytes are left");
    // The peer has everything: it is not kept waiting for long.
    stage.pass(3 * SECOND);
    assert_eq!(stage.lingering(), 0);
    assert!(stage.far.is_lost());
    assert_eq!(stage.far.received(), b"too much");
}

#[test]
fn input_is_discarded_as_long_as_output_makes_progress() {
    // Two ends that close with much more than may be discarded without progress.
    let stage = Stage::new(65_536, Probe::new, Probe::new);
    for log in [&stage.near, &stage.far] {
        log.handle().write(&vec![7; 40 * MIB]);
        log.handle().close();
    }
    run_until(&stage.event_loop, "both ends", || stage.near.is_lost() && stage.far.is_lost());
    assert_eq!((stage.near.cause(), stage.far.cause()), (None, None));
}

#[test]
fn no_more_than_some_thousand_sockets_linger_and_the_oldest_go_first() {
    let event_loop = memory_loop();
    let mut fars = Vec::new();
    for _ in 0..4100 {
        let (near, far) = (Log::new(), Log::new());
        pair(&event_loop, 64, Probe::new(&near), Probe::new(&far).half_open()).unwrap();
        near.handle().close();
        settle(&event_loop).unwrap();
        assert!(near.is_lost());
        fars.push(far);
    }
    assert_eq!(event_loop.statistics().lingering, 4096);
    assert_eq!(event_loop.statistics().lingering_cut_off, 0, "their peers had everything");
    // Those that were given up are gone at the other end, too, once they say something.
    for far in &fars {
        far.handle().write(b"?");
    }
    settle(&event_loop).unwrap();
    let lost: Vec<bool> = fars.iter().map(Log::is_lost).collect();
    assert_eq!(lost.iter().position(|lost| !lost), Some(4));
    assert_eq!(lost.iter().filter(|lost| **lost).count(), 4);
    drop(event_loop);
}

/// Makes a connection whose reply of `len` bytes lingers; its peer reads a byte each time it resumes.
fn lingering_reply(event_loop: &EventLoop, len: usize) -> Log {
    let (near, far) = (Log::new(), Log::new());
    let reads = Probe::new(&far).buffer_of(1).not_reading().on_data(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    pair(event_loop, 64, Probe::new(&near), Buffered(reads)).unwrap();
    near.handle().write(&vec![7; len]);
    near.handle().close();
    settle(event_loop).unwrap();
    assert!(near.is_lost());
    far
}

// 62.
#[test]
fn a_socket_whose_peer_takes_what_was_sent_makes_room_last() {
    let event_loop = memory_loop();
    let slow = lingering_reply(&event_loop, 60);
    let _silent: Vec<Log> = (1..4096).map(|_| lingering_reply(&event_loop, 60)).collect();
    for _ in 0..3 {
        slow.handle().resume_reading();
        advance(&event_loop, SECOND).unwrap();
    }
    assert_eq!((slow.received_len(), event_loop.statistics().lingering), (3, 4096));
    // As many again: all that take nothing make room before the oldest does.
    let _flood: Vec<Log> = (0..8192).map(|_| lingering_reply(&event_loop, 60)).collect();
    assert_eq!(event_loop.statistics().lingering, 4096);
    slow.handle().write(b"still there");
    for _ in 0..60 {
        slow.handle().resume_reading();
        settle(&event_loop).unwrap();
    }
    run_until(&event_loop, "the end", || slow.is_lost());
    assert_eq!((slow.received_len(), slow.cause()), (60, None));
}

#[test]
fn statistics_are_right_when_the_timer_of_what_lingers_has_gone_off_and_not_run() {
    let event_loop = memory_loop();
    let seen = std::rc::Rc::new(std::cell::Cell::new(None));
    let (own, place) = (event_loop.clone(), std::rc::Rc::clone(&seen));
    // Due together with the look, and called before it.
    event_loop.call_later(SECOND, move || place.set(Some(own.statistics())));
    let far = lingering_reply(&event_loop, 60);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.lingering, statistics.timers, statistics.sources), (1, 1, 1));
    advance(&event_loop, SECOND).unwrap();
    let statistics = seen.take().unwrap();
    assert_eq!((statistics.lingering, statistics.timers, statistics.sources), (1, 0, 1));
    drop(far);
}

#[test]
fn closing_the_loop_ends_what_lingers() {
    let stage = Stage::new(64, Probe::new, |log| Probe::new(log).not_reading());
    stage.near.handle().write(b"unread");
    stage.near.handle().close();
    settle(&stage.event_loop).unwrap();
    let event_loop = stage.event_loop.clone();
    drop(stage);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.lingering, statistics.sources, statistics.timers), (0, 0, 0));
    assert_eq!(statistics.lingering_cut_off, 0, "the other end was aborted before");
}

/// A stage on a loop that is some minutes old, where 1000 bytes wait for a peer that does not read.
fn old_stage_with_a_queue() -> Stage {
    let stage = Stage::new(64, Probe::new, |log| Probe::new(log).not_reading());
    stage.pass(300 * SECOND);
    stage.near.handle().write(&[7; 1000]);
    settle(&stage.event_loop).unwrap();
    assert!(stage.near.handle().write_buffer_size() > 0);
    stage
}

// The deadlines of a connection that had none are made when it closes. They begin then, not with the loop.
#[test]
fn output_that_waits_at_close_has_its_time_however_old_the_loop_is() {
    let ways: [fn(&Stage); 4] = [
        |_| {},
        |stage| stage.near.handle().set_timeout(Timeout::Linger, Some(20 * SECOND)),
        |stage| stage.near.handle().set_timeout(Timeout::Closing, Some(20 * SECOND)),
        // Input that is dropped is counted there, too.
        |stage| {
            stage.far.handle().write(b"more");
            stage.pass(SECOND);
        },
    ];
    for (index, way) in ways.into_iter().enumerate() {
        for closes_first in [false, true] {
            let stage = old_stage_with_a_queue();
            if closes_first {
                stage.near.handle().close();
                way(&stage);
            } else {
                way(&stage);
                stage.near.handle().close();
            }
            stage.pass(10 * SECOND);
            assert!(!stage.near.is_lost(), "way {index}: {:?}", stage.near.cause());
            stage.far.handle().resume_reading();
            run_until(&stage.event_loop, "both ends", || {
                stage.near.is_lost() && stage.far.is_lost()
            });
            assert_eq!((stage.far.received_len(), stage.far.cause()), (1000, None), "way {index}");
            assert_eq!(stage.near.cause(), None);
        }
    }
    // In one callback: nothing is queued before.
    let stage = Stage::new(64, Probe::new, Probe::new);
    stage.pass(300 * SECOND);
    stage.near.handle().write(&[7; 200_000]);
    stage.near.handle().close();
    run_until(&stage.event_loop, "both ends", || stage.near.is_lost() && stage.far.is_lost());
    assert_eq!((stage.far.received_len(), stage.far.cause()), (200_000, None));
}

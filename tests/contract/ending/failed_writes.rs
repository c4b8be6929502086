//! Writes that fail while input waits, for whatever reason it waits.

use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{Buffered, EventLoop, RateLimit, Timeout, Transport, WaterMarks, WriteStatus};

use crate::loops::{memory_loop, settle};
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

const SAID: &[u8] = b"sixteen bytes...";

/// A peer that has said something and is gone, before anything was read of it.
fn meets_a_dead_peer(near: impl FnOnce(&Log) -> Probe, buffer: Option<usize>) -> (EventLoop, Log) {
    let event_loop = memory_loop();
    let (log, far) = (Log::new(), Log::new());
    let near = near(&log);
    match buffer {
        Some(len) => drop(pair(&event_loop, 64, Buffered(near.buffer_of(len)), Probe::new(&far))),
        None => drop(pair(&event_loop, 64, near, Probe::new(&far))),
    }
    far.handle().write(SAID);
    settle(&event_loop).unwrap();
    far.handle().abort();
    settle(&event_loop).unwrap();
    (event_loop, log)
}

fn assert_all_was_delivered(event_loop: &EventLoop, near: &Log) {
    run_until(event_loop, "connection_lost", || near.is_lost());
    assert_eq!(near.received(), SAID);
    assert_eq!(near.cause().unwrap().io_kind, Some(std::io::ErrorKind::BrokenPipe));
    assert_eq!((near.count(Call::Resume), near.count(Call::Lost)), (0, 1));
}

// 108.
#[test]
fn what_waits_while_reading_is_paused_is_delivered_after_the_resume() {
    let (event_loop, near) = meets_a_dead_peer(|log| Probe::new(log).not_reading(), None);
    near.handle().write(b"to nobody");
    settle(&event_loop).unwrap();
    assert!(!near.is_lost());
    assert!(near.handle().is_closing());
    assert_eq!(near.handle().write(b"more"), WriteStatus::Closed);
    advance(&event_loop, Duration::from_secs(29)).unwrap();
    assert!(!near.is_lost());
    near.handle().resume_reading();
    assert_all_was_delivered(&event_loop, &near);
}

// 108.
#[test]
fn what_waits_is_not_kept_for_ever() {
    let (event_loop, near) = meets_a_dead_peer(|log| Probe::new(log).not_reading(), None);
    near.handle().set_timeout(Timeout::Linger, Some(Duration::from_secs(3)));
    near.handle().write(b"to nobody");
    advance(&event_loop, Duration::from_secs(4)).unwrap();
    assert_eq!(near.cause().unwrap().io_kind, Some(std::io::ErrorKind::BrokenPipe));
    assert_eq!(near.received_len(), 0);
}

// 108.
#[test]
fn what_waits_for_a_protocol_that_pauses_after_each_piece_is_delivered() {
    let paused = |log: &Log| {
        Probe::new(log).not_reading().on_data(|transport, _| {
            transport.write(b"to nobody");
            transport.pause_reading();
            Ok(())
        })
    };
    let (event_loop, near) = meets_a_dead_peer(paused, Some(4));
    for _ in 0..4 {
        assert!(!near.is_lost());
        near.handle().resume_reading();
        settle(&event_loop).unwrap();
    }
    assert_all_was_delivered(&event_loop, &near);
}

// 108.
#[test]
fn what_waits_for_a_read_limit_is_delivered() {
    let limit = RateLimit::bytes_per_second(4).burst(4);
    let throttled = move |log: &Log| {
        Probe::new(log).on_made(move |transport| {
            transport.set_read_limit(Some(limit));
            Ok(())
        })
    };
    let (event_loop, near) = meets_a_dead_peer(throttled, None);
    assert!(near.received_len() < SAID.len());
    near.handle().write(b"to nobody");
    settle(&event_loop).unwrap();
    assert!(!near.is_lost());
    advance(&event_loop, Duration::from_secs(10)).unwrap();
    assert_all_was_delivered(&event_loop, &near);
}

// 108.
#[test]
fn what_was_given_back_is_delivered() {
    let gives_back = |log: &Log| {
        let seen = log.clone();
        Probe::new(log).on_data(move |transport, data| {
            if seen.count(Call::Data) == 1 {
                transport.unread(data.len());
                transport.pause_reading();
            }
            Ok(())
        })
    };
    let (event_loop, near) = meets_a_dead_peer(gives_back, None);
    near.handle().write(b"to nobody");
    settle(&event_loop).unwrap();
    assert!(!near.is_lost());
    near.handle().resume_reading();
    run_until(&event_loop, "connection_lost", || near.is_lost());
    assert_eq!(near.received(), [SAID, SAID].concat(), "once given back, and once kept");
}

// 108, and the hold.
#[test]
fn a_hold_ends_with_the_write_that_fails() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    // Its echo is not read, so that it is held, with input waiting.
    let echo = Buffered(Probe::new(&near).buffer_of(1000).echoing());
    pair(&event_loop, 10_000, echo, Probe::new(&far).not_reading()).unwrap();
    near.handle().set_write_buffer_limits(WaterMarks::from_high(1000)).unwrap();
    far.handle().write(&[7; 40_000]);
    settle(&event_loop).unwrap();
    assert!(!near.handle().is_reading() && !near.is_lost());
    let held_at = near.received_len();
    assert!(held_at < 40_000);
    // Nothing of the peer's own is unread but the echo: gone, it resets.
    far.handle().abort();
    run_until(&event_loop, "connection_lost", || near.is_lost());
    assert!(near.cause().is_some());
    assert_eq!(near.count(Call::Resume), 0, "{:?}", near.calls().last());
}

// 108: with nothing waiting the error is not kept.
#[test]
fn an_error_is_told_at_once_when_nothing_waits() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    pair(&event_loop, 64, Probe::new(&near).not_reading(), Probe::new(&far)).unwrap();
    far.handle().abort();
    settle(&event_loop).unwrap();
    near.handle().write(b"to nobody");
    settle(&event_loop).unwrap();
    assert!(near.is_lost());
    assert!(near.cause().is_some());
}

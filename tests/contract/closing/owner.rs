//! The value that owns the loop: dropping it closes.

use wharf::testing;

use crate::loops::{memory_loop, system_loop};
use crate::probes::{Log, Noting};

// 26.
#[test]
fn the_owner_closes_the_loop_and_clones_do_not_keep_it_open() {
    let event_loop = system_loop();
    let clone = event_loop.clone();
    drop(event_loop.clone());
    assert!(!clone.is_closed());
    drop(event_loop);
    assert!(clone.is_closed());
}

// 26.
#[test]
fn an_owner_that_is_dropped_by_a_callback_stops_the_loop_and_closes_it() {
    let event_loop = memory_loop();
    let clone = event_loop.clone();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    testing::pair(&event_loop, 64, first, second).unwrap();
    log.take();
    clone.call_soon({
        let log = log.clone();
        move || {
            drop(event_loop);
            log.add("dropped");
        }
    });
    clone.call_soon(log.adds("same round"));
    clone.run_forever().unwrap();
    assert_eq!(log.entries(), ["dropped", "same round", "first lost", "second lost"]);
    assert!(clone.is_closed());
    assert!(clone.run_forever().unwrap_err().is_closed());
}

// 26.
#[test]
fn an_owner_that_is_dropped_inside_a_protocols_callback_closes_the_loop_after_it() {
    let event_loop = memory_loop();
    let clone = event_loop.clone();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    let (first, _) = testing::pair(&event_loop, 64, first, second).unwrap();
    log.take();
    first
        .with(|_, _| {
            drop(event_loop);
            log.add("in the callback");
        })
        .unwrap();
    assert_eq!(log.entries(), ["in the callback", "first lost", "second lost"]);
    assert!(clone.is_closed());
}

// 26.
#[test]
fn an_owner_inside_the_run_closes_the_loop_when_the_run_ends() {
    let event_loop = memory_loop();
    let clone = event_loop.clone();
    let output = clone
        .run_until_complete(async move {
            drop(event_loop);
            5
        })
        .unwrap();
    assert_eq!(output, 5);
    assert!(clone.is_closed());
}

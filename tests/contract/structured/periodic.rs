//! `call_every`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{MissedTickBehavior, PeriodicHandle};

use super::{nothing_is_left, seconds};
use crate::loops::{memory_loop, system_loop};
use crate::probes::{Log, keeping, reports, work_for};

#[test]
fn a_periodic_callback_is_called_each_time_its_period_has_passed() {
    let event_loop = memory_loop();
    let began = event_loop.time();
    let (log, clock) = (Log::default(), event_loop.clone());
    let handle = event_loop.call_every(seconds(10), {
        let log = log.clone();
        move || log.add((clock.time() - began).as_secs().to_string())
    });
    assert_eq!(handle.when() - began, seconds(10));
    advance(&event_loop, seconds(9)).unwrap();
    assert_eq!(log.len(), 0, "never early");
    advance(&event_loop, seconds(21)).unwrap();
    assert_eq!(log.take(), ["10", "20", "30"]);
    assert_eq!(handle.when() - began, seconds(40));
    // Dropping the handle changes nothing, cancelling ends it.
    drop(handle.clone());
    advance(&event_loop, seconds(10)).unwrap();
    assert_eq!(log.take(), ["40"]);
    assert!(!handle.is_cancelled());
    handle.cancel();
    handle.cancel();
    assert!(handle.is_cancelled());
    advance(&event_loop, seconds(100)).unwrap();
    assert_eq!(log.len(), 0);
    nothing_is_left(&event_loop);
}

#[test]
fn a_periodic_callback_may_cancel_itself_and_is_then_dropped() {
    let event_loop = memory_loop();
    let log = Log::default();
    let own: Rc<RefCell<Option<PeriodicHandle>>> = Rc::default();
    let handle = event_loop.call_every(seconds(1), {
        let (own, log, guard) = (Rc::clone(&own), log.clone(), log.adds_on_drop("dropped"));
        move || {
            let _ = &guard;
            own.borrow().as_ref().unwrap().cancel();
            log.add("called");
        }
    });
    *own.borrow_mut() = Some(handle);
    advance(&event_loop, seconds(5)).unwrap();
    assert_eq!(log.entries(), ["called", "dropped"]);
    nothing_is_left(&event_loop);
}

#[test]
fn a_periodic_callback_that_panics_is_reported_and_goes_on() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let handle = event_loop.call_every(seconds(1), || panic!("on purpose"));
    advance(&event_loop, seconds(3)).unwrap();
    assert_eq!(reports.entries(), ["a callback panicked: on purpose"; 3]);
    handle.cancel();
}

#[test]
fn missed_calls_are_made_up_for_or_left_out() {
    let period = Duration::from_millis(1);
    for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
    {
        let event_loop = system_loop();
        let own: Rc<RefCell<Option<PeriodicHandle>>> = Rc::default();
        let mut calls = 0;
        let handle = event_loop.call_every(period, {
            let (own, event_loop, mut first) = (Rc::clone(&own), event_loop.clone(), None);
            move || {
                let handle = own.borrow().clone().unwrap();
                calls += 1;
                if calls == 1 {
                    first = Some(handle.when() - period);
                    // The loop is held up for some periods.
                    work_for(8 * period);
                    return;
                }
                let first = first.unwrap();
                let next = handle.when() - first;
                match behavior {
                    MissedTickBehavior::Burst => assert_eq!(next, 2 * period),
                    MissedTickBehavior::Delay => assert!(next >= 9 * period, "{next:?}"),
                    _ => {
                        assert!(next > 8 * period, "{next:?}");
                        assert_eq!(next.as_nanos() % period.as_nanos(), 0, "{next:?}");
                    }
                }
                handle.cancel();
                event_loop.stop();
            }
        });
        assert_eq!(handle.missed_tick_behavior(), MissedTickBehavior::Burst);
        handle.set_missed_tick_behavior(behavior);
        assert_eq!(handle.missed_tick_behavior(), behavior);
        *own.borrow_mut() = Some(handle);
        let failed = reports(&event_loop);
        crate::probes::run_forever(&event_loop);
        assert_eq!(failed.entries(), [""; 0], "{behavior:?}");
    }
}

#[test]
fn a_period_of_zero_is_once_a_tick() {
    let event_loop = memory_loop();
    let log = Log::default();
    let handle = event_loop.call_every(Duration::ZERO, log.adds("called"));
    for _ in 0..4 {
        step(&event_loop).unwrap();
    }
    assert!((3..=4).contains(&log.len()), "{}", log.len());
    handle.cancel();
    nothing_is_left(&event_loop);
}

#[test]
fn the_end_of_the_loop_drops_a_periodic_callback() {
    let event_loop = memory_loop();
    let log = Log::default();
    let handle = event_loop.call_every(seconds(1), keeping(log.adds_on_drop("dropped")));
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["dropped"]);
    assert!(handle.is_cancelled());
    handle.cancel();
    let refused = event_loop.call_every(seconds(1), keeping(log.adds_on_drop("refused")));
    assert_eq!(log.entries(), ["refused"]);
    assert!(refused.is_cancelled());
}

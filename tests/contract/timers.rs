//! `call_later`, `call_at` and what they give.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::testing::{advance, step};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, holding, run_forever};

/// Numbers that look random and are the same in every run.
fn random_numbers() -> impl FnMut(u64) -> u64 {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

// 6.
#[test]
fn a_timer_is_never_early() {
    let event_loop = system_loop();
    let mut random = random_numbers();
    let lateness = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..100 {
        let delay = Duration::from_nanos(random(20_000_000));
        let due = Instant::now() + delay;
        let lateness = Rc::clone(&lateness);
        event_loop.call_later(delay, move || {
            lateness.borrow_mut().push(Instant::now().checked_duration_since(due));
        });
    }
    event_loop.call_later(Duration::from_millis(20), {
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    run_forever(&event_loop);
    assert_eq!(lateness.borrow().len(), 100);
    assert!(lateness.borrow().iter().all(Option::is_some), "early: {lateness:?}");
}

// 6.
#[test]
fn a_delay_counts_from_the_call_not_from_the_tick() {
    let event_loop = system_loop();
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || {
            // What the tick began with is old by now.
            crate::probes::work_for(Duration::from_millis(10));
            let due = Instant::now() + Duration::from_millis(5);
            let inner = event_loop.clone();
            event_loop.call_later(Duration::from_millis(5), move || {
                assert!(Instant::now() >= due);
                inner.stop();
            });
        }
    });
    run_forever(&event_loop);
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 7.
#[test]
fn equal_deadlines_are_called_in_the_order_of_scheduling() {
    let event_loop = memory_loop();
    let log = Log::default();
    let when = event_loop.time() + Duration::from_millis(100);
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for name in &expected {
        event_loop.call_at(when, log.adds(name));
    }
    advance(&event_loop, Duration::from_millis(100)).unwrap();
    assert_eq!(log.entries(), expected);
}

// 7.
#[test]
fn timers_are_called_in_the_order_of_their_deadlines() {
    let event_loop = memory_loop();
    let mut random = random_numbers();
    let called = Rc::new(RefCell::new(Vec::new()));
    let start = event_loop.time();
    let mut expected = Vec::new();
    for number in 0..2000 {
        // Many in one slot of any wheel, many equal, some far away.
        let delay = match random(4) {
            0 => random(50),
            1 => random(1_000_000),
            2 => random(500) * 1_000_000,
            _ => random(100) * 1_000_000_000,
        };
        expected.push((delay, number));
        let called = Rc::clone(&called);
        event_loop.call_at(start + Duration::from_nanos(delay), move || {
            called.borrow_mut().push((delay, number));
        });
    }
    expected.sort_unstable();
    // All at once, after a time in which the loop did not run at all: the order is the same.
    let half = Duration::from_secs(50);
    advance(&event_loop, half).unwrap();
    advance(&event_loop, half).unwrap();
    assert_eq!(*called.borrow(), expected);
}

// 7.
#[test]
fn timers_that_are_due_together_are_called_in_order_too() {
    let event_loop = system_loop();
    let log = Log::default();
    let now = Instant::now();
    for (name, micros) in [("c", 900), ("a", 100), ("d", 900), ("b", 500)] {
        event_loop.call_at(now + Duration::from_micros(micros), log.adds(name));
    }
    crate::probes::work_for(Duration::from_millis(2));
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["a", "b", "c", "d"]);
}

// 8.
#[test]
fn a_delay_of_zero_means_the_next_tick_after_what_is_ready() {
    let event_loop = memory_loop();
    let log = Log::default();
    let now = event_loop.time();
    event_loop.call_later(Duration::ZERO, log.adds("zero"));
    event_loop.call_at(now, log.adds("now"));
    event_loop.call_soon({
        let (log, event_loop) = (log.clone(), event_loop.clone());
        move || {
            log.add("soon");
            event_loop.call_later(Duration::ZERO, log.adds("zero, made in a round"));
        }
    });
    step(&event_loop).unwrap();
    assert_eq!(log.take(), ["soon", "zero", "now"]);
    step(&event_loop).unwrap();
    assert_eq!(log.take(), ["zero, made in a round"]);
}

// 8.
#[test]
fn deadlines_in_the_past_are_called_earliest_first() {
    let event_loop = memory_loop();
    advance(&event_loop, Duration::from_secs(10)).unwrap();
    let log = Log::default();
    let now = event_loop.time();
    for seconds in [1, 5, 3] {
        event_loop.call_at(now - Duration::from_secs(seconds), log.adds(&seconds.to_string()));
    }
    // Before the loop was made: as due as can be.
    event_loop.call_at(now - Duration::from_secs(11), log.adds("11"));
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["11", "5", "3", "1"]);
}

// 10.
#[test]
fn the_longest_delay_is_accepted_and_can_be_cancelled() {
    let event_loop = system_loop();
    let log = Log::default();
    let timer = event_loop.call_later(Duration::MAX, log.adds("never"));
    let other = event_loop.call_later(Duration::from_secs(1 << 55), log.adds("never either"));
    assert!(timer.when() > Instant::now() + Duration::from_secs(86_400 * 365));
    let mut sleep = Box::pin(event_loop.sleep(Duration::MAX));
    event_loop
        .run_until_complete(std::future::poll_fn(|context| {
            assert!(sleep.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        }))
        .unwrap();
    step(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().timers, 3);
    timer.cancel();
    other.cancel();
    drop(sleep);
    assert_eq!(event_loop.statistics().timers, 0);
    assert_eq!(log.len(), 0);
}

// 11.
#[test]
fn a_cancelled_timer_leaves_at_once() {
    let event_loop = memory_loop();
    let handles: Vec<_> = (1..=1000)
        .map(|millis| event_loop.call_later(Duration::from_millis(millis), || {}))
        .collect();
    assert_eq!(event_loop.statistics().timers, 1000);
    for handle in &handles[1..] {
        handle.cancel();
    }
    assert_eq!(event_loop.statistics().timers, 1);
    settle(&event_loop).unwrap();
    let before = event_loop.statistics().ticks;
    advance(&event_loop, Duration::from_secs(2)).unwrap();
    assert_eq!(event_loop.statistics().timers, 0);
    assert!(event_loop.statistics().ticks - before < 30, "cancelled timers do not wake the loop");
}

// 12.
#[test]
fn when_stays_the_same_after_the_call_and_after_cancelling() {
    let event_loop = memory_loop();
    let when = event_loop.time() + Duration::from_millis(5);
    let called = event_loop.call_at(when, || {});
    let cancelled = event_loop.call_at(when, || {});
    cancelled.cancel();
    assert_eq!([called.when(), cancelled.when()], [when; 2]);
    advance(&event_loop, Duration::from_secs(1)).unwrap();
    assert_eq!([called.when(), cancelled.when()], [when; 2]);
    assert!(!called.is_cancelled());
    assert!(cancelled.is_cancelled());
}

// 13.
#[test]
fn cancelling_keeps_a_callback_from_being_called_and_drops_it_at_once() {
    let event_loop = memory_loop();
    let log = Log::default();
    let soon = event_loop.call_soon(holding(log.adds_on_drop("soon dropped")));
    let later = event_loop.call_later(Duration::ZERO, holding(log.adds_on_drop("later dropped")));
    soon.cancel();
    later.cancel();
    assert_eq!(log.take(), ["soon dropped", "later dropped"]);
    soon.cancel();
    later.cancel();
    assert!(soon.is_cancelled() && later.is_cancelled());
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().callbacks, 0);
}

// 13.
#[test]
fn a_callback_that_is_ready_can_still_be_cancelled_by_one_before_it() {
    let event_loop = memory_loop();
    let log = Log::default();
    let handles = Rc::new(RefCell::new(None));
    event_loop.call_later(Duration::ZERO, {
        let handles = Rc::clone(&handles);
        move || {
            let Some((soon, timer)): Option<(wharf::CallbackHandle, wharf::TimerHandle)> =
                handles.take()
            else {
                return;
            };
            soon.cancel();
            timer.cancel();
            assert!(soon.is_cancelled() && timer.is_cancelled());
        }
    });
    let timer = event_loop.call_later(Duration::ZERO, log.adds("timer"));
    let inner = event_loop.clone();
    let (log_too, handles_too) = (log.clone(), Rc::clone(&handles));
    event_loop.call_soon(move || {
        let soon = inner.call_soon(log_too.adds("soon"));
        *handles_too.borrow_mut() = Some((soon, timer));
    });
    settle(&event_loop).unwrap();
    assert!(handles.borrow().is_none());
    assert_eq!(log.len(), 0);
}

// 13.
#[test]
fn cancelled_stays_false_after_the_call() {
    let event_loop = memory_loop();
    let soon = event_loop.call_soon(|| {});
    let later = event_loop.call_later(Duration::ZERO, || {});
    settle(&event_loop).unwrap();
    soon.cancel();
    later.cancel();
    assert!(!soon.is_cancelled() && !later.is_cancelled());
}

// 13.
#[test]
fn a_callback_can_cancel_its_own_handle() {
    let event_loop = memory_loop();
    let slot: Rc<RefCell<Option<wharf::TimerHandle>>> = Rc::default();
    let own = Rc::clone(&slot);
    let handle = event_loop.call_later(Duration::ZERO, move || {
        own.borrow().as_ref().unwrap().cancel();
    });
    *slot.borrow_mut() = Some(handle);
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().exceptions, 0);
    assert!(!slot.borrow().as_ref().unwrap().is_cancelled());
}

// 14.
#[test]
fn nothing_keeps_what_a_callback_held_after_it_was_called() {
    let event_loop = memory_loop();
    let held = Rc::new(());
    let soon = event_loop.call_soon(holding(Rc::clone(&held)));
    let later = event_loop.call_later(Duration::from_secs(1), holding(Rc::clone(&held)));
    assert_eq!(Rc::strong_count(&held), 3);
    advance(&event_loop, Duration::from_secs(1)).unwrap();
    assert_eq!(Rc::strong_count(&held), 1, "though {soon:?} and {later:?} are still there");
}

#[test]
fn dropping_a_handle_does_not_cancel() {
    let event_loop = memory_loop();
    let log = Log::default();
    drop(event_loop.call_soon(log.adds("soon")));
    drop(event_loop.call_later(Duration::from_secs(1), log.adds("later")));
    advance(&event_loop, Duration::from_secs(1)).unwrap();
    assert_eq!(log.entries(), ["soon", "later"]);
}

#[test]
fn reset_moves_a_timer_that_was_not_called_yet() {
    let event_loop = memory_loop();
    let log = Log::default();
    let mut moved = event_loop.call_later(Duration::from_secs(1), log.adds("moved"));
    event_loop.call_later(Duration::from_secs(2), log.adds("fixed"));
    advance(&event_loop, Duration::from_millis(500)).unwrap();
    assert!(moved.reset(Duration::from_secs(2)));
    assert_eq!(moved.when(), event_loop.time() + Duration::from_secs(2));
    advance(&event_loop, Duration::from_millis(1999)).unwrap();
    assert_eq!(log.entries(), ["fixed"]);
    advance(&event_loop, Duration::from_millis(1)).unwrap();
    assert_eq!(log.entries(), ["fixed", "moved"]);

    let when = moved.when();
    assert!(!moved.reset(Duration::from_secs(1)), "it was called");
    assert_eq!(moved.when(), when);
    let mut cancelled = event_loop.call_later(Duration::from_secs(1), log.adds("cancelled"));
    cancelled.cancel();
    assert!(!cancelled.reset(Duration::ZERO));
    advance(&event_loop, Duration::from_secs(9)).unwrap();
    assert_eq!(log.len(), 2);
}

#[test]
fn reset_to_an_equal_deadline_goes_behind_those_that_are_there() {
    let event_loop = memory_loop();
    let log = Log::default();
    let mut first = event_loop.call_later(Duration::from_secs(1), log.adds("first"));
    event_loop.call_later(Duration::from_secs(1), log.adds("second"));
    assert!(first.reset(Duration::from_secs(1)));
    advance(&event_loop, Duration::from_secs(1)).unwrap();
    assert_eq!(log.entries(), ["second", "first"]);
}

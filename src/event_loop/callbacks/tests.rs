use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::testing::{MemoryNetwork, advance, step};
use crate::{EventLoop, TimerHandle};

const SECOND: Duration = Duration::from_secs(1);

fn memory_loop() -> EventLoop {
    MemoryNetwork::new().event_loop()
}

#[test]
fn a_handle_is_compact() {
    assert_eq!(size_of::<TimerHandle>(), 24);
}

/// Two timers that are due together; the first does something to the handle of the second.
fn both_due(act: impl FnOnce(&mut TimerHandle) + 'static) -> (EventLoop, Rc<Cell<u32>>, Second) {
    let event_loop = memory_loop();
    let calls = Rc::new(Cell::new(0));
    let second: Second = Rc::default();
    event_loop.call_later(SECOND, {
        let second = Rc::clone(&second);
        move || act(second.borrow_mut().as_mut().unwrap())
    });
    let handle = event_loop.call_later(SECOND, {
        let calls = Rc::clone(&calls);
        move || calls.set(calls.get() + 1)
    });
    *second.borrow_mut() = Some(handle);
    advance(&event_loop, SECOND).unwrap();
    assert_eq!(event_loop.statistics().exceptions, 0);
    (event_loop, calls, second)
}

type Second = Rc<RefCell<Option<TimerHandle>>>;

#[test]
fn a_timer_that_is_due_can_be_cancelled_by_one_before_it() {
    let (event_loop, calls, second) = both_due(|second| {
        second.cancel();
        assert!(second.is_cancelled());
        second.cancel();
    });
    advance(&event_loop, SECOND).unwrap();
    assert_eq!(calls.get(), 0);
    assert_eq!(Rc::strong_count(&calls), 1, "its closure was dropped");
    assert!(second.borrow().as_ref().unwrap().is_cancelled());
    assert_eq!(event_loop.statistics().timers, 0);
}

#[test]
fn a_timer_that_is_due_can_be_reset_by_one_before_it() {
    let (event_loop, calls, second) = both_due(|second| assert!(second.reset(5 * SECOND)));
    assert_eq!(calls.get(), 0, "it is not called at its old time");
    assert_eq!(event_loop.statistics().timers, 1);
    let until = second.borrow().as_ref().unwrap().when() - event_loop.time();
    assert_eq!(until, 5 * SECOND);
    advance(&event_loop, until - Duration::from_nanos(1)).unwrap();
    assert_eq!(calls.get(), 0);
    advance(&event_loop, Duration::from_nanos(1)).unwrap();
    assert_eq!(calls.get(), 1);
    let mut second = second.take().unwrap();
    assert!(!second.is_cancelled() && !second.reset(SECOND));
    second.cancel();
    assert!(!second.is_cancelled(), "it was called");
}

#[test]
fn what_a_cancelled_closure_held_may_use_the_loop_as_it_is_dropped() {
    struct Reschedules(EventLoop);
    impl Drop for Reschedules {
        fn drop(&mut self) {
            self.0.call_later(SECOND, || {});
        }
    }
    let event_loop = memory_loop();
    let held = Reschedules(event_loop.clone());
    let handle = event_loop.call_later(SECOND, move || drop(held));
    handle.cancel();
    assert!(handle.is_cancelled());
    assert_eq!(event_loop.statistics().timers, 1);
}

#[test]
fn closing_drops_the_closures_of_timers() {
    let event_loop = memory_loop();
    let held = Rc::new(());
    let called = event_loop.call_later(Duration::ZERO, || {});
    advance(&event_loop, SECOND).unwrap();
    let mut pending = event_loop.call_later(SECOND, {
        let held = Rc::clone(&held);
        move || drop(held)
    });
    assert!(!pending.is_cancelled());
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&held), 1);
    assert!(pending.is_cancelled() && !called.is_cancelled());
    pending.cancel();
    assert!(pending.is_cancelled() && !pending.reset(SECOND));
    let refused = event_loop.call_later(SECOND, {
        let held = Rc::clone(&held);
        move || drop(held)
    });
    assert_eq!(Rc::strong_count(&held), 1);
    assert!(refused.is_cancelled());
    assert_eq!(event_loop.statistics().timers, 0);
}

#[test]
fn lag_counts_from_the_deadline_that_was_missed_and_not_from_a_cancelled_one() {
    let event_loop = memory_loop();
    // Both in one slot of the wheel, which remembers the earlier deadline.
    let earlier = event_loop.call_later(100 * SECOND, || {});
    event_loop.call_later(101 * SECOND, || {});
    earlier.cancel();
    let clock = event_loop.core().driver.memory().unwrap().clock();
    clock.advance_to(clock.instant_after(101 * SECOND + Duration::from_millis(3)));
    step(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().timers, 0);
    assert_eq!(event_loop.statistics().lag, Duration::from_millis(3));
}

#[test]
fn the_loop_gives_the_memory_of_cancelled_timers_back() {
    let event_loop = memory_loop();
    let handles: Vec<TimerHandle> =
        (0..50_000).map(|_| event_loop.call_later(SECOND, || {})).collect();
    handles.iter().for_each(TimerHandle::cancel);
    assert!(event_loop.core().timers.borrow().needs_expire());
    step(&event_loop).unwrap();
    assert!(!event_loop.core().timers.borrow().needs_expire());
}

#[test]
fn a_slow_timer_is_reported_by_the_type_of_its_closure() {
    let event_loop = memory_loop();
    event_loop.set_slow_callback_duration(Some(Duration::ZERO));
    let said = Rc::new(RefCell::new(String::new()));
    event_loop.set_exception_handler({
        let said = Rc::clone(&said);
        move |_, exception| said.borrow_mut().push_str(exception.message)
    });
    event_loop.call_later(SECOND, || {});
    advance(&event_loop, SECOND).unwrap();
    assert!(said.borrow().contains("a_slow_timer_is_reported"), "{}", said.borrow());
}

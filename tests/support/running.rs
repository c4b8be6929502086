//! Running a loop until something is so, with a bound.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::EventLoop;
use wharf::testing::{advance, unfenced_panics};

use crate::loops::{are_simulated, settle};

/// No test waits longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Turns the loop until `condition` holds, and fails when it does not in time.
#[track_caller]
pub fn run_until(event_loop: &EventLoop, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        settle(event_loop).expect("the loop runs");
        assert_eq!(unfenced_panics(), 0, "panics passed through the event loop");
        if condition() {
            return;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        assert!(are_simulated() || !is_virtual(event_loop), "the loop came to rest before {what}");
        nap(event_loop, Duration::from_micros(200));
    }
}

/// Turns the loop until nothing is on its way any more.
///
/// On the operating system's sockets loopback delivers at once, so that a few milliseconds without
/// an event mean rest.
#[track_caller]
pub fn rest(event_loop: &EventLoop) {
    settle(event_loop).expect("the loop runs");
    assert_eq!(unfenced_panics(), 0, "panics passed through the event loop");
    if is_virtual(event_loop) {
        return;
    }
    let mut quiet = 0;
    while quiet < 3 {
        let events = event_loop.statistics().events;
        nap(event_loop, Duration::from_millis(1));
        settle(event_loop).expect("the loop runs");
        quiet = if event_loop.statistics().events == events { quiet + 1 } else { 0 };
    }
}

/// Whether the loop's clock is virtual: what has not happened at rest never will by itself.
pub fn is_virtual(event_loop: &EventLoop) -> bool {
    advance(event_loop, Duration::ZERO).is_ok()
}

fn nap(event_loop: &EventLoop, duration: Duration) {
    // A callback may stop the loop: then the nap is a short one.
    let _ = event_loop.run_until_complete(event_loop.sleep(duration));
}

/// What the exception handler of a loop was told.
#[derive(Clone, Default)]
pub struct Reports(Rc<RefCell<Vec<String>>>);

impl Reports {
    /// Has the reports of `event_loop` come here.
    pub fn of(event_loop: &EventLoop) -> Self {
        let reports = Self::default();
        reports.add(event_loop);
        reports
    }

    /// Has those of another loop come here, too.
    pub fn add(&self, event_loop: &EventLoop) {
        let texts = Rc::clone(&self.0);
        event_loop.set_exception_handler(move |_, exception| {
            texts.borrow_mut().push(exception.to_string());
        });
    }

    /// The reports since the last call.
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

//! The rules that hold for all protocols of a thread together.

use std::cell::{Cell, RefCell};

thread_local! {
    pub(super) static DEPTH: Cell<u32> = const { Cell::new(0) };
    pub(super) static MADE: Cell<i64> = const { Cell::new(0) };
    pub(super) static LIVE: Cell<i64> = const { Cell::new(0) };
    static VIOLATIONS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn violate(what: String) {
    VIOLATIONS.with_borrow_mut(|violations| violations.push(what));
}

/// How many callbacks are running on this thread.
pub fn depth() -> u32 {
    DEPTH.get()
}

/// Fails if a rule was broken on this thread: a callback inside another, a connection without its
/// `connection_lost`, a protocol that was not dropped, a panic that passed through a loop's turn.
#[track_caller]
pub fn assert_rules_were_kept() {
    assert_eq!(wharf::testing::unfenced_panics(), 0, "panics passed through the event loop");
    let violations = VIOLATIONS.take();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(MADE.replace(0), 0, "connections without connection_lost");
    assert_eq!(LIVE.get(), 0, "protocols that were not dropped");
}

/// Counts a running callback.
pub struct Inside;

impl Inside {
    pub fn enter(what: &str) -> Self {
        if DEPTH.get() != 0 {
            violate(format!("{what} inside another callback"));
        }
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

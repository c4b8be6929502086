//! What is the user's.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wharf::EventLoop;

/// Calls what is the user's. A panic in it goes to the loop's exception handler, as one in any callback of the loop does,
/// and whoever called goes on.
pub(super) fn call_user(event_loop: &EventLoop, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        event_loop.call_soon(move || resume_unwind(panic));
    }
}

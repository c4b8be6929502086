//! Waking whoever waits, on whichever thread.

use std::task::Waker;

use crate::event_loop::Core;
use crate::fence;

/// Wakes behind the fence. `core` is the loop of this thread, if it is the loop's: it reports a panic.
/// Elsewhere nobody would be told of one.
pub(super) fn wake(core: Option<&Core>, waker: Option<Waker>) {
    let Some(waker) = waker else { return };
    match core {
        Some(core) => core.run_caught("a waker failed", || waker.wake()),
        None => drop(fence::run(|| waker.wake())),
    }
}

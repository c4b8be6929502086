//! What work on a thread can ask: whether anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody still waits for the result of work that runs on a thread.
///
/// [`EventLoop::create_job`](crate::EventLoop::create_job) hands one to the work. A thread cannot be
/// stopped from outside, so work that takes long asks from time to time, and returns early. A clone is
/// the same flag, for threads that help.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Whether nobody waits any more: the future was cancelled or dropped, or the loop has closed. It
    /// stays so. The result is then thrown away.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
}

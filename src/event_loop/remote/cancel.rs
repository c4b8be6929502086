//! Cancelling a callback on one thread while another may be about to call it.

use super::sync::{AtomicU8, Ordering};

const PENDING: u8 = 0;
const STARTED: u8 = 1;
const CANCELLED: u8 = 2;

/// Whether a callback has begun or was cancelled: exactly one of the two happens, and only once.
#[derive(Debug)]
pub(crate) struct CallState(AtomicU8);

impl CallState {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(PENDING))
    }

    /// Whether the callback is to be called now.
    pub(crate) fn start(&self) -> bool {
        self.leave_pending(STARTED)
    }

    /// Whether it was in time.
    pub(crate) fn cancel(&self) -> bool {
        self.leave_pending(CANCELLED)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }

    fn leave_pending(&self, to: u8) -> bool {
        self.0.compare_exchange(PENDING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

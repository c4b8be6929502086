//! `event_loop::remote` of the library, on loom.

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

#[path = "../../../src/event_loop/remote/cancel.rs"]
pub(crate) mod cancel;
#[path = "../../../src/event_loop/remote/queue.rs"]
pub(crate) mod queue;

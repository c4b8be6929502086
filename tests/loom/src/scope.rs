//! `task::structured` of the library, on loom.

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

#[path = "../../../src/task/structured/wake_queue.rs"]
#[allow(dead_code, reason = "the models use a part of it")]
pub(crate) mod wake_queue;

//! `task::threads::channel` of the library, on loom.

mod sync {
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

#[path = "../../../src/task/threads/channel/queue.rs"]
pub(crate) mod queue;

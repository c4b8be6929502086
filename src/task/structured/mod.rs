//! Structured concurrency: what is begun in a part of a program ends with it.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod group;

mod scope;

mod body;
mod child;
mod group_state;
mod scope_state;
mod start;
mod wake_queue;

/// What `wake_queue` synchronizes with.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub use self::child::Child;
pub use self::group::{TaskGroup, task_group};
pub use self::scope::{Scope, scope};
pub use self::start::Ready;

#[cfg(test)]
mod tests;

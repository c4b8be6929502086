//! Who owns what, and what is left when it is given up: every operation cancelled at each of its
//! steps, results that nobody takes, lists that are taken back from.
//!
//! Descriptors are the whole process's, so that the tests of this binary run one at a time.
#![forbid(unsafe_code)]

use wharf_test_support::{encryption, running, serving};

mod held;
mod lists;
mod operations;
mod repeated;
mod results;
mod stage;
mod steps;
mod streams;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by a test for as long as it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

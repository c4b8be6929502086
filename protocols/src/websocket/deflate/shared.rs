//! Compressors between messages.
//!
//! One that keeps nothing from a message to the next is needed only while there is one: the connections of a thread
//! take turns with a few, so that an idle one holds none of the 300 KB that it takes.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A few of a kind, by what they were made with.
pub(super) type Spares<T> = RefCell<Vec<(u32, T)>>;

/// One that was made with `key`, if there is one.
pub(super) fn take<T>(spares: &'static LocalKey<Spares<T>>, key: u32) -> Option<T> {
    let take = |spares: &Spares<T>| {
        let mut spares = spares.borrow_mut();
        let at = spares.iter().position(|spare| spare.0 == key)?;
        Some(spares.swap_remove(at).1)
    };
    // While the thread ends there is none.
    spares.try_with(take).ok().flatten()
}

/// Gives one back, as new.
pub(super) fn give<T>(spares: &'static LocalKey<Spares<T>>, key: u32, spare: T) {
    let _ = spares.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < MAX_COUNT {
            spares.push((key, spare));
        }
    });
}

/// The most that a thread keeps.
const MAX_COUNT: usize = 4;

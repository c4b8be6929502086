//! Lists whose memory follows their length: at most one and a half times it, and a few places.

use std::collections::VecDeque;

/// How many places may be empty in any list.
const SLACK: usize = 4;

/// Adds an item. The list grows by a quarter of its length.
pub(crate) fn push<T>(list: &mut VecDeque<T>, item: T) {
    reserve(list, 1);
    list.push_back(item);
}

/// Adds all items.
pub(crate) fn extend<T>(list: &mut VecDeque<T>, items: impl ExactSizeIterator<Item = T>) {
    reserve(list, items.len());
    list.extend(items);
}

/// Gives back the memory of what is gone, once that is a third of all.
pub(crate) fn fit<T>(list: &mut VecDeque<T>) {
    let len = list.len();
    if list.capacity() > len + len / 2 + SLACK {
        list.shrink_to(len + len / 8);
    }
}

fn reserve<T>(list: &mut VecDeque<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 4).max(SLACK));
    }
}

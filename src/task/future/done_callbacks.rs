//! The done callbacks of one future.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::state::Shared;
use crate::error::Error;
use crate::event_loop::{Cancellable, Core};

pub(super) type DoneCallback<T> = Box<dyn FnOnce(&Result<T, Error>)>;

/// Those that were not called yet, in the order in which they were added. One that is taken back
/// leaves nothing behind.
pub(super) struct DoneCallbacks<T: 'static> {
    /// There from the first one on: most futures are awaited.
    list: RefCell<Option<Box<List<T>>>>,
}

struct List<T: 'static> {
    entries: BTreeMap<u64, Rc<Entry<T>>>,
    next: u64,
}

/// One of them, as its handle sees it.
struct Entry<T: 'static> {
    callback: Cell<Option<DoneCallback<T>>>,
    cancelled: Cell<bool>,
    number: u64,
    shared: Weak<Shared<T>>,
}

impl<T: 'static> DoneCallbacks<T> {
    pub(super) fn add(shared: &Rc<Shared<T>>, callback: DoneCallback<T>) -> Rc<dyn Cancellable> {
        let mut list = shared.callbacks.list.borrow_mut();
        let list = list.get_or_insert_with(|| Box::new(List { entries: BTreeMap::new(), next: 0 }));
        let number = list.next;
        list.next += 1;
        let entry = Rc::new(Entry {
            callback: Cell::new(Some(callback)),
            cancelled: Cell::new(false),
            number,
            shared: Rc::downgrade(shared),
        });
        list.entries.insert(number, Rc::clone(&entry));
        entry
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.borrow().as_ref().is_none_or(|list| list.entries.is_empty())
    }

    /// The place behind the callbacks that are there now.
    pub(super) fn end(&self) -> u64 {
        self.list.borrow().as_ref().map_or(0, |list| list.next)
    }

    /// Takes the first one, if it was there at `end`.
    pub(super) fn pop_before(&self, end: u64) -> Option<DoneCallback<T>> {
        let mut list = self.list.borrow_mut();
        let first = list.as_mut()?.entries.first_entry().filter(|first| *first.key() < end)?;
        first.remove().callback.take()
    }

    fn remove(&self, number: u64) -> Option<Rc<Entry<T>>> {
        self.list.borrow_mut().as_mut()?.entries.remove(&number)
    }

    /// The loop calls none of them.
    #[inline]
    pub(super) fn cancel_all(&self, core: &Core) {
        if !self.is_empty() {
            self.cancel_each(core);
        }
    }

    #[cold]
    fn cancel_each(&self, core: &Core) {
        loop {
            let first = self.list.borrow_mut().as_mut().and_then(|list| list.entries.pop_first());
            let Some((_, entry)) = first else { break };
            entry.cancelled.set(true);
            core.drop_user(entry.callback.take(), "done callback");
        }
    }
}

impl<T: 'static> Default for DoneCallbacks<T> {
    fn default() -> Self {
        Self { list: RefCell::new(None) }
    }
}

impl<T: 'static> Cancellable for Entry<T> {
    fn cancel(&self, core: &Core) {
        let Some(callback) = self.callback.take() else { return };
        self.cancelled.set(true);
        let shared = self.shared.upgrade();
        if let Some(shared) = &shared {
            let entry = shared.callbacks.remove(self.number);
            drop(entry);
        }
        core.drop_user(callback, "done callback");
        if let Some(shared) = shared {
            shared.cancel_if_unwanted();
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

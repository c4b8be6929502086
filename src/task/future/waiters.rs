//! Waiters for the same event.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::{LoopFuture, Promise, future};
use crate::error::Error;
use crate::event_loop::Core;

/// The promises of those who wait for one event. A waiter that gives up leaves the list at once.
pub(crate) struct Waiters<T: 'static>(Rc<List<T>>);

struct List<T: 'static> {
    /// In the order in which they came.
    promises: RefCell<BTreeMap<u64, Promise<T>>>,
    next: Cell<u64>,
}

impl<T: 'static> Waiters<T> {
    /// A future that completes with the event.
    pub(crate) fn wait(&self, core: &Rc<Core>) -> LoopFuture<T> {
        let (promise, result) = future(core);
        let list = &self.0;
        let id = list.next.replace(list.next.get() + 1);
        let weak = Rc::downgrade(list);
        promise.on_cancel_at_once(move || {
            if let Some(list) = weak.upgrade() {
                let promise = list.promises.borrow_mut().remove(&id);
                drop(promise);
            }
        });
        list.promises.borrow_mut().insert(id, promise);
        result
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.promises.borrow().len()
    }

    /// Takes out the one that has waited longest.
    pub(crate) fn pop_first(&self) -> Option<Promise<T>> {
        self.0.promises.borrow_mut().pop_first().map(|(_, promise)| promise)
    }

    /// Completes all that wait now, in order.
    pub(crate) fn tell(&self, outcome: impl Fn() -> Result<T, Error>) {
        let promises = std::mem::take(&mut *self.0.promises.borrow_mut());
        for promise in promises.into_values() {
            promise.set(outcome());
        }
    }
}

impl<T: 'static> Default for Waiters<T> {
    fn default() -> Self {
        Self(Rc::new(List { promises: RefCell::default(), next: Cell::new(0) }))
    }
}

impl<T: 'static> fmt::Debug for Waiters<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Waiters").field(&self.len()).finish()
    }
}

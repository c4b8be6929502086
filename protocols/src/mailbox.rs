//! Waiting in one loop's thread: a list of those who wait, and a queue for one who takes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Those who wait for a change of something.
#[derive(Default)]
pub(crate) struct Notify {
    waiting: RefCell<Vec<Waker>>,
}

impl Notify {
    /// Waits until `look` finds something; it looks again each time that [`wake`](Self::wake) is called.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| self.poll(context, &mut look)).await
    }

    pub(crate) fn poll<T>(
        &self,
        context: &Context<'_>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if let Some(found) = look() {
            return Poll::Ready(found);
        }
        let is_there = self.waiting.borrow().iter().any(|waker| waker.will_wake(context.waker()));
        if !is_there {
            let waker = context.waker().clone();
            self.waiting.borrow_mut().push(waker);
        }
        Poll::Pending
    }

    pub(crate) fn wake(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// A queue that ends.
pub(crate) struct Mailbox<T> {
    items: RefCell<VecDeque<T>>,
    has_ended: Cell<bool>,
    changed: Notify,
    emptied: Notify,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: RefCell::default(),
            has_ended: Cell::new(false),
            changed: Notify::default(),
            emptied: Notify::default(),
        }
    }

    /// `false`: the queue has ended, and the item was dropped.
    pub(crate) fn push(&self, item: T) -> bool {
        if self.has_ended.get() {
            return false;
        }
        self.items.borrow_mut().push_back(item);
        self.changed.wake();
        true
    }

    pub(crate) fn drop_oldest(&self) {
        let oldest = self.items.borrow_mut().pop_front();
        drop(oldest);
    }

    /// What is in the queue can still be taken.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
        self.changed.wake();
        if self.is_empty() {
            self.emptied.wake();
        }
    }

    /// Drops what nobody will take.
    pub(crate) fn clear(&self) {
        let items = self.items.take();
        drop(items);
        self.emptied.wake();
    }

    /// The next item; `None` at the end.
    pub(crate) async fn next(&self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<T>> {
        self.changed.poll(context, || match self.try_next() {
            Some(item) => Some(Some(item)),
            None if self.has_ended.get() => Some(None),
            None => None,
        })
    }

    pub(crate) fn try_next(&self) -> Option<T> {
        let item = self.items.borrow_mut().pop_front();
        if item.is_some() && self.is_empty() {
            self.emptied.wake();
        }
        item
    }

    #[cfg(feature = "nats")]
    pub(crate) async fn empty(&self) {
        self.emptied.wait_for(|| self.is_empty().then_some(())).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

//! Waiting in one loop's thread: a list of those who wait, a queue for one who takes, and news for everybody.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
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

/// A function that is told of something.
pub(crate) type Callback<T> = Rc<dyn Fn(&T)>;

/// How many pieces of news wait for one who takes them; the oldest are dropped.
const KEPT_NEWS: usize = 64;

/// News for callbacks and for streams.
pub(crate) struct Broadcast<T> {
    callbacks: RefCell<Vec<Callback<T>>>,
    queues: RefCell<Vec<Weak<Mailbox<T>>>>,
}

impl<T: Clone> Broadcast<T> {
    pub(crate) fn new(callbacks: Vec<Callback<T>>) -> Self {
        Self { callbacks: RefCell::new(callbacks), queues: RefCell::default() }
    }

    pub(crate) fn add(&self, callback: Callback<T>) {
        self.callbacks.borrow_mut().push(callback);
    }

    /// A queue that is told everything from now on, as long as somebody has it.
    pub(crate) fn stream(&self) -> Rc<Mailbox<T>> {
        let queue = Rc::new(Mailbox::new());
        self.queues.borrow_mut().push(Rc::downgrade(&queue));
        queue
    }

    pub(crate) fn tell(&self, news: &T, is_last: bool) {
        // They may add others, and do anything with whoever tells.
        let callbacks = self.callbacks.borrow().clone();
        for callback in callbacks {
            callback(news);
        }
        let queues: Vec<_> = self.queues.borrow().iter().filter_map(Weak::upgrade).collect();
        for queue in &queues {
            if queue.len() >= KEPT_NEWS {
                queue.drop_oldest();
            }
            queue.push(news.clone());
            if is_last {
                queue.end();
            }
        }
        self.queues.borrow_mut().retain(|queue| queue.strong_count() > 0);
    }
}

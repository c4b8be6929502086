//! Handing things over in one loop's thread: a queue for one who takes, and news for everybody.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use crate::notify::WakerSlot;

/// A queue that ends.
pub(crate) struct Mailbox<T> {
    items: RefCell<VecDeque<T>>,
    has_ended: Cell<bool>,
    /// Whoever takes.
    taker: WakerSlot,
    #[cfg(feature = "nats")]
    emptied: crate::notify::Notify,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: RefCell::default(),
            has_ended: Cell::new(false),
            taker: WakerSlot::default(),
            #[cfg(feature = "nats")]
            emptied: crate::notify::Notify::default(),
        }
    }

    /// `false`: the queue has ended, and the item was dropped.
    pub(crate) fn push(&self, item: T) -> bool {
        if self.has_ended.get() {
            return false;
        }
        self.items.borrow_mut().push_back(item);
        self.taker.wake();
        true
    }

    pub(crate) fn drop_oldest(&self) {
        let oldest = self.items.borrow_mut().pop_front();
        drop(oldest);
    }

    /// What is in the queue can still be taken.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
        self.taker.wake();
        if self.is_empty() {
            self.tell_emptied();
        }
    }

    /// Drops what nobody will take.
    pub(crate) fn clear(&self) {
        let items = self.items.take();
        drop(items);
        self.tell_emptied();
    }

    /// The next item; `None` at the end.
    pub(crate) async fn next(&self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<T>> {
        match self.try_next() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.has_ended.get() => Poll::Ready(None),
            None => {
                self.taker.keep(context.waker());
                Poll::Pending
            }
        }
    }

    pub(crate) fn try_next(&self) -> Option<T> {
        let item = self.items.borrow_mut().pop_front();
        if item.is_some() && self.is_empty() {
            self.tell_emptied();
        }
        item
    }

    /// Waits until everything was taken.
    #[cfg(feature = "nats")]
    pub(crate) async fn empty(&self) {
        self.emptied.wait_for(|| self.is_empty().then_some(())).await;
    }

    fn tell_emptied(&self) {
        #[cfg(feature = "nats")]
        self.emptied.wake();
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

/// News for callbacks and for streams, up to the last.
pub(crate) struct Broadcast<T> {
    callbacks: RefCell<Vec<Callback<T>>>,
    queues: RefCell<Vec<Weak<Mailbox<T>>>>,
    has_ended: Cell<bool>,
}

impl<T: Clone> Broadcast<T> {
    pub(crate) fn new(callbacks: Vec<Callback<T>>) -> Self {
        let (callbacks, queues) = (RefCell::new(callbacks), RefCell::default());
        Self { callbacks, queues, has_ended: Cell::new(false) }
    }

    pub(crate) fn add(&self, callback: Callback<T>) {
        if !self.has_ended.get() {
            self.callbacks.borrow_mut().push(callback);
        }
    }

    /// As [`stream`](Self::stream), with something to begin with.
    pub(crate) fn stream_from(&self, first: T) -> Rc<Mailbox<T>> {
        let queue = Rc::new(Mailbox::new());
        queue.push(first);
        self.attach(&queue);
        queue
    }

    /// A queue that is told everything from now on, as long as somebody has it. After the last it has ended.
    #[cfg(feature = "nats")]
    pub(crate) fn stream(&self) -> Rc<Mailbox<T>> {
        let queue = Rc::new(Mailbox::new());
        self.attach(&queue);
        queue
    }

    fn attach(&self, queue: &Rc<Mailbox<T>>) {
        if self.has_ended.get() {
            queue.end();
        } else {
            self.queues.borrow_mut().push(Rc::downgrade(queue));
        }
    }

    pub(crate) fn tell(&self, news: &T) {
        for queue in self.live_queues() {
            if queue.len() >= KEPT_NEWS {
                queue.drop_oldest();
            }
            queue.push(news.clone());
        }
        // They may add others, and do anything with whoever tells.
        let callbacks = self.callbacks.borrow().clone();
        for callback in callbacks {
            callback(news);
        }
    }

    /// Tells the last, after which callbacks are let go: one may hold whoever tells, which would otherwise never be dropped.
    pub(crate) fn tell_last(&self, news: &T) {
        self.has_ended.set(true);
        for queue in self.live_queues() {
            queue.push(news.clone());
            queue.end();
        }
        let callbacks = self.callbacks.take();
        for callback in callbacks {
            callback(news);
        }
    }

    fn live_queues(&self) -> Vec<Rc<Mailbox<T>>> {
        let mut queues = self.queues.borrow_mut();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.iter().filter_map(Weak::upgrade).collect()
    }
}

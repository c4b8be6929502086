//! Which tasks of a scope were woken.
//!
//! `tests/loom` compiles this file with loom's atomics and locks in place of the standard library's
//! (`super::sync`), and runs it in every order that threads can have.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// The keys of tasks that were woken, and the waker of the scope's own future. Wakers go to other threads.
pub(crate) struct WakeQueue<K> {
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    woken: VecDeque<K>,
    /// In an `Arc` of our own, so that nothing of the user's runs while the lock is held.
    parent: Option<Arc<Waker>>,
    /// The scope's future was woken, or is being polled: it will look.
    is_told: bool,
    is_closed: bool,
}

impl<K> WakeQueue<K> {
    pub(crate) fn new() -> Self {
        let woken = VecDeque::new();
        Self { inner: Mutex::new(Inner { woken, parent: None, is_told: false, is_closed: false }) }
    }

    /// The scope's future is polled: until [`end_turn`](Self::end_turn) it need not be woken. Returns how many
    /// tasks were woken before, and the waker that another has replaced, to be dropped.
    pub(crate) fn begin_turn(&self, waker: &Waker) -> (usize, Option<Arc<Waker>>) {
        let is_known = {
            let mut inner = self.lock();
            inner.is_told = true;
            inner.parent.as_ref().is_some_and(|parent| parent.will_wake(waker))
        };
        // What is the user's runs while the lock is free.
        let parent = if is_known { None } else { Some(Arc::new(waker.clone())) };
        let mut inner = self.lock();
        let former = match parent {
            Some(parent) => inner.parent.replace(parent),
            None => None,
        };
        (inner.woken.len(), former)
    }

    /// The first task that was woken.
    pub(crate) fn pop(&self) -> Option<K> {
        self.lock().woken.pop_front()
    }

    /// The scope's future returns. Returns whether tasks were woken meanwhile, so that it has to be polled again.
    pub(crate) fn end_turn(&self) -> bool {
        let mut inner = self.lock();
        inner.is_told = !inner.woken.is_empty();
        inner.is_told
    }

    /// The scope is over: wakers that are left do nothing any more. Returns the future's, to be dropped.
    pub(crate) fn close(&self) -> Option<Arc<Waker>> {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.woken = VecDeque::new();
        inner.parent.take()
    }

    /// Wakes the scope's future.
    pub(crate) fn tell(&self) {
        self.tell_of(None);
    }

    fn tell_of(&self, woken: Option<K>) {
        let parent = {
            let mut inner = self.lock();
            if inner.is_closed {
                return;
            }
            inner.woken.extend(woken);
            if std::mem::replace(&mut inner.is_told, true) { None } else { inner.parent.clone() }
        };
        if let Some(parent) = parent {
            parent.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one task of a scope: it is then in the queue once, however often it is woken.
pub(crate) struct ChildWaker<K> {
    queue: Arc<WakeQueue<K>>,
    key: K,
    is_queued: AtomicBool,
}

impl<K> ChildWaker<K> {
    pub(crate) fn new(queue: &Arc<WakeQueue<K>>, key: K) -> Arc<Self> {
        Arc::new(Self { queue: Arc::clone(queue), key, is_queued: AtomicBool::new(false) })
    }

    /// The task is about to be polled: a wake from now on is a new one.
    pub(crate) fn unqueue(&self) {
        // It acquires, too: what was written before a wake that changed nothing is to be seen by this poll.
        self.is_queued.swap(false, Ordering::AcqRel);
    }
}

impl<K: Copy + Send + Sync + 'static> Wake for ChildWaker<K> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.queue.tell_of(Some(self.key));
        }
    }
}

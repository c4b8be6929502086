//! Which tasks of a scope were woken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::event_loop::Core;

/// The numbers of tasks that were woken, and the waker of the scope's own future. Wakers go to other threads.
#[derive(Default)]
pub(super) struct WakeQueue {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    woken: VecDeque<u64>,
    /// In an `Arc` of our own, so that nothing of the user's runs while the lock is held.
    parent: Option<Arc<Waker>>,
    /// The scope's future was woken, or is being polled: it will look.
    is_told: bool,
    is_closed: bool,
}

impl WakeQueue {
    /// The scope's future is polled: until [`end_turn`](Self::end_turn) it need not be woken. Returns how many
    /// tasks were woken before.
    pub(super) fn begin_turn(&self, core: &Core, waker: &Waker) -> usize {
        let is_known = {
            let mut inner = self.lock();
            inner.is_told = true;
            inner.parent.as_ref().is_some_and(|parent| parent.will_wake(waker))
        };
        if !is_known {
            let parent = Arc::new(waker.clone());
            let former = self.lock().parent.replace(parent);
            core.drop_user(former, "waker");
        }
        self.lock().woken.len()
    }

    /// The first task that was woken.
    pub(super) fn pop(&self) -> Option<u64> {
        self.lock().woken.pop_front()
    }

    /// The scope's future returns. Returns whether tasks were woken meanwhile, so that it has to be polled again.
    pub(super) fn end_turn(&self) -> bool {
        let mut inner = self.lock();
        inner.is_told = !inner.woken.is_empty();
        inner.is_told
    }

    /// The scope is over: wakers that are left do nothing any more.
    pub(super) fn close(&self, core: &Core) {
        let parent = {
            let mut inner = self.lock();
            inner.is_closed = true;
            inner.woken = VecDeque::new();
            inner.parent.take()
        };
        core.drop_user(parent, "waker");
    }

    /// Wakes the scope's future.
    pub(super) fn tell(&self) {
        self.tell_of(None);
    }

    fn tell_of(&self, woken: Option<u64>) {
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one task of a scope: it is then in the queue once, however often it is woken.
pub(super) struct ChildWaker {
    queue: Arc<WakeQueue>,
    id: u64,
    is_queued: AtomicBool,
}

impl ChildWaker {
    pub(super) fn new(queue: &Arc<WakeQueue>, id: u64) -> Arc<Self> {
        Arc::new(Self { queue: Arc::clone(queue), id, is_queued: AtomicBool::new(false) })
    }

    /// The task is about to be polled: a wake from now on is a new one.
    pub(super) fn unqueue(&self) {
        self.is_queued.store(false, Ordering::Release);
    }
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.queue.tell_of(Some(self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Parent(AtomicUsize);

    impl Wake for Parent {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_task_is_queued_once_and_the_scope_woken_once() {
        let event_loop = crate::testing::MemoryNetwork::new().event_loop();
        let core = event_loop.core();
        let parent = Arc::new(Parent::default());
        let waker = Waker::from(Arc::clone(&parent));
        let woken = || parent.0.load(Ordering::Relaxed);
        let queue = Arc::new(WakeQueue::default());
        let tasks = [1, 2].map(|id| ChildWaker::new(&queue, id));

        assert_eq!(queue.begin_turn(core, &waker), 0);
        tasks[0].wake_by_ref();
        assert_eq!(woken(), 0, "it is being polled");
        assert!(queue.end_turn());
        assert_eq!(queue.begin_turn(core, &waker), 1);
        assert_eq!(queue.pop(), Some(1));
        tasks[0].unqueue();
        assert!(!queue.end_turn());

        for _ in 0..3 {
            tasks[1].wake_by_ref();
            tasks[0].wake_by_ref();
        }
        assert_eq!(woken(), 1);
        assert_eq!(queue.begin_turn(core, &waker), 2);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(2), Some(1), None));
        // One waker in the queue, and two others here.
        assert_eq!(Arc::strong_count(&parent), 3);

        queue.close(core);
        tasks[0].unqueue();
        tasks[0].wake_by_ref();
        assert_eq!((queue.pop(), woken(), Arc::strong_count(&parent)), (None, 1, 2));
    }
}

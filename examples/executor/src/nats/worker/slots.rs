//! Who runs next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use wharf::{EventLoop, Promise};

use crate::nats::names::Class;
use crate::nats::turns::Turns;

/// Places to run tasks in, and those who wait for one. A clone is the same.
#[derive(Clone)]
pub(super) struct Slots {
    event_loop: EventLoop,
    inner: Rc<Inner>,
}

struct Inner {
    free: Cell<usize>,
    is_closed: Cell<bool>,
    turns: RefCell<Turns>,
    waiting: RefCell<[VecDeque<Promise<Slot>>; Class::ALL.len()]>,
}

/// A place, which is free again when this is dropped.
pub(super) struct Slot(Rc<Inner>);

impl Slots {
    pub(super) fn new(event_loop: &EventLoop, count: usize) -> Self {
        let inner = Inner {
            free: Cell::new(count),
            is_closed: Cell::new(false),
            turns: RefCell::default(),
            waiting: RefCell::default(),
        };
        Self { event_loop: event_loop.clone(), inner: Rc::new(inner) }
    }

    /// Waits for a place; `None`: there is none any more. High classes go first, within one who came first.
    pub(super) async fn turn(&self, class: Class) -> Option<Slot> {
        let turn = {
            if self.inner.is_closed.get() {
                return None;
            }
            let (promise, turn) = self.event_loop.create_future();
            self.inner.waiting.borrow_mut()[class as usize].push_back(promise);
            turn
        };
        Inner::hand_out(&self.inner);
        turn.await.ok()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.is_closed.get()
    }

    /// There are places again.
    pub(super) fn open(&self) {
        self.inner.is_closed.set(false);
    }

    /// Nobody gets a place any more.
    pub(super) fn close(&self) {
        self.inner.is_closed.set(true);
        let waiting = std::mem::take(&mut *self.inner.waiting.borrow_mut());
        drop(waiting);
    }
}

impl Inner {
    fn hand_out(inner: &Rc<Self>) {
        while inner.free.get() > 0 {
            let promise = {
                let mut waiting = inner.waiting.borrow_mut();
                for class in &mut *waiting {
                    while class.front().is_some_and(Promise::is_cancelled) {
                        class.pop_front();
                    }
                }
                let is_waiting = |class: Class| !waiting[class as usize].is_empty();
                let Some(class) = inner.turns.borrow_mut().next(is_waiting) else { return };
                waiting[class as usize].pop_front()
            };
            let Some(promise) = promise else { return };
            inner.free.set(inner.free.get() - 1);
            // It comes back by itself if nobody takes it.
            let refused = promise.set_result(Slot(Rc::clone(inner)));
            drop(refused);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        Inner::hand_out(&self.0);
    }
}

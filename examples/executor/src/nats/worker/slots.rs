//! Who runs next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
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
    /// The numbers of those that are free.
    free: RefCell<BTreeSet<usize>>,
    is_closed: Cell<bool>,
    turns: RefCell<Turns>,
    waiting: RefCell<[VecDeque<Promise<Slot>>; Class::ALL.len()]>,
}

/// A place, which is free again when this is dropped.
pub(super) struct Slot {
    number: usize,
    inner: Rc<Inner>,
}

impl Slots {
    pub(super) fn new(event_loop: &EventLoop, count: usize) -> Self {
        let inner = Inner {
            free: RefCell::new((0..count).collect()),
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
        loop {
            let Some(number) = inner.free.borrow().first().copied() else { return };
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
            inner.free.borrow_mut().remove(&number);
            // It comes back by itself if nobody takes it.
            let refused = promise.set_result(Slot { number, inner: Rc::clone(inner) });
            drop(refused);
        }
    }
}

impl Slot {
    /// Which one; 0 is the first.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.inner.free.borrow_mut().insert(self.number);
        Inner::hand_out(&self.inner);
    }
}

#[cfg(test)]
mod tests {
    use wharf::testing::MemoryNetwork;

    use super::*;

    #[test]
    fn the_first_place_that_is_free_is_given_and_keeps_its_number() {
        let main = async |event_loop: EventLoop| {
            let slots = Slots::new(&event_loop, 2);
            let turn = async || slots.turn(Class::Normal).await.ok_or("closed");
            let (first, second) = (turn().await?, turn().await?);
            assert_eq!((first.number(), second.number()), (0, 1));
            drop(first);
            let third = turn().await?;
            assert_eq!((third.number(), second.number()), (0, 1));
            Ok(())
        };
        MemoryNetwork::new().event_loop().run(main).unwrap();
    }
}

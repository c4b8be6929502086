//! Readiness that no operating system reports.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::memory::Participant;
use super::{Key, Readiness};

/// Readiness of memory sockets, which no operating system reports: any loop can drive them.
pub(crate) type Signals = Rc<SignalQueue>;

/// What is ready on a loop, in the order in which it has become so.
#[derive(Default)]
pub(crate) struct SignalQueue {
    list: RefCell<VecDeque<(Key, Readiness)>>,
    /// There is something in it: each tick asks, also those of loops with real sockets, which have none of these.
    is_any: Cell<bool>,
    /// The memory of a list that was taken, for the next one.
    spare: Cell<VecDeque<(Key, Readiness)>>,
    /// The loop, where it is one of several that take turns.
    participant: OnceCell<Rc<Participant>>,
}

impl SignalQueue {
    /// `participant` hears of what comes from now on.
    pub(super) fn belongs_to(&self, participant: Rc<Participant>) {
        self.participant.get_or_init(|| participant);
    }

    pub(crate) fn push(&self, key: Key, readiness: Readiness) {
        self.is_any.set(true);
        self.list.borrow_mut().push_back((key, readiness));
        if let Some(participant) = self.participant.get() {
            participant.mark();
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_any.get()
    }

    /// The only one, if there is just one.
    pub(crate) fn take_only(&self) -> Option<(Key, Readiness)> {
        let mut list = self.list.borrow_mut();
        if list.len() != 1 {
            return None;
        }
        self.is_any.set(false);
        list.pop_front()
    }

    /// All that are there.
    pub(crate) fn take(&self) -> VecDeque<(Key, Readiness)> {
        self.is_any.set(false);
        self.list.replace(self.spare.take())
    }

    /// Takes back the memory of a list, which is empty.
    pub(crate) fn give_back(&self, list: VecDeque<(Key, Readiness)>) {
        if list.capacity() <= KEPT {
            self.spare.set(list);
        }
    }

    /// Puts what was taken in front of what has come since.
    pub(crate) fn put_first(&self, mut taken: VecDeque<(Key, Readiness)>) {
        let mut list = self.list.borrow_mut();
        taken.append(&mut list);
        self.is_any.set(!taken.is_empty());
        *list = taken;
    }
}

/// The memory of a list is kept for so many.
const KEPT: usize = 4096;

//! A loop that takes turns with others.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::{NetworkLoop, NextTurn};
use crate::driver::memory::clock::Moment;

/// A loop that takes turns with others.
pub(crate) struct Participant {
    /// How many were made before it on its network.
    pub(super) number: u64,
    pub(super) known: Weak<dyn NetworkLoop>,
    /// Its machine runs; one that stands still gives it no turns. `None`: always.
    is_running: Option<Rc<Cell<bool>>>,
    made_at: Moment,
    /// When its next timer may go off, as its network knows it.
    pub(super) timer: Cell<Option<Moment>>,
    is_marked: Cell<bool>,
    /// They have it, so it does not have them.
    marked: Weak<Marked>,
}

/// Those that are to be asked what they have to do.
#[derive(Default)]
pub(super) struct Marked {
    list: RefCell<Vec<Rc<Participant>>>,
}

impl Participant {
    pub(super) fn new(
        number: u64,
        known: Weak<dyn NetworkLoop>,
        is_running: Option<Rc<Cell<bool>>>,
        made_at: Moment,
        marked: &Rc<Marked>,
    ) -> Rc<Self> {
        Rc::new(Self {
            number,
            known,
            is_running,
            made_at,
            timer: Cell::new(None),
            is_marked: Cell::new(false),
            marked: Rc::downgrade(marked),
        })
    }

    /// It may have something to do, or other timers than before.
    #[inline]
    pub(crate) fn mark(self: &Rc<Self>) {
        if !self.is_marked.replace(true) {
            self.enter();
        }
    }

    fn enter(self: &Rc<Self>) {
        if let Some(marked) = self.marked.upgrade() {
            marked.list.borrow_mut().push(Rc::clone(self));
        }
    }

    pub(super) fn is_marked(&self) -> bool {
        self.is_marked.get()
    }

    pub(super) fn can_take_turn(&self, known: &dyn NetworkLoop) -> bool {
        self.is_running.as_ref().is_none_or(|flag| flag.get()) && known.can_take_turn()
    }

    /// Whether its run is to go on: it has something to do now, or is to end.
    pub(in crate::driver::memory) fn goes_on(&self, now: Moment) -> bool {
        let Some(known) = self.known.upgrade() else { return false };
        known.is_called() || self.next_turn(&*known, now).is_some_and(|at| at <= now)
    }

    /// When it has something to do next: `now`, or when its next timer may go off; `None` if it knows nothing of that.
    pub(super) fn next_turn(&self, known: &dyn NetworkLoop, now: Moment) -> Option<Moment> {
        match known.next_turn() {
            NextTurn::Now => Some(now),
            NextTurn::At(nanoseconds) => Some(self.made_at.plus_nanoseconds(nanoseconds)),
            NextTurn::Unknown => None,
        }
    }
}

impl Marked {
    /// Keeps those that `stays` says, which is asked in the order in which they were made, and must mark none.
    pub(super) fn retain(&self, mut stays: impl FnMut(&Rc<Participant>) -> bool) {
        let mut list = self.list.borrow_mut();
        if !list.is_sorted_by_key(|participant| participant.number) {
            list.sort_unstable_by_key(|participant| participant.number);
        }
        list.retain(|participant| {
            let stays = stays(participant);
            participant.is_marked.set(stays);
            stays
        });
    }
}

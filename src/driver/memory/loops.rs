//! The loops on one network: they share its clock, and take turns on one thread.
//!
//! The loop that is run also runs the others while it waits: each that has something to do gets one
//! tick, until none has. Then time passes, to the next timer of any loop or the next arrival. The order
//! is that in which the loops were made, or follows from a seed, so equal programs run equally.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::Instant;

use super::order::Order;

/// A loop, as the other loops of its network know it.
pub(crate) trait NetworkLoop {
    /// Whether it can have a tick now. Not one that runs, is closed, or is in the middle of a callback that
    /// somebody else has called: time passes without it.
    fn can_take_turn(&self) -> bool;

    /// When it has something to do next.
    fn next_turn(&self) -> NextTurn;

    /// Whether its run is to end.
    fn is_stopping(&self) -> bool;

    /// One tick, without waiting. Whether it was possible.
    ///
    /// # Errors
    /// Those of the loop's driver.
    fn take_turn(self: Rc<Self>) -> io::Result<bool>;
}

/// When a loop has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextTurn {
    Now,
    /// When its next timer may go off.
    At(Instant),
    /// When something comes from outside.
    Unknown,
}

/// The loops of a network.
#[derive(Default)]
pub(super) struct Loops {
    loops: RefCell<Vec<Entry>>,
    /// Where those that have something to do are collected, kept for its memory.
    due: Cell<Vec<Rc<dyn NetworkLoop>>>,
    /// A loop waits, and the others take turns.
    taking_turns: Cell<bool>,
}

struct Entry {
    known: Weak<dyn NetworkLoop>,
    /// Its machine runs; one that stands still gives it no turns. `None`: always.
    is_running: Option<Rc<Cell<bool>>>,
}

impl Loops {
    pub(super) fn add(&self, new: Weak<dyn NetworkLoop>, is_running: Option<Rc<Cell<bool>>>) {
        let mut loops = self.loops.borrow_mut();
        loops.retain(|entry| entry.known.strong_count() > 0);
        loops.push(Entry { known: new, is_running });
    }

    /// Says that turns are taken, until the guard is dropped; `None` if they are already: the caller is
    /// a loop that has its tick, and must not wait.
    pub(super) fn begin_turns(&self) -> Option<Turns<'_>> {
        // Not `then_some`: a guard that is made and dropped says that turns are over.
        (!self.taking_turns.replace(true)).then(|| Turns(self))
    }

    /// Whether a loop other than `own` has something to do.
    pub(super) fn others_are_due(&self, own: &Weak<dyn NetworkLoop>) -> bool {
        let mut any = false;
        self.visit_others(own, |other| any |= other.next_turn() == NextTurn::Now);
        any
    }

    /// When the next timer of a loop other than `own` may go off.
    pub(super) fn next_timer_of_others(&self, own: &Weak<dyn NetworkLoop>) -> Option<Instant> {
        let mut next = None;
        self.visit_others(own, |other| next = earlier(next, other.next_turn()));
        next
    }

    /// Shows the loops other than `own` that can have a tick.
    fn visit_others(
        &self,
        own: &Weak<dyn NetworkLoop>,
        mut visit: impl FnMut(Rc<dyn NetworkLoop>),
    ) {
        for entry in &*self.loops.borrow() {
            let is_running = entry.is_running.as_ref().is_none_or(|flag| flag.get());
            if !is_running || entry.known.ptr_eq(own) {
                continue;
            }
            if let Some(other) = entry.known.upgrade()
                && other.can_take_turn()
            {
                visit(other);
            }
        }
    }
}

fn earlier(known: Option<Instant>, next: NextTurn) -> Option<Instant> {
    match next {
        NextTurn::At(at) => Some(known.map_or(at, |known| known.min(at))),
        NextTurn::Now | NextTurn::Unknown => known,
    }
}

/// A loop waits, and the others take turns.
pub(super) struct Turns<'a>(&'a Loops);

/// What the other loops have done.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whether any had a turn.
    pub(super) any: bool,
    /// If none had: when the next timer of one of them may go off.
    pub(super) next_timer: Option<Instant>,
}

impl Turns<'_> {
    /// Gives one tick to each loop but `own` that has something to do.
    pub(super) fn take(&self, own: &Weak<dyn NetworkLoop>, order: &Order) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let mut due = self.0.due.take();
        self.0.visit_others(own, |other| match other.next_turn() {
            NextTurn::Now => due.push(other),
            next => taken.next_timer = earlier(taken.next_timer, next),
        });
        order.shuffle(&mut due);
        for other in due.drain(..) {
            taken.any |= other.take_turn()?;
        }
        self.0.due.set(due);
        Ok(taken)
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.0.taking_turns.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_asks_for_turns_in_the_middle_of_them_ends_nothing() {
        let loops = Loops::default();
        let turns = loops.begin_turns();
        assert!(turns.is_some());
        assert!(loops.begin_turns().is_none());
        assert!(loops.begin_turns().is_none(), "the first that was refused has ended the turns");
        drop(turns);
        assert!(loops.begin_turns().is_some());
    }
}

//! The loops on one network: they share its clock, and take turns on one thread.
//!
//! The loop that is run also runs the others while it waits: each that has something to do gets one
//! tick, until none has. Then time passes, to the next timer of any loop or the next arrival. The order
//! is that in which the loops were made, so equal programs run equally.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::Instant;

/// A loop, as the other loops of its network know it.
pub(crate) trait NetworkLoop {
    /// Whether it can have a tick now. Not one that runs, is closed, or is in the middle of a callback that
    /// somebody else has called: time passes without it.
    fn can_take_turn(&self) -> bool;

    /// Whether it has something to do at this moment.
    fn is_due(&self) -> bool;

    /// Whether its run is to end.
    fn is_stopping(&self) -> bool;

    /// When its next timer may go off.
    fn next_timer(&self) -> Option<Instant>;

    /// One tick, without waiting. Whether it was possible.
    ///
    /// # Errors
    /// Those of the loop's driver.
    fn take_turn(self: Rc<Self>) -> io::Result<bool>;
}

/// The loops of a network.
#[derive(Default)]
pub(super) struct Loops {
    loops: RefCell<Vec<Entry>>,
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
        (!self.taking_turns.replace(true)).then_some(Turns(self))
    }

    /// Whether a loop other than `own` has something to do.
    pub(super) fn others_are_due(&self, own: &Weak<dyn NetworkLoop>) -> bool {
        self.others(own).iter().any(|other| other.is_due())
    }

    /// When the next timer of a loop other than `own` may go off.
    pub(super) fn next_timer_of_others(&self, own: &Weak<dyn NetworkLoop>) -> Option<Instant> {
        self.others(own).iter().filter_map(|other| other.next_timer()).min()
    }

    /// The loops other than `own` that can have a tick.
    fn others(&self, own: &Weak<dyn NetworkLoop>) -> Vec<Rc<dyn NetworkLoop>> {
        let loops = self.loops.borrow();
        if loops.len() <= 1 {
            return Vec::new();
        }
        let is_running = |entry: &&Entry| entry.is_running.as_ref().is_none_or(|flag| flag.get());
        let others = loops.iter().filter(|entry| !entry.known.ptr_eq(own)).filter(is_running);
        let others = others.filter_map(|entry| entry.known.upgrade());
        others.filter(|other| other.can_take_turn()).collect()
    }
}

/// A loop waits, and the others take turns.
pub(super) struct Turns<'a>(&'a Loops);

impl Turns<'_> {
    /// Gives one tick to each loop but `own` that has something to do. Returns whether any had one.
    pub(super) fn take(&self, own: &Weak<dyn NetworkLoop>) -> io::Result<bool> {
        let mut any = false;
        for other in self.0.others(own) {
            any |= other.is_due() && other.take_turn()?;
        }
        Ok(any)
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.0.taking_turns.set(false);
    }
}

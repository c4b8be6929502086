//! The loops on one network: they share its clock, and take turns on one thread.
//!
//! The loop that is run also runs the others while it waits: each that has something to do gets one
//! tick, until none has. Then time passes, to the next timer of any loop or the next arrival. The order
//! is that in which the loops were made, or follows from a seed, so equal programs run equally.
//!
//! There may be thousands of loops, of which most wait. So nobody asks all of them whether they have something to do:
//! whatever gives a loop something to do, or moves its timers, while it has no tick, [marks](Participant::mark) it, and
//! those that were marked are asked.

mod participant;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::participant::Marked;
use super::clock::Moment;
use super::order::Order;

pub(crate) use self::participant::Participant;

/// A loop, as the other loops of its network know it.
pub(crate) trait NetworkLoop {
    /// Whether it can have a tick now. Not one that runs, is closed, or is in the middle of a callback that
    /// somebody else has called: time passes without it.
    fn can_take_turn(&self) -> bool;

    /// When it has something to do next.
    fn next_turn(&self) -> NextTurn;

    /// Whether its run is to end, or what it is run for was woken.
    fn is_called(&self) -> bool;

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
    /// When its next timer may go off: so many nanoseconds after it was made.
    At(u64),
    /// When something comes from outside.
    Unknown,
}

/// The loops of a network.
#[derive(Default)]
pub(super) struct Loops {
    /// All, in the order in which they were made.
    all: RefCell<BTreeMap<u64, Rc<Participant>>>,
    made: Cell<u64>,
    /// Those that are to be asked what they have to do.
    marked: Rc<Marked>,
    /// When the timers of the others may go off.
    timers: RefCell<BTreeMap<(Moment, u64), Rc<Participant>>>,
    /// The first of these moments.
    first_timer: Cell<Option<Moment>>,
    /// Another thread has called one of them.
    called: Arc<AtomicBool>,
    /// Where those that have something to do are collected, kept for its memory.
    due: Cell<Vec<Rc<dyn NetworkLoop>>>,
    /// A loop waits, and the others take turns.
    taking_turns: Cell<bool>,
}

impl Loops {
    /// A loop that was made at this moment. `is_running`: its machine is; one that stands still gives it no turns.
    pub(super) fn add(
        &self,
        new: Weak<dyn NetworkLoop>,
        is_running: Option<Rc<Cell<bool>>>,
        made_at: Moment,
    ) -> Rc<Participant> {
        let number = self.made.get();
        self.made.set(number + 1);
        let new = Participant::new(number, new, is_running, made_at, &self.marked);
        self.all.borrow_mut().insert(number, Rc::clone(&new));
        new.mark();
        new
    }

    /// One of them is gone.
    pub(super) fn remove(&self, gone: &Participant) {
        let former = self.all.borrow_mut().remove(&gone.number);
        self.set_timer(gone, None);
        drop(former);
    }

    /// What other threads set when they call one of them.
    pub(super) fn called(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.called)
    }

    /// Says that turns are taken, until the guard is dropped; `None` if they are already: the caller is
    /// a loop that has its tick, and must not wait.
    pub(super) fn begin_turns<'a>(&'a self, own: &'a Rc<Participant>) -> Option<Turns<'a>> {
        // Not `then_some`: a guard that is made and dropped says that turns are over.
        (!self.taking_turns.replace(true)).then(|| Turns { loops: self, own })
    }

    /// Whether a loop other than `own` has something to do at this moment.
    pub(super) fn others_are_due(&self, own: &Participant, now: Moment) -> bool {
        let mut any = false;
        self.ask_marked(own, now, |_| any = true);
        any
    }

    /// When the next timer of a loop other than `own` may go off that has nothing to do now.
    pub(super) fn next_timer_of_others(&self, own: &Participant, now: Moment) -> Option<Moment> {
        self.ask_marked(own, now, |_| ());
        self.next_timer(own, now)
    }

    /// Asks those that were marked what they have to do, and shows those that have something to do at this moment, in
    /// the order in which they were made. These stay marked, as do those that cannot have a tick now.
    fn ask_marked(&self, own: &Participant, now: Moment, mut due: impl FnMut(Rc<dyn NetworkLoop>)) {
        self.mark_called();
        self.mark_timers(now);
        self.marked.retain(|marked| {
            if std::ptr::eq(Rc::as_ptr(marked), own) {
                return true;
            }
            let Some(known) = marked.known.upgrade() else { return false };
            if !marked.can_take_turn(&*known) {
                return true;
            }
            let next = marked.next_turn(&*known, now);
            let is_due = next.is_some_and(|at| at <= now);
            self.set_timer(marked, next.filter(|_| !is_due));
            if is_due {
                due(known);
            }
            is_due
        });
        debug_assert!(self.nobody_is_forgotten(own, now), "a loop has something to do, unmarked");
    }

    fn mark_called(&self) {
        if super::take_flag(&self.called) {
            self.all.borrow().values().for_each(|participant| participant.mark());
        }
    }

    /// Marks those whose timers may go off by now.
    fn mark_timers(&self, now: Moment) {
        if self.first_timer.get().is_none_or(|at| at > now) {
            return;
        }
        let mut timers = self.timers.borrow_mut();
        while let Some(first) = timers.first_entry().filter(|first| first.key().0 <= now) {
            let participant = first.remove();
            participant.timer.set(None);
            participant.mark();
        }
        self.first_timer.set(timers.first_key_value().map(|((at, _), _)| *at));
    }

    fn set_timer(&self, participant: &Participant, at: Option<Moment>) {
        let former = participant.timer.replace(at);
        if former == at {
            return;
        }
        let mut timers = self.timers.borrow_mut();
        let known = former.and_then(|former| timers.remove(&(former, participant.number)));
        if let Some(at) = at {
            let known = known.or_else(|| self.all.borrow().get(&participant.number).cloned());
            timers.extend(known.map(|known| ((at, participant.number), known)));
        }
        self.first_timer.set(timers.first_key_value().map(|((at, _), _)| *at));
    }

    fn next_timer(&self, own: &Participant, now: Moment) -> Option<Moment> {
        loop {
            let (at, next) = {
                let timers = self.timers.borrow();
                let mut others = timers.iter().filter(|(_, other)| !std::ptr::eq(&***other, own));
                let ((at, _), next) = others.find(|(_, other)| {
                    other.known.upgrade().is_some_and(|known| other.can_take_turn(&*known))
                })?;
                (*at, Rc::clone(next))
            };
            // It may have been cancelled from outside, of which nobody tells.
            let real = next.next_turn(&*next.known.upgrade()?, now);
            if real == Some(at) {
                return Some(at);
            }
            self.set_timer(&next, real);
        }
    }

    /// Whether asking all loops, which takes long where there are many, would find the same ones.
    fn nobody_is_forgotten(&self, own: &Participant, now: Moment) -> bool {
        let all = self.all.borrow();
        let is_known = |participant: &Participant| {
            let Some(known) = participant.known.upgrade() else { return true };
            let next = participant.next_turn(&*known, now);
            // Looked at last: another thread may call it at any moment, and tells of that right after it.
            let is_excused = std::ptr::eq(participant, own)
                || participant.is_marked()
                || !participant.can_take_turn(&*known)
                || known.is_called();
            let timer = participant.timer.get();
            is_excused || next.is_none_or(|at| at > now && timer.is_some_and(|timer| timer <= at))
        };
        all.len() > 32 || all.values().all(|participant| is_known(participant))
    }
}

/// A loop waits, and the others take turns.
pub(super) struct Turns<'a> {
    loops: &'a Loops,
    own: &'a Rc<Participant>,
}

/// What the other loops have done.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whether any had a turn.
    pub(super) any: bool,
    /// If none had: when the next timer of one of them may go off.
    pub(super) next_timer: Option<Moment>,
}

impl Turns<'_> {
    /// Gives one tick to each loop but the one that waits that has something to do at this moment.
    pub(super) fn take(&self, order: &Order, now: Moment) -> io::Result<Taken> {
        let Self { loops, own } = self;
        let mut taken = Taken::default();
        let mut due = loops.due.take();
        loops.ask_marked(own, now, |other| due.push(other));
        if due.len() == 1
            && let Some(only) = due.pop()
        {
            taken.any = only.take_turn()?;
        } else {
            order.shuffle(&mut due);
            for other in due.drain(..) {
                taken.any |= other.take_turn()?;
            }
        }
        loops.due.set(due);
        if !taken.any {
            taken.next_timer = loops.next_timer(own, now);
        }
        Ok(taken)
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.loops.taking_turns.set(false);
        // The next one that waits asks it.
        self.own.mark();
    }
}

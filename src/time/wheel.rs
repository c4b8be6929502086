//! A hierarchical timer wheel: insert, remove and reset in constant time, firing in exact order.
//!
//! Time is a `u64` of nanoseconds. A *tick* is 2^20 of them (about a millisecond). The ticks that
//! differ from the current one in their lowest six bits only lie in level 0, one slot for each; those
//! that also differ in the next six bits in level 1, whose slots span 64 ticks each; and so on for 8
//! levels, which cover all of `u64`. A slot is opened when the earliest of its timers is due: its
//! timers then move to lower levels, and those of the current tick to `Near`.
//!
//! **Order.** The current tick never passes the start of a closed slot, so at any moment all timers of
//! one tick belong in the same list. Each is put at its end, and opening a slot keeps the order: every
//! list is in order of insertion. `Near` then orders by deadline, and equal ones as they come.

mod near;
mod slab;
mod slots;

use std::num::NonZeroU32;

use near::Near;
use slab::{NONE, Slab};
use slots::Slots;

/// Timers with a value each, by deadline in nanoseconds since the loop started.
pub(crate) struct Wheel<T> {
    slab: Slab<T>,
    slots: Slots,
    near: Near,
    /// How many have fired and were not taken.
    fired: usize,
}

/// The location of a node that is in no list: its timer has fired, its value was not taken.
const FIRED: u16 = near::LOCATION - 1;

/// Names one timer; harmless once that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    index: u32,
    generation: NonZeroU32,
}

impl TimerKey {
    /// The key of no timer.
    pub(crate) const NONE: Self = Self { index: NONE, generation: NonZeroU32::MIN };
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { slab: Slab::new(), slots: Slots::new(), near: Near::new(), fired: 0 }
    }

    /// Adds a timer. The deadline may lie in the past: it is then due at once.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let key = self.slab.insert(deadline, value);
        self.link(key.index, deadline);
        key
    }

    /// Takes a timer out, also one that has fired; `None` if it is gone.
    #[inline(always)]
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        let (value, links) = self.slab.remove(key)?;
        match links.location {
            near::LOCATION => self.near.forget(&self.slab),
            FIRED => self.fired -= 1,
            _ => self.slots.unlink(self.slab.nodes(), links),
        }
        Some(value)
    }

    /// Takes a timer out that has fired, and was not given another deadline since.
    pub(crate) fn take_fired(&mut self, key: TimerKey) -> Option<T> {
        let has_fired = self.slab.get_mut(key)?.links.location == FIRED;
        if has_fired { self.remove(key) } else { None }
    }

    /// Gives a timer another deadline, as if it were inserted anew, also one that has fired; `false`
    /// if it is gone.
    #[inline(always)]
    pub(crate) fn reset(&mut self, key: TimerKey, deadline: u64) -> bool {
        let Some(node) = self.slab.get_mut(key) else {
            return false;
        };
        node.deadline = deadline;
        let links = node.links;
        match links.location {
            near::LOCATION => {
                self.link(key.index, deadline);
                self.near.forget(&self.slab);
                return true;
            }
            FIRED if node.value.is_none() => return false,
            FIRED => self.fired -= 1,
            _ => self.slots.unlink(self.slab.nodes(), links),
        }
        self.link(key.index, deadline);
        true
    }

    /// Takes the value of a timer that has fired for good, but keeps its place: all that changes is
    /// that `contains` stays true.
    pub(crate) fn abandon(&mut self, key: TimerKey) -> Option<T> {
        self.slab.get_mut(key)?.value.take()
    }

    /// The value of a timer; `None` if that is gone.
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        self.slab.get_mut(key)?.value.as_mut()
    }

    pub(crate) fn contains(&self, key: TimerKey) -> bool {
        self.slab.contains(key)
    }

    /// When to call `expire` next: never after the earliest deadline, and that deadline itself unless
    /// a still earlier one in the same slot was removed or reset. `None` if there are no timers.
    ///
    /// Going from wake-up to wake-up reaches the earliest deadline in at most `LEVELS + 1` steps.
    pub(crate) fn next_wakeup(&self) -> Option<u64> {
        self.near.earliest().or_else(|| self.slots.earliest())
    }

    /// Fires the first timer whose deadline is not after `now`, by (deadline, insertion), and says
    /// what that was; to be called until it gives `None`. Its value stays until it is taken.
    ///
    /// A timer inserted in between takes its place in the order. Time that goes back fires nothing.
    /// When nothing is left to fire, memory that hardly anything uses is given back.
    pub(crate) fn expire(&mut self, now: u64) -> Option<(TimerKey, u64)> {
        while self.near.is_empty() {
            let Some(head) = self.slots.advance(now) else {
                self.slab.trim_when_sparse();
                self.near.trim_when_sparse();
                return None;
            };
            self.link_anew(head);
        }
        let deadline = self.near.earliest().filter(|&deadline| deadline <= now)?;
        let key = self.near.pop(&self.slab)?;
        self.slab.get_mut(key)?.links.location = FIRED;
        self.fired += 1;
        Some((key, deadline))
    }

    /// How many timers have not fired.
    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.fired
    }

    /// How many timers have not fired, apart from that of `key`, if it is one of them.
    pub(crate) fn len_without(&self, key: Option<TimerKey>) -> usize {
        let node = key.and_then(|key| self.slab.find(key));
        self.len() - usize::from(node.is_some_and(|node| node.links.location != FIRED))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `expire` has anything to do, be it to give memory back.
    #[inline]
    pub(crate) fn needs_expire(&self) -> bool {
        self.slab.len() > 0 || self.slab.is_sparse()
    }

    #[inline]
    fn link(&mut self, index: u32, deadline: u64) {
        if !self.slots.link(self.slab.nodes(), index, deadline) {
            self.near.push(self.slab.nodes(), index);
        }
    }

    /// Puts the nodes of a list that has just left its slot to where they belong now.
    fn link_anew(&mut self, head: u32) {
        let nodes = self.slab.nodes();
        let mut index = head;
        while index != NONE {
            let node = &nodes[index as usize];
            let (next, deadline) = (node.links.next, node.deadline);
            if !self.slots.link(nodes, index, deadline) {
                self.near.push_unsorted(nodes, index);
            }
            index = next;
        }
        self.near.sort();
    }
}

#[cfg(test)]
mod tests;

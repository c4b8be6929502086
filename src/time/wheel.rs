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
}

/// Names one timer; harmless once the timer has fired or was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    index: u32,
    generation: NonZeroU32,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { slab: Slab::new(), slots: Slots::new(), near: Near::new() }
    }

    /// Adds a timer. The deadline may lie in the past: it is then due at once.
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let key = self.slab.insert(deadline, value);
        self.link(key.index, deadline);
        key
    }

    /// Takes a timer out, unless it has fired or was removed.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        let (value, links) = self.slab.remove(key)?;
        if links.location == near::LOCATION {
            self.near.forget(&self.slab);
        } else {
            self.slots.unlink(self.slab.nodes(), links);
        }
        Some(value)
    }

    /// Gives a timer another deadline, as if it were inserted anew; `false` if it is gone.
    pub(crate) fn reset(&mut self, key: TimerKey, deadline: u64) -> bool {
        let Some(node) = self.slab.get_mut(key) else {
            return false;
        };
        node.deadline = deadline;
        let links = node.links;
        let was_near = links.location == near::LOCATION;
        if !was_near {
            self.slots.unlink(self.slab.nodes(), links);
        }
        self.link(key.index, deadline);
        if was_near {
            self.near.forget(&self.slab);
        }
        true
    }

    #[cfg(test)]
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

    /// Takes out the first timer whose deadline is not after `now`, by (deadline, insertion); to be
    /// called until it gives `None`.
    ///
    /// A timer inserted in between takes its place in the order. Time that goes back fires nothing.
    pub(crate) fn expire(&mut self, now: u64) -> Option<T> {
        while self.near.is_empty() {
            let Some(head) = self.slots.advance(now) else {
                self.slab.trim_when_sparse();
                self.near.trim_when_sparse();
                return None;
            };
            self.link_anew(head);
        }
        if self.near.earliest()? > now {
            return None;
        }
        let key = self.near.pop(&self.slab)?;
        self.slab.remove(key).map(|(value, _)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
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

//! A worker's slots: what runs in which, and since when. A worker takes what it was given in that order, so that this is
//! known without being told.

use std::collections::VecDeque;

use crate::task::Timestamp;

/// More slots of one worker are taken for as many.
const MOST_SLOTS: usize = 4096;

#[derive(Debug)]
pub(super) struct Slots {
    /// What runs in each of those that have been in use.
    used: Vec<Option<Held>>,
    most: usize,
    /// What waits for a slot.
    waiting: VecDeque<u64>,
}

/// What runs in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) fence: u64,
    pub(super) since: Timestamp,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, MOST_SLOTS);
        Self { used: Vec::new(), most, waiting: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.most
    }

    /// A worker has got something.
    pub(super) fn add(&mut self, fence: u64, now: Timestamp) {
        let held = Held { fence, since: now };
        if let Some(slot) = self.used.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(held);
        } else if self.used.len() < self.most {
            self.used.push(Some(held));
        } else {
            self.waiting.push_back(fence);
        }
    }

    /// A worker has something no more; what waits first takes the slot. Returns which slot it was in, and since when.
    pub(super) fn remove(&mut self, fence: u64, now: Timestamp) -> Option<(usize, Timestamp)> {
        let is_it = |slot: &Option<Held>| slot.is_some_and(|held| held.fence == fence);
        let Some(slot) = self.used.iter().position(is_it) else {
            self.waiting.retain(|waiting| *waiting != fence);
            return None;
        };
        let next = self.waiting.pop_front().map(|fence| Held { fence, since: now });
        let former = std::mem::replace(&mut self.used[slot], next);
        former.map(|former| (slot, former.since))
    }

    /// What runs, by its slot.
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, Held)> {
        self.used.iter().enumerate().filter_map(|(slot, held)| Some((slot, (*held)?)))
    }

    /// What waits for a slot, what came last first.
    pub(super) fn last_waiting(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().rev().copied()
    }

    /// How many wait for a slot.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Slots};
    use crate::task::Timestamp;

    #[test]
    fn what_waits_takes_the_slot_that_becomes_free() {
        let mut slots = Slots::new(2);
        for (fence, now) in [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)] {
            slots.add(fence, Timestamp(now));
        }
        assert_eq!((slots.remove(4, Timestamp(60)), slots.waiting()), (None, 2));
        assert_eq!(slots.remove(1, Timestamp(70)), Some((0, Timestamp(10))));
        let held = |fence, since| Held { fence, since: Timestamp(since) };
        assert_eq!(slots.held().collect::<Vec<_>>(), [(0, held(3, 70)), (1, held(2, 20))]);
        for fence in [2, 3] {
            slots.remove(fence, Timestamp(80));
        }
        assert_eq!(slots.remove(5, Timestamp(90)), Some((1, Timestamp(80))));
        slots.add(6, Timestamp(100));
        assert_eq!(slots.held().collect::<Vec<_>>(), [(0, held(6, 100))]);
    }
}

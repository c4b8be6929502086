//! The timers whose tick has come, in the exact order in which they fire.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::TimerKey;
use super::slab::{Links, Node, Slab, TRIM_MINIMUM, TRIM_SPARSENESS};

/// The location of a node that is here and in no slot's list.
pub(super) const LOCATION: u16 = u16::MAX;

/// So many stale entries are tolerated.
const STALE_MINIMUM: usize = 64;

/// Orders timers by (deadline, sequence).
///
/// Taking a timer out leaves its entry behind, stale. There are never more stale entries than live
/// ones and `STALE_MINIMUM`, and the first entry is never stale.
pub(super) struct Near {
    /// In order. A slot is sorted into here, which for equal deadlines is no work.
    run: VecDeque<Entry>,
    /// What came later and does not belong at the end of `run`.
    late: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    stale: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: u64,
    sequence: u64,
    index: u32,
}

impl Near {
    pub(super) fn new() -> Self {
        Self { run: VecDeque::new(), late: BinaryHeap::new(), sequence: 0, stale: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.late.is_empty()
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.first().map(|entry| entry.deadline)
    }

    #[inline(never)]
    pub(super) fn push<T>(&mut self, nodes: &mut [Node<T>], index: u32) {
        let entry = self.entry(nodes, index);
        if self.run.back().is_none_or(|last| *last < entry) {
            self.run.push_back(entry);
        } else {
            self.late.push(Reverse(entry));
        }
    }

    /// Adds a node in any order, while there are none but such. `sort` follows.
    pub(super) fn push_unsorted<T>(&mut self, nodes: &mut [Node<T>], index: u32) {
        let entry = self.entry(nodes, index);
        self.run.push_back(entry);
    }

    pub(super) fn sort(&mut self) {
        self.run.make_contiguous().sort_unstable();
    }

    /// Takes the first timer out; its node is the caller's to vacate.
    pub(super) fn pop<T>(&mut self, slab: &Slab<T>) -> Option<TimerKey> {
        let entry = self.pop_entry()?;
        self.drop_stale_front(slab);
        slab.key(entry.index)
    }

    /// A node that was here has been vacated, moved to a slot or pushed again.
    #[inline(never)]
    pub(super) fn forget<T>(&mut self, slab: &Slab<T>) {
        self.stale += 1;
        self.drop_stale_front(slab);
        if self.stale > STALE_MINIMUM && self.stale * 2 > self.run.len() + self.late.len() {
            self.run.retain(|entry| entry.is_live(slab));
            self.late.retain(|Reverse(entry)| entry.is_live(slab));
            self.stale = 0;
        }
    }

    /// Gives memory back when hardly any of it is used.
    pub(super) fn trim_when_sparse(&mut self) {
        let is_sparse = |len: usize, capacity: usize| {
            capacity >= TRIM_MINIMUM && len * TRIM_SPARSENESS < capacity
        };
        if is_sparse(self.run.len(), self.run.capacity()) {
            self.run.shrink_to(2 * self.run.len());
        }
        if is_sparse(self.late.len(), self.late.capacity()) {
            self.late.shrink_to(2 * self.late.len());
        }
    }

    fn entry<T>(&mut self, nodes: &mut [Node<T>], index: u32) -> Entry {
        let sequence = self.sequence;
        self.sequence += 1;
        let node = &mut nodes[index as usize];
        node.links =
            Links { previous: sequence as u32, next: (sequence >> 32) as u32, location: LOCATION };
        Entry { deadline: node.deadline, sequence, index }
    }

    fn first(&self) -> Option<&Entry> {
        let late = self.late.peek().map(|Reverse(entry)| entry);
        self.run.front().into_iter().chain(late).min()
    }

    fn pop_entry(&mut self) -> Option<Entry> {
        let late = self.late.peek().map(|Reverse(entry)| entry);
        if late.is_some_and(|late| self.run.front().is_none_or(|front| late < front)) {
            self.late.pop().map(|Reverse(entry)| entry)
        } else {
            self.run.pop_front()
        }
    }

    fn drop_stale_front<T>(&mut self, slab: &Slab<T>) {
        while self.stale > 0 && self.first().is_some_and(|entry| !entry.is_live(slab)) {
            self.pop_entry();
            self.stale -= 1;
        }
    }
}

impl Entry {
    fn is_live<T>(&self, slab: &Slab<T>) -> bool {
        slab.get(self.index).and_then(sequence_of) == Some(self.sequence)
    }
}

/// The number of a node's entry: its links are free to hold it, as it is in no list.
fn sequence_of<T>(node: &Node<T>) -> Option<u64> {
    let Links { previous, next, location } = node.links;
    (location == LOCATION).then_some(u64::from(next) << 32 | u64::from(previous))
}

#[cfg(test)]
mod tests {
    use crate::time::wheel::Wheel;

    use super::*;

    #[test]
    fn cancelled_timers_leave_little_behind() {
        let mut wheel = Wheel::new();
        let kept = wheel.insert(100, 0);
        for deadline in 0..100_000 {
            let key = wheel.insert(deadline % 1000, 1);
            assert_eq!(wheel.remove(key), Some(1));
        }
        let near = &wheel.near;
        assert!(near.run.len() + near.late.len() <= 2 * STALE_MINIMUM + 2);
        assert!(wheel.contains(kept));
    }

    #[test]
    fn resetting_leaves_little_behind() {
        let mut wheel = Wheel::new();
        let key = wheel.insert(0, 'a');
        for deadline in 0..100_000 {
            assert!(wheel.reset(key, 1000 - deadline % 1000));
        }
        let near = &wheel.near;
        assert!(near.run.len() + near.late.len() <= 2 * STALE_MINIMUM + 2);
        assert_eq!(wheel.next_wakeup(), Some(1));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut wheel = Wheel::new();
        for deadline in 0..100_000 {
            wheel.insert(deadline % 1000, deadline);
        }
        assert!(wheel.near.run.capacity() + wheel.near.late.capacity() >= 100_000);
        while wheel.fire(1000).is_some() {}
        assert!(wheel.near.run.capacity() < TRIM_MINIMUM);
        assert!(wheel.near.late.capacity() < TRIM_MINIMUM);
    }
}

//! The levels of slots, each slot a list of timers.

use super::slab::{Links, NONE, Node};

/// The binary logarithm of a tick's nanoseconds.
pub(super) const TICK_BITS: u32 = 20;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
pub(super) const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(LEVEL_BITS) as usize;

pub(super) struct Slots {
    /// All levels, the lowest first.
    slots: Box<[Slot; LEVELS * SLOTS]>,
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// The current tick. Only timers with later ones are in a slot.
    tick: u64,
}

/// A doubly linked list of timers, in order of insertion.
#[derive(Clone, Copy)]
struct Slot {
    /// Not after any deadline in the list; meaningless when that is empty.
    earliest: u64,
    head: u32,
    tail: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        const EMPTY: Slot = Slot { earliest: u64::MAX, head: NONE, tail: NONE };
        Self { slots: Box::new([EMPTY; LEVELS * SLOTS]), occupied: [0; LEVELS], tick: 0 }
    }

    /// Puts a node at the end of the list that its deadline belongs to, unless its tick has come.
    #[inline]
    pub(super) fn link<T>(&mut self, nodes: &mut [Node<T>], index: u32, deadline: u64) -> bool {
        let tick = deadline >> TICK_BITS;
        if tick <= self.tick {
            return false;
        }
        let level = (tick ^ self.tick).ilog2() / LEVEL_BITS;
        let digit = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;
        let location = level as usize * SLOTS + digit;
        let slot = &mut self.slots[location];
        let previous = slot.tail;
        slot.tail = index;
        if previous == NONE {
            slot.head = index;
            slot.earliest = deadline;
            self.occupied[level as usize] |= 1 << digit;
        } else {
            slot.earliest = slot.earliest.min(deadline);
            nodes[previous as usize].links.next = index;
        }
        nodes[index as usize].links = Links { previous, next: NONE, location: location as u16 };
        true
    }

    /// Takes a node out of its slot's list.
    #[inline]
    pub(super) fn unlink<T>(&mut self, nodes: &mut [Node<T>], links: Links) {
        let Links { previous, next, location } = links;
        let location = location as usize;
        if previous == NONE {
            self.slots[location].head = next;
        } else {
            nodes[previous as usize].links.next = next;
        }
        if next != NONE {
            nodes[next as usize].links.previous = previous;
            return;
        }
        self.slots[location].tail = previous;
        if previous == NONE {
            self.occupied[location / SLOTS] &= !(1 << (location % SLOTS));
        }
    }

    /// A time not after the earliest deadline in any slot.
    pub(super) fn earliest(&self) -> Option<u64> {
        Some(self.slots[self.first()?].earliest)
    }

    /// Lets time pass. When the earliest timer of the first slot is due, that slot is emptied and its
    /// first node returned: the caller links the list's nodes anew.
    pub(super) fn advance(&mut self, now: u64) -> Option<u32> {
        let now_tick = now >> TICK_BITS;
        let Some(first) = self.first() else {
            self.tick = self.tick.max(now_tick);
            return None;
        };
        let slot = &mut self.slots[first];
        if slot.earliest > now {
            // The current tick must not reach a slot that stays closed.
            self.tick = self.tick.max(now_tick.min(self.first_tick(first) - 1));
            return None;
        }
        self.tick = slot.earliest >> TICK_BITS;
        self.occupied[first / SLOTS] &= !(1 << (first % SLOTS));
        slot.tail = NONE;
        Some(slot.head)
    }

    /// The slot with the earliest timers: all of a level's come before those of the next level.
    fn first(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    /// The first tick that a slot spans.
    fn first_tick(&self, slot: usize) -> u64 {
        let shift = (slot / SLOTS) as u32 * LEVEL_BITS;
        let above = shift + LEVEL_BITS;
        (self.tick >> above << above) | ((slot % SLOTS) as u64) << shift
    }
}

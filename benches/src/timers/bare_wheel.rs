//! The least a timer wheel can be: what a C programmer would write.
//!
//! The geometry is wharf's (8 levels of 64 slots, 2^20 ns a tick) and so is the size of a node, but
//! nothing else is there: timers fire in any order within a tick, up to a tick late; an index names
//! a timer, so using one that has fired is an error that goes unnoticed; memory never shrinks; and
//! nobody can ask when the next timer is due.

use super::queue::{Callback, Clock, TimerQueue};

const NONE: u32 = u32::MAX;
const TICK_BITS: u32 = 20;
const LEVEL_BITS: u32 = 6;
const LEVELS: u32 = 8;

pub(super) struct BareWheel {
    nodes: Vec<Node>,
    /// The first node of each slot's list, level by level.
    slots: [u32; (LEVELS << LEVEL_BITS) as usize],
    /// The first free node.
    free: u32,
    /// The tick that comes next.
    tick: u64,
    clock: Clock,
}

struct Node {
    deadline: u64,
    callback: Callback,
    slot: u32,
    previous: u32,
    next: u32,
}

impl BareWheel {
    fn insert(&mut self, deadline: u64, callback: Callback) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        node.deadline = deadline;
        node.callback = callback;
        self.link(index, deadline);
        index
    }

    fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.nodes[index as usize].next = self.free;
        self.free = index;
    }

    #[inline]
    fn move_to(&mut self, index: u32, deadline: u64) {
        self.unlink(index);
        self.nodes[index as usize].deadline = deadline;
        self.link(index, deadline);
    }

    /// Goes on until the tick of `now` has been, calling back what is due; says how many those were.
    fn advance(&mut self, now: u64) -> usize {
        let mut fired = 0;
        while self.tick <= now >> TICK_BITS {
            for level in (1..LEVELS).rev() {
                if self.tick.trailing_zeros() >= level * LEVEL_BITS {
                    self.cascade(slot(self.tick, level));
                }
            }
            let mut index = std::mem::replace(&mut self.slots[slot(self.tick, 0)], NONE);
            self.tick += 1;
            while index != NONE {
                let node = &mut self.nodes[index as usize];
                let (callback, next) = (node.callback, node.next);
                node.next = self.free;
                self.free = index;
                callback.call();
                fired += 1;
                index = next;
            }
        }
        fired
    }

    fn cascade(&mut self, slot: usize) {
        let mut index = std::mem::replace(&mut self.slots[slot], NONE);
        while index != NONE {
            let Node { deadline, next, .. } = self.nodes[index as usize];
            self.link(index, deadline);
            index = next;
        }
    }

    fn grow(&mut self) {
        let start = self.nodes.len() as u32;
        let end = start + 256;
        self.nodes.extend((start + 1..=end).map(|next| Node {
            deadline: 0,
            callback: Callback::NOTHING,
            slot: 0,
            previous: NONE,
            next: if next == end { NONE } else { next },
        }));
        self.free = start;
    }

    #[inline]
    fn link(&mut self, index: u32, deadline: u64) {
        // Rounded up, so as not to be early; what is overdue waits for the coming tick.
        let tick = deadline.div_ceil(1 << TICK_BITS).max(self.tick);
        let level = ((tick ^ self.tick) | 1).ilog2() / LEVEL_BITS;
        let slot = slot(tick, level);
        let next = self.slots[slot];
        self.slots[slot] = index;
        if next != NONE {
            self.nodes[next as usize].previous = index;
        }
        let node = &mut self.nodes[index as usize];
        node.slot = slot as u32;
        node.previous = NONE;
        node.next = next;
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        let Node { slot, previous, next, .. } = self.nodes[index as usize];
        if previous == NONE {
            self.slots[slot as usize] = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
    }
}

impl TimerQueue for BareWheel {
    type Delay = u64;
    type Key = u32;

    fn new() -> Self {
        let slots = [NONE; (LEVELS << LEVEL_BITS) as usize];
        Self { nodes: Vec::new(), slots, free: NONE, tick: 0, clock: Clock::start() }
    }

    fn delay(nanoseconds: u64) -> u64 {
        nanoseconds
    }

    fn create(&mut self, delay: u64) -> u32 {
        self.insert(self.clock.now() + delay, Callback::NOTHING)
    }

    fn cancel(&mut self, index: u32) {
        self.remove(index);
    }

    fn reset(&mut self, &mut index: &mut u32, delay: u64) {
        self.move_to(index, self.clock.now() + delay);
    }

    fn fire_due(&mut self) -> usize {
        self.advance(self.clock.now() + (1 << TICK_BITS))
    }
}

/// Where the timers of a tick are, `level` being that of the highest digit in which it differs from
/// the coming tick.
fn slot(tick: u64, level: u32) -> usize {
    let digit = (tick >> (level * LEVEL_BITS)) % (1 << LEVEL_BITS);
    (level << LEVEL_BITS) as usize + digit as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn fires_never_early_and_at_most_a_tick_late() {
        let deadlines = [0, 1, 1 << TICK_BITS, SECOND, 70 * SECOND + 123, 5000 * SECOND, 1 << 43];
        for deadline in deadlines {
            let mut wheel = BareWheel::new();
            wheel.insert(deadline, Callback::NOTHING);
            let tick = deadline.div_ceil(1 << TICK_BITS);
            if tick > 0 {
                assert_eq!(wheel.advance((tick << TICK_BITS) - 1), 0);
            }
            assert_eq!(wheel.advance(tick << TICK_BITS), 1);
        }
    }

    #[test]
    fn agrees_with_a_plain_list() {
        let mut wheel = BareWheel::new();
        let mut expected: Vec<(u32, u64)> = Vec::new();
        let mut random = 1_u64;
        let mut now = 0;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let deadline = now + (random >> 40) * 1000;
            let pick = (random >> 33) as usize % expected.len().max(1);
            match random >> 60 {
                0..6 => expected.push((wheel.insert(deadline, Callback::NOTHING), deadline)),
                6..9 if !expected.is_empty() => wheel.remove(expected.swap_remove(pick).0),
                9..12 if !expected.is_empty() => {
                    wheel.move_to(expected[pick].0, deadline);
                    expected[pick].1 = deadline;
                }
                _ => {
                    now += (random >> 42) * 100;
                    let pending = expected.len();
                    let due = |deadline: u64| deadline.div_ceil(1 << TICK_BITS) <= now >> TICK_BITS;
                    expected.retain(|&(_, deadline)| !due(deadline));
                    assert_eq!(wheel.advance(now), pending - expected.len());
                }
            }
        }
        assert!(!expected.is_empty());
        assert_eq!(wheel.advance(now + 20_000 * SECOND), expected.len());
    }
}

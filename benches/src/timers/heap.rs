//! What most programs without a wheel do: the standard library's heap, with lazy deletion.
//!
//! Cancelling leaves the heap's entry behind, which is skipped when its turn comes. When most of the
//! heap is such entries, it is rebuilt without them, as asyncio does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::queue::{Callback, Clock, TimerQueue};

const NONE: u32 = u32::MAX;

/// So many stale entries are let be.
const STALE_MINIMUM: usize = 100;

pub(super) struct Heap {
    entries: BinaryHeap<Reverse<Entry>>,
    timers: Vec<Timer>,
    /// The first free place in `timers`.
    free: u32,
    stale: usize,
    clock: Clock,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: u64,
    key: Key,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    index: u32,
    /// An entry or key is stale if the timer's is another one.
    generation: u32,
}

struct Timer {
    callback: Callback,
    generation: u32,
    next_free: u32,
}

impl Heap {
    fn insert(&mut self, deadline: u64, callback: Callback) -> Key {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let timer = &mut self.timers[index as usize];
        self.free = timer.next_free;
        timer.callback = callback;
        let key = Key { index, generation: timer.generation };
        self.entries.push(Reverse(Entry { deadline, key }));
        key
    }

    fn remove(&mut self, key: Key) {
        if self.vacate(key).is_some() {
            self.count_stale();
        }
    }

    #[inline]
    fn move_to(&mut self, key: &mut Key, deadline: u64) {
        let timer = &mut self.timers[key.index as usize];
        if timer.generation != key.generation {
            return;
        }
        timer.generation = timer.generation.wrapping_add(1);
        key.generation = timer.generation;
        self.entries.push(Reverse(Entry { deadline, key: *key }));
        self.count_stale();
    }

    fn expire(&mut self, now: u64) -> Option<Callback> {
        while self.entries.peek()?.0.deadline <= now {
            let Reverse(entry) = self.entries.pop()?;
            if let Some(callback) = self.vacate(entry.key) {
                return Some(callback);
            }
            self.stale -= 1;
        }
        None
    }

    fn vacate(&mut self, key: Key) -> Option<Callback> {
        let timer = &mut self.timers[key.index as usize];
        if timer.generation != key.generation {
            return None;
        }
        timer.generation = timer.generation.wrapping_add(1);
        timer.next_free = self.free;
        self.free = key.index;
        Some(timer.callback)
    }

    fn count_stale(&mut self) {
        self.stale += 1;
        if self.stale > STALE_MINIMUM && self.stale * 2 > self.entries.len() {
            let timers = &self.timers;
            self.entries.retain(|Reverse(Entry { key, .. })| {
                timers[key.index as usize].generation == key.generation
            });
            self.stale = 0;
        }
    }

    fn grow(&mut self) {
        let start = self.timers.len() as u32;
        let end = start + 256;
        self.timers.extend((start + 1..=end).map(|next| Timer {
            callback: Callback::NOTHING,
            generation: 0,
            next_free: if next == end { NONE } else { next },
        }));
        self.free = start;
    }
}

impl TimerQueue for Heap {
    type Delay = u64;
    type Key = Key;

    fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            timers: Vec::new(),
            free: NONE,
            stale: 0,
            clock: Clock::start(),
        }
    }

    fn delay(nanoseconds: u64) -> u64 {
        nanoseconds
    }

    fn create(&mut self, delay: u64) -> Key {
        self.insert(self.clock.now() + delay, Callback::NOTHING)
    }

    fn cancel(&mut self, key: Key) {
        self.remove(key);
    }

    fn reset(&mut self, key: &mut Key, delay: u64) {
        self.move_to(key, self.clock.now() + delay);
    }

    fn fire_due(&mut self) -> usize {
        let now = self.clock.now();
        let mut fired = 0;
        while let Some(callback) = self.expire(now) {
            callback.call();
            fired += 1;
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn fires_in_order_of_deadlines_without_what_was_cancelled() {
        static CALLED: AtomicUsize = AtomicUsize::new(0);
        let callback = |argument| Callback {
            function: |argument| {
                CALLED.fetch_add(argument, Ordering::Relaxed);
            },
            argument,
        };
        let mut heap = Heap::new();
        let mut keys: Vec<Key> = (0..1000).map(|number| heap.insert(number, callback(1))).collect();
        for key in keys.split_off(100) {
            heap.remove(key);
            heap.remove(key);
        }
        assert!(heap.entries.len() <= 2 * 100 + STALE_MINIMUM);
        heap.move_to(&mut keys[7], 5000);
        let place = heap.insert(3, callback(1000)).index;
        assert!(place < 1024, "places are reused");
        let fired: Vec<usize> =
            std::iter::from_fn(|| heap.expire(4999)).map(|callback| callback.argument).collect();
        assert_eq!((fired.len(), fired[4]), (100, 1000));
        assert!(heap.expire(4999).is_none());
        heap.expire(5000).unwrap().call();
        assert_eq!(CALLED.load(Ordering::Relaxed), 1);
        assert_eq!(heap.stale, 0);
    }
}

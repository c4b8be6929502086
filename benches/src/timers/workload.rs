//! What is done to each contender, and how long it takes.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use super::queue::{Clock, TimerQueue};
use crate::random::Random;

/// The deadlines are anywhere within this.
const HOUR: u64 = 3_600_000_000_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Into a new queue, which grows.
    Create,
    /// In the order of creation.
    Cancel,
    /// Into the memory of cancelled ones.
    CreateAgain,
    CancelInRandomOrder,
    Reset,
}

impl Operation {
    pub(super) const ALL: [Self; 5] =
        [Self::Create, Self::Cancel, Self::CreateAgain, Self::CancelInRandomOrder, Self::Reset];
}

/// Nanoseconds per operation, in the order of `Operation::ALL`.
pub(super) type Times = [f64; Operation::ALL.len()];

/// One contender's deadlines and keys, kept from round to round so that only its own memory is new.
pub(super) struct Workload<Q: TimerQueue> {
    delays: Vec<Q::Delay>,
    keys: Vec<Q::Key>,
    live: usize,
    random: Random,
}

impl<Q: TimerQueue> Workload<Q> {
    /// Every operation is done to as many as `timers`; of those that are reset, `live` are pending.
    pub(super) fn new(timers: usize, live: usize) -> Self {
        let mut random = Random::new(1);
        let delays = (0..timers).map(|_| Q::delay(random.below(HOUR))).collect();
        Self { delays, keys: Vec::with_capacity(timers), live, random }
    }

    pub(super) fn round(&mut self) -> Times {
        let mut queue = Q::new();
        let create = self.create(&mut queue);
        let cancel = self.cancel(&mut queue);
        let create_again = self.create(&mut queue);
        self.random.shuffle(&mut self.keys);
        let cancel_in_random_order = self.cancel(&mut queue);
        drop(queue);
        let mut queue = Q::new();
        let reset = self.reset(&mut queue);
        assert_eq!(queue.fire_due(), self.keys.len(), "what is overdue fires, and nothing else");
        self.keys.clear();
        [create, cancel, create_again, cancel_in_random_order, reset]
    }

    fn create(&mut self, queue: &mut Q) -> f64 {
        let start = Instant::now();
        for &delay in &self.delays {
            self.keys.push(queue.create(delay));
        }
        per_operation(start, self.delays.len())
    }

    fn cancel(&mut self, queue: &mut Q) -> f64 {
        let start = Instant::now();
        for key in self.keys.drain(..) {
            queue.cancel(key);
        }
        per_operation(start, self.delays.len())
    }

    /// Leaves the live timers overdue.
    fn reset(&mut self, queue: &mut Q) -> f64 {
        for &delay in self.delays.iter().take(self.live) {
            self.keys.push(queue.create(delay));
        }
        let start = Instant::now();
        for delays in self.delays.chunks(self.live) {
            for (key, &delay) in self.keys.iter_mut().zip(delays) {
                queue.reset(key, delay);
            }
        }
        let reset = per_operation(start, self.delays.len());
        for key in &mut self.keys {
            queue.reset(key, Q::delay(0));
        }
        reset
    }
}

/// What an operation costs that is no timer's.
pub(super) struct Parts {
    /// The closure on the heap, made and dropped in the same order as the timers: only wharf has one.
    pub(super) closure: Times,
    /// Asking for the time: everyone does.
    pub(super) clock: Times,
}

/// Measures the parts.
pub(super) struct PartsWorkload {
    clock: Clock,
    closures: Vec<Box<dyn FnOnce()>>,
    /// What they share, as those of wharf's timers do.
    fired: Rc<Cell<usize>>,
    random: Random,
}

impl PartsWorkload {
    pub(super) fn new(timers: usize) -> Self {
        Self {
            clock: Clock::start(),
            closures: Vec::with_capacity(timers),
            fired: Rc::default(),
            random: Random::new(1),
        }
    }

    /// Nanoseconds of the parts that are in each operation.
    pub(super) fn round(&mut self) -> Parts {
        let read_clock = self.read_clock();
        let make = self.make();
        let drop = self.drop();
        let make_again = self.make();
        self.random.shuffle(&mut self.closures);
        let drop_in_random_order = self.drop();
        Parts {
            closure: [make, drop, make_again, drop_in_random_order, 0.0],
            clock: [read_clock, 0.0, read_clock, 0.0, read_clock],
        }
    }

    fn read_clock(&self) -> f64 {
        let start = Instant::now();
        for _ in 0..self.closures.capacity() {
            black_box(self.clock.now());
        }
        per_operation(start, self.closures.capacity())
    }

    fn make(&mut self) -> f64 {
        let timers = self.closures.capacity();
        let start = Instant::now();
        for _ in 0..timers {
            let fired = Rc::clone(&self.fired);
            self.closures.push(Box::new(move || fired.set(fired.get() + 1)));
        }
        per_operation(start, timers)
    }

    fn drop(&mut self) -> f64 {
        let timers = self.closures.len();
        let start = Instant::now();
        for closure in self.closures.drain(..) {
            drop(black_box(closure));
        }
        per_operation(start, timers)
    }
}

fn per_operation(start: Instant, operations: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / operations as f64
}

#[cfg(test)]
mod tests {
    use super::super::bare_wheel::BareWheel;
    use super::super::event_loop::Wharf;
    use super::super::heap::Heap;
    use super::*;

    #[test]
    fn every_contender_keeps_its_timers_through_the_workload() {
        for live in [1, 100, 1000, 2000] {
            keeps::<BareWheel>(live);
            keeps::<Heap>(live);
            keeps::<Wharf>(live);
        }
    }

    fn keeps<Q: TimerQueue>(live: usize) {
        let times = Workload::<Q>::new(1000, live).round();
        assert!(times.iter().all(|&time| time > 0.0));
    }
}

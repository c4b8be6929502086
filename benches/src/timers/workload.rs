//! What is done to each contender, and how long it takes.

use std::hint::black_box;
use std::time::Instant;

use super::queue::TimerQueue;

/// The deadlines are anywhere within this.
const HOUR: u64 = 3_600_000_000_000;

/// What is measured, in nanoseconds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Into a new queue, which grows.
    Create,
    /// In the order of creation.
    Cancel,
    CancelInRandomOrder,
    Reset,
}

impl Operation {
    pub(super) const ALL: [Self; 4] =
        [Self::Create, Self::Cancel, Self::CancelInRandomOrder, Self::Reset];
}

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
        let mut random = Random(1);
        let delays = (0..timers).map(|_| Q::delay(random.below(HOUR))).collect();
        Self { delays, keys: Vec::with_capacity(timers), live, random }
    }

    /// Nanoseconds per operation, in the order of `Operation::ALL`.
    pub(super) fn round(&mut self) -> [f64; 4] {
        let mut queue = Q::new();
        let create = self.create(&mut queue);
        let cancel = self.cancel(&mut queue);
        self.create(&mut queue);
        for last in (1..self.keys.len()).rev() {
            self.keys.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        let cancel_in_random_order = self.cancel(&mut queue);
        drop(queue);
        let mut queue = Q::new();
        let reset = self.reset(&mut queue);
        assert_eq!(queue.fire_due(), self.keys.len(), "what is overdue fires, and nothing else");
        self.keys.clear();
        [create, cancel, cancel_in_random_order, reset]
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

/// What a timer costs that is no timer: the closure on the heap, and asking for the time.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) read_clock: f64,
    pub(super) make_closure: f64,
    pub(super) drop_closure: f64,
}

impl Parts {
    /// Nanoseconds for one of each, as measured with `count` of them.
    pub(super) fn measure(count: usize, closures: &mut Vec<Box<dyn FnOnce()>>) -> Self {
        let start = Instant::now();
        for _ in 0..count {
            black_box(Instant::now());
        }
        let read_clock = per_operation(start, count);
        let start = Instant::now();
        for number in 0..count {
            closures.push(Box::new(move || {
                black_box(number);
            }));
        }
        let make_closure = per_operation(start, count);
        let start = Instant::now();
        for closure in closures.drain(..) {
            drop(black_box(closure));
        }
        Self { read_clock, make_closure, drop_closure: per_operation(start, count) }
    }

    /// The parts that an operation contains.
    pub(super) fn of(self, operation: Operation) -> f64 {
        match operation {
            Operation::Create => self.read_clock + self.make_closure,
            Operation::Cancel | Operation::CancelInRandomOrder => self.drop_closure,
            Operation::Reset => self.read_clock,
        }
    }
}

fn per_operation(start: Instant, operations: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / operations as f64
}

/// SplitMix64: the same deadlines for every contender in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::super::bare_wheel::BareWheel;
    use super::super::heap::Heap;
    use super::*;

    #[test]
    fn every_contender_keeps_its_timers_through_the_workload() {
        for live in [1, 100, 1000, 2000] {
            assert!(Workload::<BareWheel>::new(1000, live).round().iter().all(|&time| time > 0.0));
            assert!(Workload::<Heap>::new(1000, live).round().iter().all(|&time| time > 0.0));
        }
    }
}

//! Random numbers that follow from the seed.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

/// Random numbers that follow from a simulation's seed. Clones share them.
#[derive(Clone, Debug)]
pub struct Random(Rc<RefCell<fastrand::Rng>>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))))
    }

    /// Numbers of their own, which depend on these alone. So one part that asks for more does not change what
    /// another gets.
    pub fn fork(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow_mut().fork())))
    }

    /// Any number.
    pub fn next_u64(&self) -> u64 {
        self.0.borrow_mut().u64(..)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.borrow_mut().usize(..end) }
    }

    /// `true` with this probability, which is 0 to 1.
    pub fn chance(&self, probability: f64) -> bool {
        // A question with one answer takes no number: a fault that is off changes nothing else.
        probability > 0.0 && (probability >= 1.0 || self.0.borrow_mut().f64() < probability)
    }

    /// A time within a range; its begin, if that is not before its end.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (begin, end) = (nanos(range.start()), nanos(range.end()));
        if begin >= end {
            return *range.start();
        }
        Duration::from_nanos(self.0.borrow_mut().u64(begin..=end))
    }

    /// One of several, or `None` of none.
    pub fn choose<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// A probability, whatever the number: 0 for what is none.
pub(super) fn probable(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, 1.0) }
}

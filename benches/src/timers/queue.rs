//! What the benchmark asks of a contender.

use std::time::Instant;

/// Timers as a contender offers them.
pub(super) trait TimerQueue {
    /// A span of time as the contender takes it, so that converting it is not measured.
    type Delay: Copy;
    /// Names a timer.
    type Key;

    fn new() -> Self;

    fn delay(nanoseconds: u64) -> Self::Delay;

    fn create(&mut self, delay: Self::Delay) -> Self::Key;

    fn cancel(&mut self, key: Self::Key);

    /// Gives a timer another deadline.
    fn reset(&mut self, key: &mut Self::Key, delay: Self::Delay);

    /// Lets a little time pass and calls back what is due then; says how many those were.
    fn fire_due(&mut self) -> usize;
}

/// What C calls back: a function and its argument.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) function: fn(usize),
    pub(super) argument: usize,
}

impl Callback {
    pub(super) const NOTHING: Self = Self { function: |_| {}, argument: 0 };

    pub(super) fn call(self) {
        (self.function)(self.argument);
    }
}

/// Nanoseconds since it was started: what a deadline is counted from, in every contender.
///
/// Reading the clock waits for what was begun before it to be done, so that one operation does not run into
/// the next one.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    #[inline]
    pub(super) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

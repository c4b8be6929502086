//! When a tick has had enough rounds.

use std::time::{Duration, Instant};

use super::core::Core;

/// How long rounds go on before the loop polls again, in nanoseconds.
const ROUNDS_TIME: u64 = 500_000;

/// Whether the rounds of a tick have gone on for long enough. The clock is read after each round, and
/// less often as long as rounds are short: it takes as long as a short round.
pub(super) struct RoundClock<'a> {
    core: &'a Core,
    read: Instant,
    /// How many rounds pass from one reading to the next, and until the next.
    every: u32,
    left: u32,
}

impl<'a> RoundClock<'a> {
    /// At most so many rounds pass without a reading.
    const MOST: u32 = 16;
    /// Rounds between two readings are short if all together take at most this, in nanoseconds.
    const SHORT: Duration = Duration::from_nanos(ROUNDS_TIME / 16);

    #[inline]
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, read: core.tick_instant(), every: 1, left: 1 }
    }

    /// To be asked once a round.
    #[inline]
    pub(super) fn is_over(&mut self) -> bool {
        self.left -= 1;
        self.left == 0 && self.look()
    }

    #[inline(never)]
    fn look(&mut self) -> bool {
        let now = self.core.driver.now();
        if now == self.core.tick_instant() {
            // Virtual time, which stands still in a tick.
            self.left = Self::MOST;
            return false;
        }
        let took = now.saturating_duration_since(self.read);
        self.read = now;
        self.every = if took <= Self::SHORT { (2 * self.every).min(Self::MOST) } else { 1 };
        self.left = self.every;
        now.saturating_duration_since(self.core.tick_instant()) > Duration::from_nanos(ROUNDS_TIME)
    }
}

//! Virtual time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How far time goes in memory: 292 years. Timers for later are for never.
const END_OF_TIME: Duration = Duration::from_nanos(u64::MAX / 2);

/// The clock of a network, which all its loops share. It moves only when none of them has anything
/// to do.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The real time when the network was made: virtual time begins there.
    began: Instant,
    elapsed: Cell<Duration>,
    /// How many turns loops have taken since it moved, and may take.
    turns: Cell<u64>,
    patience: Cell<u64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            elapsed: Cell::new(Duration::ZERO),
            turns: Cell::new(0),
            patience: Cell::new(u64::MAX),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.began + self.elapsed.get()
    }

    /// The time since the network was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    /// Whether no time is left to pass.
    pub(super) fn is_at_its_end(&self) -> bool {
        self.elapsed.get() >= END_OF_TIME
    }

    /// The moment after `duration`, or the end of time.
    pub(crate) fn after(&self, duration: Duration) -> Instant {
        let elapsed = self.elapsed.get().saturating_add(duration).min(END_OF_TIME);
        self.began.checked_add(elapsed).unwrap_or_else(|| self.now())
    }

    /// How many turns loops may take before it moves.
    #[cfg(feature = "sim")]
    pub(super) fn set_patience(&self, turns: u64) {
        self.patience.set(turns);
    }

    /// Loops take a turn. Whether they may.
    pub(super) fn begin_turn(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() <= self.patience.get()
    }

    /// Lets time pass until `moment`. It never goes back.
    pub(crate) fn advance_to(&self, moment: Instant) {
        let elapsed = moment.saturating_duration_since(self.began).min(END_OF_TIME);
        if elapsed > self.elapsed.get() {
            self.elapsed.set(elapsed);
            self.turns.set(0);
        }
    }
}

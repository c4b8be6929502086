//! When something is due that happens again and again.

use std::time::Duration;

use crate::event_loop::nanoseconds;

/// What an [`Interval`](crate::Interval) and [`EventLoop::call_every`](crate::EventLoop::call_every) do when ticks were
/// missed: the next one was due already when this one was taken.
///
/// With a period of 10 s, and a tick that is taken at 25 s in place of 10 s, the next are due at:
///
/// | | | | | |
/// |---|---|---|---|---|
/// | `Burst` | 20 s (at once) | 30 s | 40 s | 50 s |
/// | `Delay` | 35 s | 45 s | 55 s | 65 s |
/// | `Skip` | 30 s | 40 s | 50 s | 60 s |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MissedTickBehavior {
    /// Each missed tick is made up for, one right after the other: their number is exact, and none drifts.
    #[default]
    Burst,
    /// The next tick is a period after the late one was taken: two are never closer than that.
    Delay,
    /// Missed ticks are left out: the next is a whole number of periods after the first.
    Skip,
}

/// The deadlines, in nanoseconds of the loop's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    pub(super) next: u64,
    pub(super) period: u64,
    pub(super) missed: MissedTickBehavior,
}

impl Ticks {
    pub(super) fn new(first: u64, period: Duration) -> Self {
        let missed = MissedTickBehavior::default();
        Self { next: first, period: nanoseconds(period), missed }
    }

    /// Takes the tick that is due, at the time `now`. Returns when it was due.
    pub(super) fn take(&mut self, now: u64) -> u64 {
        let due = self.next;
        let next = due.saturating_add(self.period);
        let is_missed = next <= now;
        self.next = match self.missed {
            _ if !is_missed => next,
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay => now.saturating_add(self.period),
            MissedTickBehavior::Skip => {
                let since = (now - due).checked_rem(self.period).unwrap_or(0);
                (now - since).saturating_add(self.period)
            }
        };
        due
    }
}

#[cfg(test)]
mod tests {
    use super::MissedTickBehavior::{Burst, Delay, Skip};
    use super::*;

    fn taken(missed: MissedTickBehavior, times: &[u64]) -> Vec<(u64, u64)> {
        let mut ticks = Ticks { next: 10, period: 10, missed };
        times.iter().map(|&now| (ticks.take(now), ticks.next)).collect()
    }

    #[test]
    fn the_table_of_missed_ticks_is_right() {
        assert_eq!(taken(Burst, &[25, 25, 30]), [(10, 20), (20, 30), (30, 40)]);
        assert_eq!(taken(Delay, &[25, 35]), [(10, 35), (35, 45)]);
        assert_eq!(taken(Skip, &[25, 30]), [(10, 30), (30, 40)]);
    }

    #[test]
    fn a_tick_that_is_a_little_late_moves_no_other() {
        for missed in [Burst, Delay, Skip] {
            assert_eq!(taken(missed, &[19, 21]), [(10, 20), (20, 30)]);
        }
        // The next one is due just now: it is missed.
        assert_eq!(taken(Delay, &[20]), [(10, 30)]);
        assert_eq!(taken(Skip, &[20]), [(10, 30)]);
        assert_eq!(taken(Burst, &[20]), [(10, 20)]);
    }

    #[test]
    fn extremes_do_not_overflow() {
        for missed in [Burst, Delay, Skip] {
            for period in [0, 1, u64::MAX] {
                for now in [10, 11, u64::MAX] {
                    let mut ticks = Ticks { next: 10, period, missed };
                    assert_eq!(ticks.take(now), 10);
                    assert!(ticks.next >= 10);
                }
            }
        }
    }
}

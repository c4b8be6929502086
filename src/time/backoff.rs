//! Growing delays between retries.

use std::time::Duration;

/// The delays between attempts at something whose readiness nobody reports.
///
/// Each base delay is twice the one before, up to a limit. A delay is drawn from the upper half of
/// its base, so that many who wait for the same do not all try at once. Equal seeds give equal
/// delays.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: u64,
    limit: u64,
    /// What the next delay is drawn from, in nanoseconds.
    base: u64,
    /// The state of the generator that the jitter comes from.
    state: u64,
}

impl Backoff {
    /// Begins with `first`, and goes up to `limit`. The seed is [`Core::jitter_seed`]'s.
    ///
    /// [`Core::jitter_seed`]: crate::event_loop::Core::jitter_seed
    pub(crate) fn new(first: Duration, limit: Duration, seed: u64) -> Self {
        let first = nanoseconds(first);
        Self { first, limit: nanoseconds(limit).max(first), base: first, state: seed }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let base = self.base;
        self.base = base.saturating_mul(2).min(self.limit);
        let half = base / 2;
        Duration::from_nanos(base - half + next_random(&mut self.state) % (half + 1))
    }

    /// The attempt succeeded: the next delays begin with the first again.
    pub(crate) fn reset(&mut self) {
        self.base = self.first;
    }
}

/// SplitMix64: every state, zero too, leads through all numbers.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// At most a day, which is longer than anybody waits for a retry.
fn nanoseconds(duration: Duration) -> u64 {
    const DAY: u64 = 86_400 * 1_000_000_000;
    u64::try_from(duration.as_nanos()).unwrap_or(DAY).min(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(5);
    const LIMIT: Duration = Duration::from_millis(640);

    fn delays(seed: u64, count: usize) -> Vec<Duration> {
        let mut backoff = Backoff::new(FIRST, LIMIT, seed);
        (0..count).map(|_| backoff.next_delay()).collect()
    }

    #[test]
    fn delays_double_up_to_the_limit() {
        let mut base = FIRST;
        for delay in delays(7, 20) {
            assert!(delay >= base / 2 && delay <= base, "{delay:?} of {base:?}");
            base = (base * 2).min(LIMIT);
        }
        assert_eq!(base, LIMIT);
    }

    #[test]
    fn a_reset_begins_anew() {
        let mut backoff = Backoff::new(FIRST, LIMIT, 1);
        for _ in 0..10 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }

    #[test]
    fn equal_seeds_give_equal_delays_and_others_do_not() {
        assert_eq!(delays(3, 50), delays(3, 50));
        assert_ne!(delays(3, 50), delays(4, 50));
    }

    #[test]
    fn any_durations_are_accepted() {
        for (first, limit) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (Duration::MAX, Duration::MAX),
            (Duration::MAX, Duration::ZERO),
        ] {
            let mut backoff = Backoff::new(first, limit, u64::MAX);
            for _ in 0..100 {
                assert!(backoff.next_delay() <= Duration::from_secs(86_400));
            }
        }
    }
}

//! How long to wait before an attempt.

use std::time::Duration;

/// Delays that double with each round through the addresses, with jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    random: u64,
}

impl Backoff {
    pub(super) fn new(first: Duration, limit: Duration, seed: u64) -> Self {
        Self { first, limit: limit.max(first), random: seed }
    }

    /// The delay before an attempt, after `failures` of them in a row, with `addresses` to choose from.
    ///
    /// While there are addresses that have not been tried it is a part of the first delay; then at least half of
    /// one that has doubled as often as all were tried.
    pub(super) fn delay(&mut self, failures: u32, addresses: usize) -> Duration {
        let round = failures / u32::try_from(addresses.max(1)).unwrap_or(u32::MAX);
        if round == 0 {
            return self.part_of(self.first);
        }
        let factor = 1_u32.checked_shl(round - 1).unwrap_or(u32::MAX);
        let base = self.first.saturating_mul(factor).min(self.limit);
        base / 2 + self.part_of(base / 2)
    }

    /// A random number of nanoseconds, from none to all.
    fn part_of(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.next() % (most + 1))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn delays_double_with_each_round() {
        let mut backoff = Backoff::new(FIRST, LIMIT, 1);
        for failures in 0..3 {
            assert!(backoff.delay(failures, 3) <= FIRST);
        }
        let mut base = FIRST;
        for round in 1..40 {
            let delay = backoff.delay(round * 3, 3);
            assert!(delay >= base / 2 && delay <= base, "{delay:?} of {base:?}");
            base = (base * 2).min(LIMIT);
        }
    }

    #[test]
    fn any_numbers_are_taken() {
        for limit in [Duration::ZERO, Duration::MAX] {
            let mut backoff = Backoff::new(Duration::MAX, limit, 7);
            backoff.delay(u32::MAX, 0);
            backoff.delay(0, usize::MAX);
        }
    }

    #[test]
    fn seeds_make_it_repeat() {
        let delays = |seed| {
            let mut backoff = Backoff::new(FIRST, LIMIT, seed);
            [0, 1, 2, 3].map(|failures| backoff.delay(failures, 1))
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }
}

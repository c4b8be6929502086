//! The token bucket: integers only, so that nothing drifts.

use super::RateLimit;

const SECOND: u64 = 1_000_000_000;

/// How many times a second, at most, somebody who waits for tokens is given some.
const SERVINGS: u64 = 100;

/// Bytes that may pass, filled from the clock when it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    level: u64,
    /// What is there beside `level`, in billionths of a byte.
    fraction: u64,
    /// When it was last filled, in nanoseconds.
    at: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: RateLimit, now: u64) -> Self {
        Self { limit, level: limit.burst, fraction: 0, at: now }
    }

    /// Another limit from now on. What is there stays, as far as there is room for it: else a limit
    /// that is set again and again would be none.
    pub(super) fn change(&mut self, limit: RateLimit, now: u64) {
        self.fill(now);
        self.limit = limit;
        self.give(0);
    }

    /// How many bytes may pass now.
    pub(super) fn level(&mut self, now: u64) -> u64 {
        self.fill(now);
        self.level
    }

    /// So much has passed.
    pub(super) fn take(&mut self, count: u64) {
        self.level = self.level.saturating_sub(count);
    }

    /// So much has not passed after all.
    pub(super) fn give(&mut self, count: u64) {
        self.level = self.level.saturating_add(count);
        if self.level >= self.limit.burst {
            self.level = self.limit.burst;
            self.fraction = 0;
        }
    }

    /// What is worth waiting for, so that nothing passes byte by byte.
    pub(super) fn serving(&self) -> u64 {
        (self.limit.bytes_per_second / SERVINGS).clamp(1, self.limit.burst)
    }

    /// When `wanted` bytes (or a full bucket, if that is less) may pass; `None`: never.
    pub(super) fn when(&self, wanted: u64) -> Option<u64> {
        let missing = wanted.min(self.limit.burst).saturating_sub(self.level);
        if missing == 0 {
            return Some(self.at);
        }
        let rate = u128::from(self.limit.bytes_per_second);
        let billionths = u128::from(missing) * u128::from(SECOND) - u128::from(self.fraction);
        let wait = (billionths + rate.saturating_sub(1)).checked_div(rate)?;
        Some(self.at.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if elapsed == 0 || self.level >= self.limit.burst {
            return;
        }
        // The largest product and the fraction still fit.
        let billionths = u128::from(elapsed) * u128::from(self.limit.bytes_per_second)
            + u128::from(self.fraction);
        self.fraction = (billionths % u128::from(SECOND)) as u64;
        self.give(u64::try_from(billionths / u128::from(SECOND)).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_lost_by_asking_often() {
        let mut bucket = Bucket::new(RateLimit::bytes_per_second(3).burst(100), 0);
        bucket.take(100);
        for now in (0..=20 * SECOND / 7).step_by(999_983) {
            bucket.level(now);
        }
        // 20/7 s at 3 bytes a second.
        assert_eq!(bucket.level(20 * SECOND / 7), 8);
        assert_eq!(bucket.level(20 * SECOND), 60);
    }

    #[test]
    fn a_rate_of_zero_gives_its_burst_and_then_nothing() {
        let mut bucket = Bucket::new(RateLimit::bytes_per_second(0).burst(5), 0);
        assert_eq!(bucket.level(u64::MAX), 5);
        bucket.take(5);
        assert_eq!(bucket.level(u64::MAX), 0);
        assert_eq!(bucket.when(1), None);
    }

    #[test]
    fn the_highest_rate_and_the_longest_time_do_not_overflow() {
        let mut bucket = Bucket::new(RateLimit::bytes_per_second(u64::MAX).burst(u64::MAX), 0);
        bucket.take(u64::MAX);
        assert_eq!(bucket.when(u64::MAX), Some(SECOND));
        assert_eq!(bucket.level(u64::MAX), u64::MAX);
        let mut slow = Bucket::new(RateLimit::bytes_per_second(1).burst(u64::MAX), 0);
        slow.take(u64::MAX);
        assert_eq!(slow.when(u64::MAX), Some(u64::MAX), "after more than 584 years");
    }

    #[test]
    fn a_limit_that_is_set_again_fills_nothing() {
        let limit = RateLimit::bytes_per_second(10).burst(10);
        let mut bucket = Bucket::new(limit, 0);
        bucket.take(10);
        bucket.change(limit, 0);
        assert_eq!(bucket.level(0), 0);
        bucket.change(limit.burst(3), 5 * SECOND);
        assert_eq!(bucket.level(5 * SECOND), 3);
    }

    /// What a bucket means, reckoned from the beginning each time: in billionths of a byte.
    struct Model {
        rate: u128,
        burst: u128,
        level: u128,
    }

    impl Model {
        fn pass(&mut self, nanoseconds: u64) {
            let more = u128::from(nanoseconds) * self.rate;
            self.level = self.level.saturating_add(more).min(self.burst);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_model_is(
            rate in prop_oneof![Just(0u64), 1u64..1000, any::<u64>()],
            burst in prop_oneof![1u64..1000, 1u64..u64::MAX],
            steps in prop::collection::vec(
                (prop_oneof![0u64..10, 0u64..2_000_000_000, any::<u64>()], any::<u64>()),
                0..40,
            ),
        ) {
            let billion = u128::from(SECOND);
            let mut bucket = Bucket::new(RateLimit::bytes_per_second(rate).burst(burst), 0);
            let burst = u128::from(burst) * billion;
            let mut model = Model { rate: rate.into(), burst, level: burst };
            let mut now = 0u64;
            for (pause, wanted) in steps {
                let pause = pause.min(u64::MAX - now);
                now += pause;
                model.pass(pause);
                let level = bucket.level(now);
                prop_assert_eq!(u128::from(level), model.level / billion);
                // Neither early nor late.
                let serving = bucket.serving();
                if let Some(when) = bucket.when(serving) && when < u64::MAX {
                    let mut then = bucket.clone();
                    prop_assert!(then.level(when) >= serving);
                    if when > now {
                        let mut before = bucket.clone();
                        prop_assert!(before.level(when - 1) < serving);
                    }
                }
                let taken = wanted.min(level);
                bucket.take(taken);
                model.level -= u128::from(taken) * billion;
            }
        }
    }
}

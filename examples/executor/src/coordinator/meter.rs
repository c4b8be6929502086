//! What has happened, in numbers.

use std::time::Duration;

/// Over how many seconds the throughput is an average.
const SECONDS: usize = 10;

/// Counts what the index of tasks cannot see.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) assigned: u64,
    pub(super) retried: u64,
    pub(super) lost: u64,
    /// How many ended within a second, for as many seconds as are looked at and the one that has begun.
    ended: [u64; SECONDS + 1],
    second: u64,
}

impl Meter {
    /// A task has ended.
    pub(super) fn ended(&mut self, now: Duration) {
        self.turn(now.as_secs());
        self.ended[index(self.second)] += 1;
    }

    /// How many end in a second.
    pub(super) fn per_second(&mut self, now: Duration) -> f64 {
        self.turn(now.as_secs());
        let whole: u64 = self.ended.iter().sum::<u64>() - self.ended[index(self.second)];
        let seconds = self.second.clamp(1, SECONDS as u64);
        whole as f64 / seconds as f64
    }

    fn turn(&mut self, second: u64) {
        let passed = second.saturating_sub(self.second);
        for passed in 1..=passed.min(self.ended.len() as u64) {
            self.ended[index(second - passed + 1)] = 0;
        }
        self.second = self.second.max(second);
    }
}

fn index(second: u64) -> usize {
    (second % (SECONDS as u64 + 1)) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Meter;

    #[test]
    fn the_throughput_is_that_of_the_last_ten_whole_seconds() {
        let mut meter = Meter::default();
        let at = |millis| Duration::from_millis(millis);
        for millis in 0..20_000 {
            meter.ended(at(millis));
        }
        assert_eq!(meter.per_second(at(20_000)), 1_000.0);
        assert_eq!(meter.per_second(at(25_999)), 500.0);
        assert_eq!(meter.per_second(at(29_000)), 100.0);
        assert_eq!(meter.per_second(at(30_000)), 0.0);
        assert_eq!(meter.per_second(at(9_000_000)), 0.0);
        let mut young = Meter::default();
        young.ended(at(500));
        assert_eq!((young.per_second(at(900)), young.per_second(at(2_000))), (0.0, 0.5));
    }
}

//! The last minutes, for plots.

use std::collections::VecDeque;

use serde::Serialize;

use crate::coordinator::Overview;

/// How many samples are kept: one a second.
const MOST: usize = 600;

/// A second: `[when, succeeded, failed, queued, running]`, of which the first two are within a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Sample(u64, f64, f64, u64, u64);

#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    /// When the last sample was taken, and how many had succeeded and failed until then.
    last: Option<(u64, u64, u64)>,
}

impl History {
    /// Takes a sample; the first time there is nothing to compare with.
    pub(super) fn add(&mut self, overview: &Overview) -> Option<Sample> {
        let (now, totals, tasks) = (overview.now.0, &overview.totals, &overview.tasks);
        let last = self.last.replace((now, totals.succeeded, totals.failed));
        let (then, succeeded, failed) = last.filter(|last| last.0 < now)?;
        let seconds = (now - then) as f64 / 1_000.0;
        let rate = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
        let sample = Sample(
            now,
            rate(totals.succeeded - succeeded),
            rate(totals.failed - failed),
            tasks.queued,
            tasks.running,
        );
        if self.samples.len() == MOST {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        Some(sample)
    }

    pub(super) fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::{History, MOST, Sample};
    use crate::dashboard::tests::overview;

    #[test]
    fn a_sample_is_what_happened_in_a_second() {
        let mut history = History::default();
        let mut overview = overview();
        assert_eq!(history.add(&overview), None);
        overview.now.0 += 2_000;
        overview.totals.succeeded += 30;
        overview.totals.failed += 1;
        overview.tasks.queued = 7;
        assert_eq!(history.add(&overview), Some(Sample(overview.now.0, 15.0, 0.5, 7, 0)));
        // A clock that was set back.
        overview.now.0 -= 10_000;
        assert_eq!(history.add(&overview), None);
        for _ in 0..2 * MOST {
            overview.now.0 += 1_000;
            assert!(history.add(&overview).is_some());
        }
        assert_eq!(history.samples().len(), MOST);
    }
}

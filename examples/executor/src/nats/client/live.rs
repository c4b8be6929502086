//! How tasks stand, by their records as these change. No I/O, and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::coordinator::{KindView, PhaseCounts, TaskView, Totals};
use crate::store::Key;
use crate::task::{Kind, Outcome, Phase, Record, State, TaskId, Timestamp};

/// How many failed tasks are at hand.
pub(super) const MOST_FAILED: usize = 200;
/// Over how many seconds ends are counted.
const SECONDS: u64 = 10;

/// What all records say together.
#[derive(Default)]
pub(super) struct Live {
    tasks: HashMap<TaskId, Known>,
    /// When outcomes expire, in milliseconds.
    expires: BTreeSet<(u64, TaskId)>,
    kinds: BTreeMap<Kind, PhaseCounts>,
    totals: Totals,
    /// The last ones, by their revisions.
    failed: BTreeMap<u64, TaskView>,
    /// There were more.
    has_more: bool,
    /// How many have ended in each second, of the last ones.
    ends: VecDeque<(u64, u64)>,
    /// Since when each change is told as it happens.
    current: Option<Timestamp>,
}

struct Known {
    kind: Kind,
    phase: Phase,
    attempts: u64,
    losses: u64,
    retries: u64,
    revision: u64,
    expires: Option<u64>,
}

impl Live {
    /// A record is this now.
    pub(super) fn see(&mut self, record: &Record, revision: u64, now: Timestamp) {
        if self.tasks.get(&record.id).is_some_and(|known| known.revision == revision) {
            // A watch that is made anew may tell it twice.
            return;
        }
        self.forget(&record.id);
        let expires = match record.state {
            State::Ended { at, .. } => Some(at.0.saturating_add(record.spec.keep)),
            _ => None,
        };
        let known = Known {
            kind: record.spec.kind.clone(),
            phase: Phase::from(&record.state),
            attempts: record.attempts.into(),
            losses: record.losses.into(),
            // After the last one it was not tried again.
            retries: u64::from(record.failures)
                .saturating_sub(u64::from(record.outcome() == Some(Outcome::Failed))),
            revision,
            expires,
        };
        if let Some(expires) = expires {
            self.expires.insert((expires, record.id.clone()));
        }
        if known.phase == Phase::Failed {
            self.failed.insert(revision, TaskView::new(Key(revision), record));
            if self.failed.len() > MOST_FAILED {
                self.failed.pop_first();
                self.has_more = true;
            }
        }
        if known.phase.has_ended() && self.current.is_some() {
            self.count_end(now);
        }
        *count(self.kinds.entry(known.kind.clone()).or_default(), known.phase) += 1;
        let totals = &mut self.totals;
        totals.assigned += known.attempts;
        totals.lost += known.losses;
        totals.retried += known.retries;
        self.tasks.insert(record.id.clone(), known);
    }

    /// What follows is told as it happens.
    pub(super) fn is_current_from(&mut self, now: Timestamp) {
        self.current.get_or_insert(now);
    }

    /// What has expired is no record any more.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((expires, id)) = self.expires.first().cloned()
            && expires <= now.0
        {
            self.forget(&id);
        }
    }

    /// How many records say what.
    pub(super) fn counts(&self) -> PhaseCounts {
        let mut sum = PhaseCounts::default();
        for counts in self.kinds.values() {
            for phase in Phase::ALL {
                *count(&mut sum, phase) += counts.of(phase);
            }
        }
        sum
    }

    /// The same for each kind.
    pub(super) fn kinds(&self) -> Vec<KindView> {
        let kinds = self.kinds.iter().filter(|(_, tasks)| **tasks != PhaseCounts::default());
        kinds.map(|(kind, tasks)| KindView { kind: kind.clone(), tasks: *tasks }).collect()
    }

    /// What has happened to the tasks that have records.
    pub(super) fn totals(&self) -> Totals {
        let counts = self.counts();
        Totals {
            submitted: self.tasks.len() as u64,
            succeeded: counts.succeeded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            ..self.totals
        }
    }

    /// How many tasks end in a second, over the last ten, or as long as it is known.
    pub(super) fn per_second(&self, now: Timestamp) -> f64 {
        let Some(current) = self.current else { return 0.0 };
        let seconds = (now.0.saturating_sub(current.0) / 1000).clamp(1, SECONDS);
        let first = (now.0 / 1000).saturating_sub(seconds);
        let ends = self.ends.iter().filter(|(second, _)| (first..now.0 / 1000).contains(second));
        // A sum of no floating-point numbers is -0.
        ends.map(|(_, count)| *count).sum::<u64>() as f64 / seconds as f64
    }

    /// The last failed tasks, the newest first; `None`: so many are not at hand.
    pub(super) fn failed(&self, limit: usize) -> Option<(Vec<TaskView>, Option<u64>)> {
        if self.current.is_none() || self.has_more && limit > self.failed.len() {
            return None;
        }
        let tasks: Vec<_> = self.failed.values().rev().take(limit).cloned().collect();
        let is_all = tasks.len() == self.failed.len() && !self.has_more;
        let next = tasks.last().map(|task| task.key).filter(|_| !is_all);
        Some((tasks, next))
    }

    fn forget(&mut self, id: &TaskId) {
        let Some(known) = self.tasks.remove(id) else { return };
        if let Some(expires) = known.expires {
            self.expires.remove(&(expires, id.clone()));
        }
        self.failed.remove(&known.revision);
        if let Some(counts) = self.kinds.get_mut(&known.kind) {
            *count(counts, known.phase) -= 1;
        }
        let totals = &mut self.totals;
        totals.assigned -= known.attempts;
        totals.lost -= known.losses;
        totals.retried -= known.retries;
    }

    fn count_end(&mut self, now: Timestamp) {
        let second = now.0 / 1000;
        match self.ends.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.ends.push_back((second, 1)),
        }
        while self.ends.front().is_some_and(|(first, _)| first + SECONDS < second) {
            self.ends.pop_front();
        }
    }
}

fn count(counts: &mut PhaseCounts, phase: Phase) -> &mut u64 {
    match phase {
        Phase::Blocked => &mut counts.blocked,
        Phase::Delayed => &mut counts.delayed,
        Phase::Queued => &mut counts.queued,
        Phase::Running => &mut counts.running,
        Phase::Succeeded => &mut counts.succeeded,
        Phase::Failed => &mut counts.failed,
        Phase::Cancelled => &mut counts.cancelled,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::task::Spec;

    fn record(id: &str, state: State) -> Record {
        let mut spec = Spec::new(Kind::new("k").unwrap(), RawValue::NULL.to_owned());
        spec.keep = 5_000;
        let id = TaskId::new(id).unwrap();
        let mut record = Record::of_shared(id, spec.into(), Timestamp(1));
        (record.state, record.attempts) = (state, 1);
        record
    }

    fn ended(outcome: Outcome, at: u64) -> State {
        State::Ended { outcome, at: Timestamp(at) }
    }

    #[test]
    fn counts_are_those_of_the_last_record_of_each_task_until_it_expires() {
        let mut live = Live::default();
        let running =
            State::Running { worker: "w".into(), fence: 1, since: Timestamp(1), cancelled: false };
        live.see(&record("a", running), 1, Timestamp(1_000));
        live.see(&record("b", ended(Outcome::Failed, 1_000)), 2, Timestamp(1_000));
        assert_eq!((live.counts().running, live.counts().failed), (1, 1));
        live.see(&record("a", ended(Outcome::Succeeded, 2_000)), 3, Timestamp(2_000));
        let counts = live.counts();
        assert_eq!((counts.running, counts.succeeded, counts.failed), (0, 1, 1));
        assert_eq!((live.totals().assigned, live.totals().submitted), (2, 2));
        assert_eq!(live.kinds()[0].tasks, counts);
        live.expire(Timestamp(6_000));
        assert_eq!((live.counts().succeeded, live.counts().failed), (1, 0));
        live.expire(Timestamp(7_000));
        assert!(live.kinds().is_empty() && live.tasks.is_empty() && live.expires.is_empty());
        assert_eq!(live.totals(), Totals::default());
    }

    #[test]
    fn ends_are_counted_by_the_second_from_when_they_are_told_as_they_happen() {
        let mut live = Live::default();
        live.see(&record("old", ended(Outcome::Succeeded, 0)), 1, Timestamp(10_000));
        live.is_current_from(Timestamp(10_000));
        for number in 0..40_u64 {
            let now = Timestamp(10_000 + number * 100);
            let record = record(&number.to_string(), ended(Outcome::Succeeded, now.0));
            live.see(&record, number + 2, now);
        }
        let rate = |now| live.per_second(Timestamp(now)).to_string();
        assert_eq!([14_000, 20_000, 40_000].map(rate), ["10", "4", "0"]);
    }

    #[test]
    fn failed_tasks_are_at_hand_until_more_is_wanted_than_there_are() {
        let mut live = Live::default();
        assert!(live.failed(1).is_none());
        live.is_current_from(Timestamp(1));
        for number in 1..=MOST_FAILED as u64 {
            let record = record(&number.to_string(), ended(Outcome::Failed, 1));
            live.see(&record, number, Timestamp(1));
        }
        let (all, next) = live.failed(MOST_FAILED + 1).unwrap();
        assert_eq!((all.len(), all[0].key, next), (MOST_FAILED, MOST_FAILED as u64, None));
        let (two, next) = live.failed(2).unwrap();
        assert_eq!((two.len(), next), (2, Some(MOST_FAILED as u64 - 1)));
        live.see(&record("more", ended(Outcome::Failed, 1)), 1_000, Timestamp(1));
        assert!(live.failed(MOST_FAILED + 1).is_none());
        assert_eq!(live.failed(1).unwrap().0[0].id.as_str(), "more");
    }
}

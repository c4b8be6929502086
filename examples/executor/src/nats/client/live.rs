//! How tasks stand, by their records as these change. No I/O, and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::coordinator::{Filter, KindView, PhaseCounts, TaskView, Totals};
use crate::store::Key;
use crate::task::{Kind, Outcome, Phase, Record, State, TaskId, Timestamp};

/// How many failed tasks are at hand.
pub(super) const MOST_FAILED: usize = 200;
/// The most records that one list looks at.
const MOST_LOOKED_AT: usize = 20_000;
/// Over how many seconds ends are counted.
const SECONDS: u64 = 10;

/// Tasks with the revisions of their records, and below which revision there may be more.
pub(super) type Listed = (Vec<(TaskId, u64)>, Option<u64>);

/// What all records say together.
#[derive(Default)]
pub(super) struct Live {
    tasks: HashMap<TaskId, Known>,
    /// When outcomes expire, in milliseconds.
    expires: BTreeSet<(u64, TaskId)>,
    /// The last record of each task, by its revision.
    revisions: BTreeMap<u64, TaskId>,
    kinds: BTreeMap<Kind, PhaseCounts>,
    /// What has happened so far, also to tasks whose records have expired.
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
        let former = self.forget(&record.id);
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
        self.count(&known, former.as_ref());
        self.revisions.insert(revision, record.id.clone());
        self.tasks.insert(record.id.clone(), known);
    }

    fn count(&mut self, known: &Known, former: Option<&Known>) {
        let totals = &mut self.totals;
        let more = |of: fn(&Known) -> u64| of(known).saturating_sub(former.map_or(0, of));
        totals.submitted += u64::from(former.is_none());
        totals.assigned += more(|known| known.attempts);
        totals.lost += more(|known| known.losses);
        totals.retried += more(|known| known.retries);
        match known.phase {
            Phase::Succeeded => totals.succeeded += 1,
            Phase::Failed => totals.failed += 1,
            Phase::Cancelled => totals.cancelled += 1,
            _ => {}
        }
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

    /// What has happened to tasks with records since the first of these that was kept at the beginning.
    pub(super) fn totals(&self) -> Totals {
        self.totals
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

    /// The records that fit, the last ones first, whose revisions are below this. `None`: not all are known.
    pub(super) fn list(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Option<Listed> {
        self.current?;
        let mut found = Vec::new();
        let below = self.revisions.range(..before.unwrap_or(u64::MAX)).rev();
        for (looked_at, (revision, id)) in below.enumerate() {
            if found.len() == limit || looked_at == MOST_LOOKED_AT {
                return Some((found, Some(revision + 1)));
            }
            let fits = |known: &Known| {
                filter.state.is_none_or(|state| state == known.phase)
                    && filter.kind.as_ref().is_none_or(|kind| *kind == known.kind)
            };
            if self.tasks.get(id).is_some_and(fits) {
                found.push((id.clone(), *revision));
            }
        }
        Some((found, None))
    }

    fn forget(&mut self, id: &TaskId) -> Option<Known> {
        let known = self.tasks.remove(id)?;
        self.revisions.remove(&known.revision);
        if let Some(expires) = known.expires {
            self.expires.remove(&(expires, id.clone()));
        }
        self.failed.remove(&known.revision);
        if let Some(counts) = self.kinds.get_mut(&known.kind) {
            *count(counts, known.phase) -= 1;
        }
        Some(known)
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
        let totals =
            Totals { submitted: 2, assigned: 2, succeeded: 1, failed: 1, ..Totals::default() };
        assert_eq!(live.totals(), totals);
        assert_eq!(live.kinds()[0].tasks, counts);
        live.expire(Timestamp(6_000));
        assert_eq!((live.counts().succeeded, live.counts().failed), (1, 0));
        live.expire(Timestamp(7_000));
        assert!(live.kinds().is_empty() && live.tasks.is_empty() && live.expires.is_empty());
        assert!(live.revisions.is_empty());
        // That has happened all the same.
        assert_eq!(live.totals(), totals);
    }

    #[test]
    fn records_at_hand_are_listed_by_state_and_kind_a_bounded_part_in_each_call() {
        let mut live = Live::default();
        assert!(live.list(&Filter::default(), None, 1).is_none());
        live.is_current_from(Timestamp(1));
        live.see(&record("bad", ended(Outcome::Failed, 1)), 1, Timestamp(1));
        let count = 2 * MOST_LOOKED_AT as u64;
        for number in 2..=count {
            let record = record(&format!("t.{number}"), ended(Outcome::Succeeded, 1));
            live.see(&record, number, Timestamp(1));
        }
        let list = |filter: &Filter, before| {
            let (found, next) = live.list(filter, before, 3).unwrap();
            (found.into_iter().map(|(_, revision)| revision).collect::<Vec<_>>(), next)
        };
        let all = Filter::default();
        assert_eq!(list(&all, None), (vec![count, count - 1, count - 2], Some(count - 2)));
        assert_eq!(list(&all, Some(3)), (vec![2, 1], None));
        let failed = Filter { state: Some(Phase::Failed), kind: None };
        let (found, next) = list(&failed, None);
        assert_eq!((found, next), (vec![], Some(count / 2 + 1)));
        assert_eq!(list(&failed, next), (vec![1], None));
        let other = Filter { state: None, kind: Some(Kind::new("other").unwrap()) };
        assert_eq!(list(&other, Some(10)), (vec![], None));
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

//! Tasks that come after others, and what they get of them.
//!
//! What is told of each task's end costs the same however many a task comes after: who waits for how many is kept here,
//! and not written each time; after a restart it is counted again.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::{Coordinator, Outcome};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Phase, Record, State, TaskId, beginning};

/// The longest error of another task that is told with one's own, in bytes.
const MOST_CAUSE: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// Who waits for a task. Some may have been cancelled meanwhile.
    children: HashMap<Key, BTreeSet<Key>>,
    /// For how many a blocked task still waits.
    waits: HashMap<Key, usize>,
    /// How many blocked tasks want to know what a task returned: it does not expire as long.
    wanted: HashMap<Key, usize>,
    /// Who ended since a task did not succeed.
    victims: HashMap<Key, BTreeSet<Key>>,
}

/// How the tasks are that one comes after.
#[derive(Debug)]
pub(super) enum Parents {
    /// All have succeeded.
    Succeeded,
    /// These have not ended.
    Awaited(BTreeSet<Key>),
    /// This one is not there.
    Unknown(TaskId),
    /// This one has failed or was cancelled.
    Lost(TaskId),
}

/// Who is not there any more, for a task that comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It has succeeded and expired: had it not, the task would have ended with it.
    HasSucceeded,
    IsUnknown,
}

/// Why tasks end that come after another.
struct Cause {
    key: Key,
    id: TaskId,
    outcome: Outcome,
    error: Rc<str>,
}

impl Dependents {
    pub(super) fn is_wanted(&self, key: Key) -> bool {
        self.wanted.contains_key(&key)
    }

    pub(super) fn add_victim(&mut self, cause: Key, victim: Key) {
        self.victims.entry(cause).or_default().insert(victim);
    }

    /// A task is forgotten.
    pub(super) fn forget(&mut self, key: Key) {
        self.victims.remove(&key);
    }
}

impl<S: Store> Coordinator<S> {
    /// How the tasks are that `record` comes after. What is younger than `key` has the id of a former one by chance.
    pub(super) fn parents(
        &self,
        key: Key,
        after: &[TaskId],
        missing: Missing,
    ) -> Result<Parents, StoreError> {
        let mut awaited = BTreeSet::new();
        for id in after {
            let found = self.phase(id)?.filter(|(parent, _)| *parent < key);
            let Some((parent, phase)) = found else {
                match missing {
                    Missing::HasSucceeded => continue,
                    Missing::IsUnknown => return Ok(Parents::Unknown(id.clone())),
                }
            };
            match phase {
                Phase::Succeeded => {}
                _ if phase.has_ended() => return Ok(Parents::Lost(id.clone())),
                _ => {
                    awaited.insert(parent);
                }
            }
        }
        Ok(if awaited.is_empty() { Parents::Succeeded } else { Parents::Awaited(awaited) })
    }

    /// A task waits for others.
    pub(super) fn block(
        &mut self,
        key: Key,
        record: &mut Record,
        awaited: BTreeSet<Key>,
    ) -> Result<(), StoreError> {
        record.state = State::Blocked { parents: u32::try_from(awaited.len()).unwrap_or(u32::MAX) };
        self.dependents.waits.insert(key, awaited.len());
        for parent in awaited {
            self.dependents.children.entry(parent).or_default().insert(key);
        }
        for parent in self.those_whose_results_are_wanted(record)? {
            *self.dependents.wanted.entry(parent).or_default() += 1;
        }
        Ok(())
    }

    /// A task does not wait for others any more.
    pub(super) fn unblock(&mut self, key: Key, record: &Record) -> Result<(), StoreError> {
        self.dependents.waits.remove(&key);
        for parent in self.those_whose_results_are_wanted(record)? {
            let Some(count) = self.dependents.wanted.get_mut(&parent) else { continue };
            *count -= 1;
            if *count > 0 {
                continue;
            }
            self.dependents.wanted.remove(&parent);
            // It may have been due before.
            if let Some(record) = self.journal.record(parent)?
                && let State::Ended { at, .. } = record.state
            {
                self.clock.add_expiry(parent, &record, at);
            }
        }
        Ok(())
    }

    fn those_whose_results_are_wanted(&self, record: &Record) -> Result<Vec<Key>, StoreError> {
        if record.spec.input.is_none() {
            return Ok(Vec::new());
        }
        let keys = record.spec.after.iter().map(|id| self.journal.key_of(id));
        keys.filter_map(Result::transpose).collect()
    }

    /// A task has ended: those that come after it wait for one less, or end as well, and what comes after them.
    pub(super) fn tell_dependents(
        &mut self,
        key: Key,
        record: &Record,
        outcome: Outcome,
        now: Now,
    ) -> Result<(), StoreError> {
        if outcome != Outcome::Succeeded {
            let (id, error) = (record.id.clone(), record.error.clone().unwrap_or_default());
            return self.end_dependents(&Cause { key, id, outcome, error }, now);
        }
        for child in self.dependents.children.remove(&key).unwrap_or_default() {
            let Some(waits) = self.dependents.waits.get_mut(&child) else { continue };
            *waits -= 1;
            if *waits > 0 {
                continue;
            }
            let Some(record) = self.journal.record(child)? else { continue };
            self.unblock(child, &record)?;
            self.begin(child, Record::clone(&record), now)?;
        }
        Ok(())
    }

    /// A task gets what those before it returned, and waits for nothing but its time.
    pub(super) fn begin(
        &mut self,
        key: Key,
        mut record: Record,
        now: Now,
    ) -> Result<(), StoreError> {
        if let Err(error) = self.fill_in(&mut record)? {
            // What the state was does not matter: it waits for nobody any more.
            record.state = State::Delayed { until: now.wall };
            return self.end(key, &record, Outcome::Failed, Some(error), None, now);
        }
        self.make_ready(key, &mut record, now);
        self.journal.put(key, Rc::new(record));
        self.changed(key);
        Ok(())
    }

    /// What is told of a task that did not succeed, to those that come after it.
    pub(super) fn why_lost(&self, id: &TaskId) -> Result<Box<str>, StoreError> {
        let found = self.find(id)?;
        let lost = found.and_then(|(key, record)| Some((key, record.outcome()?, record)));
        let Some((key, outcome, record)) = lost else {
            return Ok(format!("it comes after {id}, which is not there").into());
        };
        let error = record.error.clone().unwrap_or_default();
        if record.cause.is_some() {
            // It says after which.
            return Ok((*error).into());
        }
        Ok(Cause { key, id: id.clone(), outcome, error }.text().into())
    }

    fn end_dependents(&mut self, cause: &Cause, now: Now) -> Result<(), StoreError> {
        // A list, since a chain may be long.
        let mut ended = vec![cause.key];
        while let Some(parent) = ended.pop() {
            for child in self.dependents.children.remove(&parent).unwrap_or_default() {
                if !self.dependents.waits.contains_key(&child) {
                    continue;
                }
                let Some(record) = self.journal.record(child)? else { continue };
                self.unblock(child, &record)?;
                let mut record = Record::clone(&record);
                record.error = Some(cause.text().into());
                record.cause = Some(cause.id.clone());
                record.state = State::Ended { outcome: cause.outcome, at: now.wall };
                self.clock.add_expiry(child, &record, now.wall);
                self.dependents.add_victim(cause.key, child);
                self.meter.ended(now.elapsed);
                self.journal.put(child, Rc::new(record));
                self.changed(child);
                ended.push(child);
            }
        }
        Ok(())
    }

    /// A task is tried again: so are those that ended because of it, unless another has not succeeded either.
    pub(super) fn revive_dependents(&mut self, cause: Key, now: Now) -> Result<(), StoreError> {
        // The oldest first, which is never after a younger one.
        for key in self.dependents.victims.remove(&cause).unwrap_or_default() {
            let Some(record) = self.journal.record(key)? else { continue };
            if record.outcome().is_none() || record.cause.is_none() {
                continue;
            }
            let mut record = Record::clone(&record);
            match self.parents(key, &record.spec.after, Missing::IsUnknown)? {
                Parents::Awaited(awaited) => {
                    self.forgive(key, &mut record);
                    self.block(key, &mut record, awaited)?;
                }
                Parents::Lost(id) => {
                    let Some((other, lost)) = self.find(&id)? else { continue };
                    let id = lost.cause.clone().unwrap_or(id);
                    let other = self.journal.key_of(&id)?.unwrap_or(other);
                    self.dependents.add_victim(other, key);
                    record.cause = Some(id);
                }
                Parents::Succeeded => {
                    self.forgive(key, &mut record);
                    self.begin(key, record, now)?;
                    continue;
                }
                Parents::Unknown(_) => continue,
            }
            self.journal.put(key, Rc::new(record));
            self.changed(key);
        }
        Ok(())
    }

    /// What was is forgotten, when a task is tried again by hand.
    pub(super) fn forgive(&mut self, key: Key, record: &mut Record) {
        (record.failures, record.losses) = (0, 0);
        if record.cause.take().is_some() {
            record.error = None;
        }
        if let Some(deadline) = record.spec.deadline {
            self.clock.add_task(deadline, key);
        }
    }
}

impl Cause {
    fn text(&self) -> String {
        let id = &self.id;
        match self.outcome {
            Outcome::Cancelled => format!("it comes after {id}, which was cancelled"),
            _ => {
                let error = beginning(&self.error, MOST_CAUSE);
                format!("it comes after {id}, which has failed: {error}")
            }
        }
    }
}

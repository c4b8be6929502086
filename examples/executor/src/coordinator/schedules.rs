//! Tasks that are submitted again and again.
//!
//! A task and the schedule's way on are in one batch, and the task's id is made of the schedule's name and the time: no
//! time has two tasks, whatever is lost between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::{Coordinator, Submitted};
use crate::schedule::{Missed, Overlap, Schedule, ScheduleName, ScheduleRecord, Timing};
use crate::store::{Store, StoreError};
use crate::task::{Now, Spec, TaskId, Timestamp};

/// The most schedules: they are in memory.
const MOST: usize = 1_000;
/// The most tasks of schedules that are submitted in one call, so that others get a turn.
const MOST_AT_ONCE: usize = 100;
/// A time that is so long over was missed.
const GRACE: Duration = Duration::from_secs(60);
/// A clock that is set back by less comes to the same times again, and they are over. By more, it was wrong before: what it
/// said then counts no more, or a schedule would wait for years.
const SET_BACK: Duration = Duration::from_secs(3 * 60 * 60);
/// The most that is told of schedules at once, in bytes of arguments and what is around them.
const MOST_TOLD: usize = 1024 * 1024;

/// All schedules.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    table: BTreeMap<ScheduleName, Entry>,
    /// When each is due next.
    due: BTreeSet<(Timestamp, ScheduleName)>,
    /// The latest time that the wall clock has said, as far as is known.
    latest: Timestamp,
}

#[derive(Debug)]
struct Entry {
    record: Rc<ScheduleRecord>,
    /// None, if it cannot be understood any more.
    timing: Option<Timing>,
}

/// A schedule was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleRefused {
    /// Its task, its expression, its zone or its interval cannot be, and why.
    Invalid(Box<str>),
    /// None of its times is to come.
    NeverDue,
    /// There is another one with its name.
    IsThere,
    /// There are too many.
    TooMany,
}

impl Schedules {
    /// When the first is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    fn put(&mut self, record: Rc<ScheduleRecord>, timing: Option<Timing>) {
        let name = record.schedule.name.clone();
        self.remove(&name);
        if let Some(next) = record.next {
            self.due.insert((next, name.clone()));
        }
        self.table.insert(name, Entry { record, timing });
    }

    fn remove(&mut self, name: &ScheduleName) -> Option<Entry> {
        let entry = self.table.remove(name)?;
        if let Some(next) = entry.record.next {
            self.due.remove(&(next, name.clone()));
        }
        Some(entry)
    }
}

impl<S: Store> Coordinator<S> {
    /// Adds a schedule. One with its name is replaced if `replaces`: times that are over for that are over for this one.
    /// Returns the batch that has it. The very same one once more changes nothing.
    pub fn add_schedule(
        &mut self,
        schedule: Schedule,
        replaces: bool,
        now: Now,
    ) -> Result<u64, ScheduleRefused> {
        schedule.check().map_err(|why| ScheduleRefused::Invalid(why.into()))?;
        let timing = Timing::new(&schedule.when, now.wall)
            .map_err(|invalid| ScheduleRefused::Invalid(invalid.to_string().into()))?;
        let former = self.schedules.table.get(&schedule.name).map(|entry| Rc::clone(&entry.record));
        match &former {
            // The client did not hear that it was taken.
            Some(former) if is_same(&former.schedule, &schedule) => {
                return Ok(self.journal.number());
            }
            Some(_) if !replaces => return Err(ScheduleRefused::IsThere),
            None if self.schedules.table.len() >= MOST => return Err(ScheduleRefused::TooMany),
            _ => {}
        }
        let last_time = former.as_ref().and_then(|former| former.last_time);
        let next =
            timing.next_after(begin(last_time, now.wall)).ok_or(ScheduleRefused::NeverDue)?;
        let paused = former.as_ref().is_some_and(|former| former.paused);
        let record = ScheduleRecord {
            schedule: Rc::new(schedule),
            added: now.wall,
            next: Some(next).filter(|_| !paused),
            paused,
            last_time,
            last_task: former.as_ref().and_then(|former| former.last_task.clone()),
            runs: former.as_ref().map_or(0, |former| former.runs),
            skipped: former.as_ref().map_or(0, |former| former.skipped),
            error: None,
        };
        Ok(self.put_schedule(record, Some(timing)))
    }

    /// Forgets a schedule. Its tasks go on. Returns the batch that has the change; `None`: there is none.
    pub fn remove_schedule(&mut self, name: &ScheduleName) -> Option<u64> {
        self.schedules.remove(name)?;
        self.journal.put_schedule(name.clone(), None);
        Some(self.journal.number())
    }

    /// Submits no tasks of a schedule from now on, or does again: what was due meanwhile is not made up for. Returns the
    /// batch that has the change; `None`: there is none.
    pub fn pause_schedule(&mut self, name: &ScheduleName, on: bool, now: Now) -> Option<u64> {
        let entry = self.schedules.table.get(name)?;
        let (timing, mut record) = (entry.timing.clone(), ScheduleRecord::clone(&entry.record));
        if record.paused == on {
            return Some(self.journal.number());
        }
        record.paused = on;
        let after = begin(record.last_time, now.wall);
        let next = timing.as_ref().and_then(|timing| timing.next_after(after));
        record.next = next.filter(|_| !on);
        Some(self.put_schedule(record, timing))
    }

    /// Submits the task of a schedule now, also if that is paused or its last one has not ended. `at` is in the task's id:
    /// who asks again with the same has the same task. `None`: there is no such schedule.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn run_schedule(
        &mut self,
        name: &ScheduleName,
        at: Timestamp,
        now: Now,
    ) -> Result<Option<Result<Submitted, super::Refused>>, StoreError> {
        let Some(entry) = self.schedules.table.get(name) else { return Ok(None) };
        let (timing, mut record) = (entry.timing.clone(), ScheduleRecord::clone(&entry.record));
        let outcome = self.submit(spec(&record.schedule, at, now), now)?;
        if let Ok(submitted) = &outcome
            && !submitted.is_known
        {
            record.runs += 1;
            record.last_task = Some(submitted.id.clone());
            self.put_schedule(record, timing);
        }
        Ok(Some(outcome))
    }

    /// Schedules in the order of their names, behind `after`; and whether there are more.
    pub fn schedules(&self, after: Option<&ScheduleName>) -> (Vec<Rc<ScheduleRecord>>, bool) {
        let is_after = |name: &&ScheduleName| after.is_none_or(|after| **name > *after);
        let (mut told, mut length) = (Vec::new(), 0);
        for (_, entry) in self.schedules.table.iter().filter(|(name, _)| is_after(name)) {
            if length >= MOST_TOLD {
                return (told, true);
            }
            length += entry.record.schedule.task.args.get().len() + 1_024;
            told.push(Rc::clone(&entry.record));
        }
        (told, false)
    }

    /// Goes on with what is in the store.
    pub(super) fn open_schedules(&mut self) -> Result<(), StoreError> {
        for mut record in self.journal.store().schedules()? {
            let timing = match Timing::new(&record.schedule.when, record.added) {
                Ok(timing) => Some(timing),
                // A zone that this program does not know, for example.
                Err(invalid) => {
                    record.error = Some(invalid.to_string().into());
                    record.next = None;
                    None
                }
            };
            let said = record.last_time.max(Some(record.added)).unwrap_or_default();
            self.schedules.latest = self.schedules.latest.max(said);
            self.schedules.put(Rc::new(record), timing);
        }
        Ok(())
    }

    /// Looks whether the wall clock was wrong: schedules go by what it says now.
    fn look_at_clock(&mut self, now: Now) {
        let was_wrong = self.schedules.latest > now.wall.after(SET_BACK);
        self.schedules.latest =
            if was_wrong { now.wall } else { self.schedules.latest.max(now.wall) };
        if !was_wrong {
            return;
        }
        let all: Vec<_> = self
            .schedules
            .table
            .values()
            .map(|entry| (Rc::clone(&entry.record), entry.timing.clone()))
            .collect();
        for (record, timing) in all {
            let mut record = ScheduleRecord::clone(&record);
            record.last_time = record.last_time.filter(|last| *last <= now.wall);
            record.added = record.added.min(now.wall);
            let next = timing.as_ref().and_then(|timing| timing.next_after(now.wall));
            record.next = next.filter(|_| !record.paused);
            self.put_schedule(record, timing);
        }
    }

    /// Submits what is due.
    pub(super) fn run_schedules(&mut self, now: Now) -> Result<(), StoreError> {
        self.look_at_clock(now);
        for _ in 0..MOST_AT_ONCE {
            // What is due while no new tasks are taken is late.
            let first = self.schedules.due.first().filter(|first| first.0 <= now.wall);
            let Some((at, name)) = first.filter(|_| !self.is_draining && !self.is_held).cloned()
            else {
                break;
            };
            self.schedule_is_due(&name, at, now)?;
        }
        Ok(())
    }

    fn schedule_is_due(
        &mut self,
        name: &ScheduleName,
        at: Timestamp,
        now: Now,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.schedules.table.get(name) else { return Ok(()) };
        let (timing, mut record) = (entry.timing.clone(), ScheduleRecord::clone(&entry.record));
        let last = timing.as_ref().and_then(|timing| timing.last_until(now.wall));
        let last = last.map_or(at, |last| last.max(at));
        let (time, over) = match record.schedule.missed {
            Missed::All => (Some(at), at),
            Missed::Once => (Some(last), last),
            Missed::Skip => (Some(last).filter(|last| last.after(GRACE) >= now.wall), last),
        };
        record.last_time = Some(over);
        record.next = timing.as_ref().and_then(|timing| timing.next_after(over));
        match time {
            Some(_) if self.overlaps(&record)? => record.skipped += 1,
            Some(time) => self.submit_scheduled(&mut record, time, now)?,
            None => record.skipped += 1,
        }
        self.put_schedule(record, timing);
        Ok(())
    }

    /// Whether the last task is in the way of the next.
    fn overlaps(&self, record: &ScheduleRecord) -> Result<bool, StoreError> {
        let (Overlap::Skip, Some(last)) = (record.schedule.overlap, &record.last_task) else {
            return Ok(false);
        };
        Ok(self.find(last)?.is_some_and(|(_, record)| record.outcome().is_none()))
    }

    fn submit_scheduled(
        &mut self,
        record: &mut ScheduleRecord,
        time: Timestamp,
        now: Now,
    ) -> Result<(), StoreError> {
        match self.submit(spec(&record.schedule, time, now), now)? {
            Ok(submitted) => {
                record.runs += u64::from(!submitted.is_known);
                record.last_task = Some(submitted.id);
                record.error = None;
            }
            Err(refused) => record.error = Some(refused.to_string().into()),
        }
        Ok(())
    }

    fn put_schedule(&mut self, record: ScheduleRecord, timing: Option<Timing>) -> u64 {
        let record = Rc::new(record);
        self.journal.put_schedule(record.schedule.name.clone(), Some(Rc::clone(&record)));
        self.schedules.put(record, timing);
        self.journal.number()
    }
}

impl fmt::Display for ScheduleRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => formatter.write_str(why),
            Self::NeverDue => formatter.write_str("none of its times is to come"),
            Self::IsThere => formatter.write_str("there is a schedule with this name"),
            Self::TooMany => write!(formatter, "there are {MOST} schedules, and no more"),
        }
    }
}

impl std::error::Error for ScheduleRefused {}

/// The time after which a schedule is due next.
fn begin(last_time: Option<Timestamp>, now: Timestamp) -> Timestamp {
    last_time.filter(|last| *last <= now.after(SET_BACK)).map_or(now, |last| last.max(now))
}

/// The task for a time.
fn spec(schedule: &Schedule, time: Timestamp, now: Now) -> Spec {
    let deadline = schedule.deadline.map(|after| now.wall.after(Duration::from_millis(after)));
    let id: TaskId = schedule.name.task_id(time);
    Spec { id: Some(id), deadline, ..schedule.task.clone() }
}

/// Whether two schedules are the same, to the letter.
fn is_same(one: &Schedule, other: &Schedule) -> bool {
    let text = |schedule: &Schedule| serde_json::to_string(schedule).ok();
    text(one).is_some_and(|one| Some(one) == text(other))
}

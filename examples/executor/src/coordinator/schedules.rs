//! Tasks that are submitted again and again.
//!
//! A task and the schedule's way on are in one batch, and the task's id is made of the schedule's name and the time: no
//! time has two tasks, whatever is lost between.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Coordinator, Submitted};
use crate::schedule::{SET_BACK, Schedule, ScheduleName, ScheduleRecord, ScheduleRefused, Timing};
use crate::store::{Store, StoreError};
use crate::task::{Now, Timestamp};

/// The most tasks of schedules that are submitted in one call, so that others get a turn.
const MOST_AT_ONCE: usize = 100;
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
        let count = self.schedules.table.len();
        let former = self.schedules.table.get(&schedule.name).map(|entry| &*entry.record);
        let added = ScheduleRecord::added(schedule, former, replaces, count, now.wall)?;
        Ok(match added {
            Some((record, timing)) => self.put_schedule(record, Some(timing)),
            None => self.journal.number(),
        })
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
        let timing = entry.timing.clone();
        Some(match entry.record.paused(on, timing.as_ref(), now.wall) {
            Some(record) => self.put_schedule(record, timing),
            None => self.journal.number(),
        })
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
        let outcome = self.submit(record.schedule.task_at(at, now.wall), now)?;
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
            let timing = record.understood();
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
        let time = record.due(at, timing.as_ref(), now.wall);
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
        let Some(last) = record.may_be_in_the_way() else { return Ok(false) };
        Ok(self.find(last)?.is_some_and(|(_, record)| record.outcome().is_none()))
    }

    fn submit_scheduled(
        &mut self,
        record: &mut ScheduleRecord,
        time: Timestamp,
        now: Now,
    ) -> Result<(), StoreError> {
        match self.submit(record.schedule.task_at(time, now.wall), now)? {
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

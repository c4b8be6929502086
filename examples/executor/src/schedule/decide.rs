//! What becomes of schedules: no I/O, and no clock.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::{Missed, Overlap, Schedule, ScheduleRecord, Timing};
use crate::task::{Spec, TaskId, Timestamp};

/// The most schedules: they are in memory.
const MOST: usize = 1_000;
/// A time that is so long over was missed.
const GRACE: Duration = Duration::from_secs(60);
/// A clock that is set back by less comes to the same times again, and they are over. By more, it was wrong before: what it
/// said then counts no more, or a schedule would wait for years.
pub(crate) const SET_BACK: Duration = Duration::from_secs(3 * 60 * 60);

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

impl Schedule {
    /// The task for a time.
    pub(crate) fn task_at(&self, time: Timestamp, now: Timestamp) -> Spec {
        let deadline = self.deadline.map(|after| now.after(Duration::from_millis(after)));
        Spec { id: Some(self.name.task_id(time)), deadline, ..self.task.clone() }
    }
}

impl ScheduleRecord {
    /// A schedule that is added where there are `count`, in place of a former one if it `replaces` that: times that are over
    /// for that are over for this one. `None`: that is the very same, and nothing changes.
    ///
    /// # Errors
    /// It is not taken.
    pub(crate) fn added(
        schedule: Schedule,
        former: Option<&Self>,
        replaces: bool,
        count: usize,
        now: Timestamp,
    ) -> Result<Option<(Self, Timing)>, ScheduleRefused> {
        schedule.check().map_err(|why| ScheduleRefused::Invalid(why.into()))?;
        let timing = Timing::new(&schedule.when, now)
            .map_err(|invalid| ScheduleRefused::Invalid(invalid.to_string().into()))?;
        match former {
            // The client did not hear that it was taken.
            Some(former) if is_same(&former.schedule, &schedule) => return Ok(None),
            Some(_) if !replaces => return Err(ScheduleRefused::IsThere),
            None if count >= MOST => return Err(ScheduleRefused::TooMany),
            _ => {}
        }
        let last_time = former.and_then(|former| former.last_time);
        let next = timing.next_after(begin(last_time, now)).ok_or(ScheduleRefused::NeverDue)?;
        let paused = former.is_some_and(|former| former.paused);
        let record = Self {
            schedule: Rc::new(schedule),
            added: now,
            next: Some(next).filter(|_| !paused),
            paused,
            last_time,
            last_task: former.and_then(|former| former.last_task.clone()),
            runs: former.map_or(0, |former| former.runs),
            skipped: former.map_or(0, |former| former.skipped),
            error: None,
        };
        Ok(Some((record, timing)))
    }

    /// When it is paused, or goes on: what was due meanwhile is not made up for. `None`: it is so already.
    pub(crate) fn paused(&self, on: bool, timing: Option<&Timing>, now: Timestamp) -> Option<Self> {
        if self.paused == on {
            return None;
        }
        let after = begin(self.last_time, now);
        let next = timing.and_then(|timing| timing.next_after(after));
        Some(Self { paused: on, next: next.filter(|_| !on), ..self.clone() })
    }

    /// Its times. One that this program does not understand, by its zone for example, is never due.
    pub(crate) fn understood(&mut self) -> Option<Timing> {
        match Timing::new(&self.schedule.when, self.added) {
            Ok(timing) => Some(timing),
            Err(invalid) => {
                self.error = Some(invalid.to_string().into());
                self.next = None;
                None
            }
        }
    }

    /// It is due since `at`: goes on to its next time, and gives that of the task. `None`: it was missed.
    pub(crate) fn due(
        &mut self,
        at: Timestamp,
        timing: Option<&Timing>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let last = timing.and_then(|timing| timing.last_until(now));
        let last = last.map_or(at, |last| last.max(at));
        let (time, over) = match self.schedule.missed {
            Missed::All => (Some(at), at),
            Missed::Once => (Some(last), last),
            Missed::Skip => (Some(last).filter(|last| last.after(GRACE) >= now), last),
        };
        self.last_time = Some(over);
        self.next = timing.and_then(|timing| timing.next_after(over));
        time
    }

    /// The last task, if the next is not submitted before that has ended.
    pub(crate) fn may_be_in_the_way(&self) -> Option<&TaskId> {
        self.last_task.as_ref().filter(|_| self.schedule.overlap == Overlap::Skip)
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

/// Whether two schedules are the same, to the letter.
fn is_same(one: &Schedule, other: &Schedule) -> bool {
    let text = |schedule: &Schedule| serde_json::to_string(schedule).ok();
    text(one).is_some_and(|one| Some(one) == text(other))
}

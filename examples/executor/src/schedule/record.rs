//! A schedule in the store. All of it is JSON there and on the wire.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::ScheduleName;
use crate::task::{Spec, TaskId, Timestamp};

/// The largest arguments of a scheduled task, in bytes of JSON: schedules are in memory.
const MOST_ARGUMENTS: usize = 64 * 1024;

/// Tasks that are submitted again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which one.
    pub name: ScheduleName,
    /// When.
    pub when: When,
    /// What. It has no `id`, which is made of the name and the time, and no `at`, `deadline` and `after`.
    pub task: Spec,
    /// How long after it was submitted a task must have ended, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// What becomes of times that are over when the coordinator looks.
    #[serde(default)]
    pub missed: Missed,
    /// What becomes of a time when the task of the former one has not ended.
    #[serde(default)]
    pub overlap: Overlap,
}

/// When tasks of a schedule are submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// By a calendar.
    Cron {
        /// Minute, hour, day of the month, month, day of the week; with a second before and a year behind, if wanted. Or
        /// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
        expression: Box<str>,
        /// Whose time: `UTC`, `Europe/Paris`.
        zone: Box<str>,
    },
    /// Each time that so many milliseconds have passed since it was added; 1000 at least.
    Every(u64),
}

/// What becomes of times that are over when the coordinator looks: it was not there, or had too much to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One task, for the last of them, if that was a minute ago at most; else nothing.
    Skip,
    /// One task, for the last of them.
    #[default]
    Once,
    /// A task for each.
    All,
}

/// What becomes of a time when the task of the former one has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// They run side by side.
    #[default]
    Allow,
    /// Nothing is submitted.
    Skip,
}

/// A schedule, and what became of it so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// What was asked for.
    pub schedule: Rc<Schedule>,
    /// Since when. Intervals are counted from here.
    pub added: Timestamp,
    /// When the next task is submitted; `None`: never, since there is no such time, or it is paused.
    pub next: Option<Timestamp>,
    /// Nothing is submitted until it is resumed.
    pub paused: bool,
    /// The last time that is over: it never comes again, whatever happens to the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Timestamp>,
    /// The last task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_task: Option<TaskId>,
    /// How many tasks were submitted.
    #[serde(default)]
    pub runs: u64,
    /// How often none was, since the former one had not ended or the coordinator had been away.
    #[serde(default)]
    pub skipped: u64,
    /// Why the last task was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Rc<str>>,
}

impl Schedule {
    /// Whether its task can be submitted.
    ///
    /// # Errors
    /// It cannot, and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        let task = &self.task;
        if task.id.is_some()
            || task.at.is_some()
            || task.deadline.is_some()
            || !task.after.is_empty()
        {
            return Err("a scheduled task has no id, at, deadline and after".to_owned());
        }
        if task.args.get().len() > MOST_ARGUMENTS {
            return Err(format!("arguments of a schedule have at most {MOST_ARGUMENTS} bytes"));
        }
        task.check().map_err(|invalid| invalid.to_string())
    }
}

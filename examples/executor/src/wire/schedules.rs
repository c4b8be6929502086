//! What is said of schedules.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::schedule::{Schedule, ScheduleName, ScheduleRecord};
use crate::task::Timestamp;

/// What a client can ask for about schedules.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AskedSchedule {
    /// A new one; answered by `changed` when it is on the disk.
    Add {
        /// Which.
        schedule: Box<Schedule>,
        /// Instead of one with its name.
        #[serde(default)]
        replace: bool,
    },
    /// One is forgotten; answered by `changed`: whether there was one.
    Remove(ScheduleName),
    /// One is paused, or goes on; answered by `changed`: whether there is one.
    Pause {
        /// Which.
        name: ScheduleName,
        /// It is paused.
        paused: bool,
    },
    /// The task of one is submitted now; answered by `submitted`, or by `changed` with `false`: there is none.
    Run {
        /// Which.
        name: ScheduleName,
        /// Is in the task's id: a second request with the same has the same task.
        at: Timestamp,
    },
    /// Those behind a name, or the first ones; answered by `schedules`.
    List {
        /// The last name of the answer before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ScheduleName>,
    },
}

/// Some schedules, in the order of their names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedSchedules {
    /// These.
    pub schedules: Vec<Rc<ScheduleRecord>>,
    /// There are more behind the last.
    pub more: bool,
}

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::task::{Outcome, Record, TaskId};

/// How a task has ended, for a client that watches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Which.
    pub id: TaskId,
    /// How; `None`: there is no such task, or not any more.
    pub outcome: Option<Outcome>,
    /// What it returned, if it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Rc<RawValue>>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Rc<str>>,
    /// Which other task did not succeed, so that this one was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<TaskId>,
    /// How often it was given to a worker.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
}

impl Ended {
    /// What is told of a task that has ended.
    pub(crate) fn of(record: &Record) -> Self {
        let outcome = record.outcome();
        let error = record.error.clone().filter(|_| outcome != Some(Outcome::Succeeded));
        let (id, result, cause) = (record.id.clone(), record.result.clone(), record.cause.clone());
        Self { id, outcome, result, error, cause, attempts: record.attempts }
    }

    /// There is no such task.
    pub(crate) fn unknown(id: TaskId) -> Self {
        Self { id, outcome: None, result: None, error: None, cause: None, attempts: 0 }
    }

    /// About how many bytes of JSON it has.
    pub(crate) fn size(&self) -> usize {
        let result = self.result.as_deref().map_or(0, |result| result.get().len());
        result + self.error.as_deref().map_or(0, str::len) + 200
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

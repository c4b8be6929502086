//! A task in the store.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Spec, TaskId, Timestamp};

/// The largest result, in bytes of JSON. With the largest arguments it fits into a message.
pub const MOST_RESULT: usize = 2 * 1024 * 1024;

/// A task whose workers were lost so often while it ran has failed, unless a coordinator was told otherwise: it may be what
/// ends them.
pub(crate) const MOST_LOSSES: u32 = 3;

/// A task, and what became of it so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Which one.
    pub id: TaskId,
    /// What was asked for.
    pub spec: Rc<Spec>,
    /// When.
    pub submitted: Timestamp,
    /// Where it is.
    pub state: State,
    /// How often it was given to a worker.
    #[serde(default)]
    pub attempts: u32,
    /// How often it has failed, since somebody asked to try it again by hand.
    #[serde(default)]
    pub failures: u32,
    /// How often its worker was lost while it ran.
    #[serde(default)]
    pub losses: u32,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Rc<str>>,
    /// The task that did not succeed, and because of which this one ended without being run. If that one is retried, so
    /// is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<TaskId>,
    /// What it returned, as JSON, once it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Rc<RawValue>>,
}

/// Where a task is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Tasks that it comes after have not succeeded yet.
    Blocked {
        /// How many, when it began to wait.
        parents: u32,
    },
    /// Its time has not come.
    Delayed {
        /// When it has.
        until: Timestamp,
    },
    /// It waits for a worker.
    Queued {
        /// Since when.
        since: Timestamp,
    },
    /// A worker has it.
    Running {
        /// The worker's name.
        worker: Rc<str>,
        /// Which of all assignments this is: what another says is not recorded.
        fence: u64,
        /// Since when.
        since: Timestamp,
        /// Somebody asked to cancel it.
        #[serde(default)]
        cancelled: bool,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
}

/// What came of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It succeeded. The record has its result.
    Succeeded,
    /// All attempts have failed: it is on the dead-letter list. The record has the last error.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl Record {
    /// A task that was submitted now.
    pub(crate) fn new(id: TaskId, spec: Spec, now: Timestamp) -> Self {
        Self::of_shared(id, Rc::new(spec), now)
    }

    /// The same with a spec that others have, too.
    pub(crate) fn of_shared(id: TaskId, spec: Rc<Spec>, now: Timestamp) -> Self {
        Self {
            id,
            spec,
            submitted: now,
            state: State::Queued { since: now },
            attempts: 0,
            failures: 0,
            losses: 0,
            error: None,
            cause: None,
            result: None,
        }
    }

    /// An attempt has failed. Returns when the next is; `None`: there is none.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        random: &mut fastrand::Rng,
    ) -> Option<Timestamp> {
        self.failures = self.failures.saturating_add(1);
        let until = now.after(self.spec.backoff.wait(self.failures, random));
        let is_in_time = self.spec.deadline.is_none_or(|deadline| until < deadline);
        (self.failures <= self.spec.retries && is_in_time).then_some(until)
    }

    /// Which assignment runs it, if one does.
    pub(crate) fn fence(&self) -> Option<u64> {
        match self.state {
            State::Running { fence, .. } => Some(fence),
            _ => None,
        }
    }

    /// How it has ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Ended { outcome, .. } => Some(outcome),
            _ => None,
        }
    }
}

/// Whether a result keeps its limit; the error is that of the task.
pub(crate) fn check_result(result: &RawValue) -> Result<(), Box<str>> {
    let length = result.get().len();
    if length > MOST_RESULT {
        let text =
            format!("its result is too large: {length} bytes of JSON, and {MOST_RESULT} are kept");
        return Err(text.into());
    }
    Ok(())
}

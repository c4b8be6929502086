//! What must hold, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::value::RawValue;
use wharf::Result;
use wharf_executor::task::{Outcome, Record, Spec, State, TaskId};

use super::plan::Plan;

/// Sees what clients are told and what workers run, and says what should not be. Clones are the same.
///
/// It stands for the world outside: it knows what programs that were killed have seen.
#[derive(Clone, Default)]
pub(crate) struct Checker {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What was asked for.
    specs: BTreeMap<TaskId, Spec>,
    acknowledged: BTreeSet<TaskId>,
    /// Those that somebody wanted to be cancelled.
    unwanted: BTreeSet<TaskId>,
    /// How tasks have ended, as far as anybody was told.
    ended: BTreeMap<TaskId, String>,
    runs: Vec<Run>,
    never_twice: bool,
    wrong: Vec<String>,
}

/// What a worker has run. Its place in the list is the task's result.
struct Run {
    id: TaskId,
    attempt: u32,
    /// Whether it has succeeded; `None`: it has not ended, and may never.
    succeeded: Option<bool>,
    is_going_on: bool,
}

/// A run, until it is dropped.
pub(crate) struct Going {
    checker: Checker,
    number: usize,
}

impl Checker {
    /// Nothing gets lost: no task may be run by two at once.
    pub(crate) fn forbid_runs_at_once(&self) {
        self.with(|seen| seen.never_twice = true);
    }

    /// Something that should not be.
    pub(crate) fn wrong(&self, what: impl Into<String>) {
        self.with(|seen| seen.wrong.push(what.into()));
    }

    /// The first thing that should not be.
    pub(crate) fn check(&self) -> Result {
        match self.with(|seen| seen.wrong.first().cloned()) {
            Some(wrong) => Err(wrong.into()),
            None => Ok(()),
        }
    }

    /// How many tasks somebody wants or has wanted whose ids begin so.
    pub(crate) fn planned(&self, prefix: &str) -> usize {
        let is_its = |id: &&TaskId| id.as_str().starts_with(prefix);
        self.with(|seen| seen.specs.keys().filter(is_its).count())
    }

    pub(crate) fn will_submit(&self, id: &TaskId, spec: &Spec) {
        self.with(|seen| seen.specs.insert(id.clone(), spec.clone()));
    }

    pub(crate) fn acknowledged(&self, id: &TaskId) {
        self.with(|seen| seen.acknowledged.insert(id.clone()));
    }

    pub(crate) fn will_cancel(&self, id: &TaskId) {
        self.with(|seen| seen.unwanted.insert(id.clone()));
    }

    /// All tasks that are on the disk, if what was said is true.
    pub(crate) fn all_acknowledged(&self) -> Vec<TaskId> {
        self.with(|seen| seen.acknowledged.iter().cloned().collect())
    }

    /// A worker begins to run a task.
    pub(crate) fn begins(&self, id: &str, attempt: u32) -> Going {
        let number = self.with(|seen| seen.begins(id, attempt));
        Going { checker: self.clone(), number }
    }

    /// Somebody was told of a task.
    pub(crate) fn told(&self, record: &Record) {
        self.with(|seen| {
            if let Err(wrong) = seen.told(record) {
                seen.wrong.push(format!("{}: {wrong}", record.id));
            }
        });
    }

    fn with<R>(&self, act: impl FnOnce(&mut Seen) -> R) -> R {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Going {
    /// What comes of it, by its plan.
    pub(crate) fn end(&self, plan: Plan) -> Result<usize, bool> {
        self.checker.with(|seen| {
            let run = &seen.runs[self.number];
            let has_failed = |other: &&Run| other.id == run.id && other.succeeded == Some(false);
            let failed = seen.runs.iter().filter(has_failed).count();
            let succeeds = failed as u32 >= plan.fails && !plan.for_good;
            let is_for_good = plan.for_good && failed as u32 >= plan.fails;
            seen.runs[self.number].succeeded = Some(succeeds);
            if succeeds { Ok(self.number) } else { Err(is_for_good) }
        })
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.checker.with(|seen| seen.runs[self.number].is_going_on = false);
    }
}

impl Seen {
    fn begins(&mut self, id: &str, attempt: u32) -> usize {
        let id = TaskId::new(id).expect("it was one");
        if self.never_twice && self.runs.iter().any(|run| run.id == id && run.is_going_on) {
            self.wrong.push(format!("{id}: two run it at once"));
        }
        let parents = self.specs.get(&id).map(|spec| spec.after.clone()).unwrap_or_default();
        for parent in parents {
            if !self.runs.iter().any(|run| run.id == parent && run.succeeded == Some(true)) {
                self.wrong.push(format!("{id}: it runs before {parent}, after which it comes"));
            }
        }
        self.runs.push(Run { id, attempt, succeeded: None, is_going_on: true });
        self.runs.len() - 1
    }

    fn told(&mut self, record: &Record) -> Result<(), String> {
        let former = self.ended.get(&record.id);
        let State::Ended { outcome, at } = record.state else {
            return match former {
                Some(former) => Err(format!("it goes on after {former}: {:?}", record.state)),
                None => Ok(()),
            };
        };
        let result = record.result.as_deref().map(RawValue::get);
        let Record { attempts, error, .. } = record;
        let end = format!("{outcome:?} at {at:?} after {attempts}: {result:?} {error:?}");
        if let Some(former) = former {
            return if *former == end { Ok(()) } else { Err(format!("{former}, and then {end}")) };
        }
        self.ended.insert(record.id.clone(), end.clone());
        let is_right = match outcome {
            Outcome::Succeeded => self.has_succeeded(record),
            Outcome::Failed => self.may_fail(record),
            Outcome::Cancelled => self.unwanted.contains(&record.id) || record.cause.is_some(),
        };
        if is_right { Ok(()) } else { Err(format!("nothing explains {end}")) }
    }

    /// It has the result of a run that has succeeded, and that of the last one to whom it was given.
    fn has_succeeded(&self, record: &Record) -> bool {
        let result = record.result.as_ref().and_then(|result| result.get().parse::<usize>().ok());
        let run = result.and_then(|number| self.runs.get(number));
        run.is_some_and(|run| {
            let is_last = run.attempt == record.attempts;
            run.id == record.id && run.succeeded == Some(true) && is_last
        })
    }

    fn may_fail(&self, record: &Record) -> bool {
        if record.cause.is_some() {
            return true;
        }
        let Some(error) = record.error.as_deref() else { return false };
        let spec = &record.spec;
        let is_its = |run: &&Run| run.id == record.id && run.succeeded == Some(false);
        let failed = self.runs.iter().filter(is_its).count() as u32;
        let has_tried = record.failures > spec.retries || spec.deadline.is_some();
        let is_too_long = error.starts_with("it took");
        error.contains("workers were lost while it ran")
            || error == "its deadline has passed" && spec.deadline.is_some()
            || is_too_long && has_tried && (spec.timeout.is_some() || spec.deadline.is_some())
            || error == "planned" && has_tried && failed > 0
            || error == "for good" && failed > 0
    }
}

//! What comes of tasks that workers had.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::workers::{Report, WorkerKey};
use super::{Coordinator, Outcome, Running, SpanEnd};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Record, State, Timestamp, check_result, kept_error};

impl<S: Store> Coordinator<S> {
    /// A worker says what became of an assignment. Returns the batch that has it; `None`: it is not that worker's any
    /// more, and nothing is recorded. The worker is told when the batch is durable, and says it again until then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn reported(
        &mut self,
        worker: WorkerKey,
        fence: u64,
        report: Report,
        now: Now,
    ) -> Result<Option<u64>, StoreError> {
        let is_its = |running: &&Running| running.worker == Some(worker);
        let Some(running) = self.running.get(&fence).filter(is_its) else { return Ok(None) };
        let is_told = running.is_stopped;
        let place = self.workers.remove_task(worker, fence, running.size, now.wall);
        self.ran(worker, fence, place, SpanEnd::from(&report), now);
        let Some((key, record)) = self.take_running(fence)? else { return Ok(None) };
        let is_cancelled = matches!(record.state, State::Running { cancelled: true, .. });
        match report {
            // It was too late to cancel it.
            Report::Succeeded(result) => match check_result(&result) {
                Ok(()) => {
                    self.end(key, &record, Outcome::Succeeded, None, Some(result.into()), now)?;
                }
                Err(error) => self.failed(key, &record, error.into(), now)?,
            },
            _ if is_cancelled => self.end(key, &record, Outcome::Cancelled, None, None, now)?,
            Report::Failed(error) => self.failed(key, &record, kept_error(&error).into(), now)?,
            Report::FailedForGood(error) => {
                let mut record = Record::clone(&record);
                record.failures += 1;
                let error = Some(kept_error(&error).into());
                self.end(key, &record, Outcome::Failed, error, None, now)?;
            }
            Report::Stopped if is_told => {
                self.failed(key, &record, "it took too long".into(), now)?;
            }
            // A coordinator before this one has told it to stop, for a reason that was not on the disk: there is none.
            Report::Stopped | Report::GivenBack => self.enqueue(key, &record, now),
        }
        let batch = self.journal.number();
        self.assign(now)?;
        Ok(Some(batch))
    }

    /// The worker of an assignment is lost.
    pub(super) fn lost(&mut self, fence: u64, worker: &str, now: Now) -> Result<(), StoreError> {
        let Some((key, record)) = self.take_running(fence)? else { return Ok(()) };
        self.meter.lost += 1;
        if matches!(record.state, State::Running { cancelled: true, .. }) {
            return self.end(key, &record, Outcome::Cancelled, None, None, now);
        }
        let mut record = Record::clone(&record);
        record.losses += 1;
        record.error = Some(format!("worker {worker} was lost while it ran").into());
        if record.losses >= self.settings.most_losses {
            let error = format!("{} workers were lost while it ran, {worker} last", record.losses);
            return self.end(key, &record, Outcome::Failed, Some(error.into()), None, now);
        }
        self.enqueue(key, &record, now);
        Ok(())
    }

    /// The worker of an assignment is lost before it has begun that, so it was not that task which ended it.
    pub(super) fn left_waiting(&mut self, fence: u64, now: Now) -> Result<(), StoreError> {
        let Some((key, record)) = self.take_running(fence)? else { return Ok(()) };
        if matches!(record.state, State::Running { cancelled: true, .. }) {
            return self.end(key, &record, Outcome::Cancelled, None, None, now);
        }
        self.enqueue(key, &record, now);
        Ok(())
    }

    fn take_running(&mut self, fence: u64) -> Result<Option<(Key, Rc<Record>)>, StoreError> {
        let Some(running) = self.running.remove(&fence) else { return Ok(None) };
        self.journal.close_output(running.key);
        if let Some(until) = running.until {
            self.clock.remove_attempt(until, fence);
        }
        Ok(self.journal.record(running.key)?.map(|record| (running.key, record)))
    }

    /// An attempt has failed: another follows, or the task has.
    fn failed(
        &mut self,
        key: Key,
        record: &Record,
        error: Rc<str>,
        now: Now,
    ) -> Result<(), StoreError> {
        let mut record = record.clone();
        let Some(until) = record.failed(now.wall, &mut self.random) else {
            return self.end(key, &record, Outcome::Failed, Some(error), None, now);
        };
        self.meter.retried += 1;
        record.error = Some(error);
        record.state = State::Delayed { until };
        self.clock.add_task(until, key);
        self.journal.put(key, Rc::new(record));
        self.changed(key);
        Ok(())
    }

    /// A task ends. What comes after it begins to wait for a worker, or ends as well.
    pub(super) fn end(
        &mut self,
        key: Key,
        record: &Record,
        outcome: Outcome,
        error: Option<Rc<str>>,
        result: Option<Rc<RawValue>>,
        now: Now,
    ) -> Result<(), StoreError> {
        self.remove_from_queue(key, record);
        self.clock.remove_task(key, record);
        self.meter.ended(now.elapsed);
        if matches!(record.state, State::Blocked { .. }) {
            self.unblock(key, record)?;
        }
        let mut record = record.clone();
        record.state = State::Ended { outcome, at: now.wall };
        record.result = result;
        record.error = error.or(record.error);
        self.clock.add_expiry(key, &record, now.wall);
        let record = Rc::new(record);
        self.journal.put(key, Rc::clone(&record));
        self.changed(key);
        self.tell_dependents(key, &record, outcome, now)
    }

    /// When what became of a task is forgotten.
    pub(super) fn expiry(record: &Record, ended: Timestamp) -> Timestamp {
        Timestamp(ended.0.saturating_add(record.spec.keep))
    }
}

impl From<&Report> for SpanEnd {
    fn from(report: &Report) -> Self {
        match report {
            Report::Succeeded(_) => Self::Succeeded,
            Report::Failed(_) | Report::FailedForGood(_) => Self::Failed,
            Report::Stopped => Self::Stopped,
            Report::GivenBack => Self::GivenBack,
        }
    }
}

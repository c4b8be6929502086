//! What is due at some time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::expiries::Expiries;
use super::{Coordinator, Effect, Stop, WorkerKey};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Outcome, Record, State, Timestamp};

/// The most that becomes due in one call, so that others get a turn.
const MOST_AT_ONCE: usize = 1_000;

/// How long the wall clock is not looked at, at most: it may jump.
const LONGEST: Duration = Duration::from_secs(60);

/// What is due, by the clock that tells it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Delayed tasks, and tasks with a deadline, by the wall clock. What a task is due for is in its record: an entry that
    /// does not fit it any more is ignored.
    tasks: BTreeSet<(Timestamp, Key)>,
    /// Tasks whose outcome expires. The same holds for them.
    expiries: Expiries,
    /// Attempts that must end, by the loop's clock.
    attempts: BTreeSet<(Duration, u64)>,
    /// When leases of workers are looked at, by the loop's clock: they may have been renewed since.
    leases: BTreeSet<(Duration, WorkerKey)>,
    /// When workers must have come back after a restart.
    pub(super) return_until: Option<Duration>,
}

impl Clock {
    pub(super) fn add_task(&mut self, at: Timestamp, key: Key) {
        self.tasks.insert((at, key));
    }

    /// A task ends: nothing of what it was due for comes. What is far off would be kept for as long.
    pub(super) fn remove_task(&mut self, key: Key, record: &Record) {
        if let State::Delayed { until } = record.state {
            self.tasks.remove(&(until, key));
        }
        if let Some(deadline) = record.spec.deadline {
            self.tasks.remove(&(deadline, key));
        }
    }

    /// A task has ended at this time.
    pub(super) fn add_expiry(&mut self, key: Key, record: &Record, ended: Timestamp) {
        let keep = record.spec.keep;
        self.expiries.add(Timestamp(ended.0.saturating_add(keep)), keep, key);
    }

    /// When the first task is due.
    fn first_task(&self) -> Option<Timestamp> {
        let first = self.tasks.first().map(|(at, _)| *at);
        first.into_iter().chain(self.expiries.first()).min()
    }

    /// Takes a task that is due.
    fn take_task(&mut self, now: Timestamp) -> Option<Key> {
        if let Some(first) = self.tasks.first().copied().filter(|(at, _)| *at <= now) {
            self.tasks.remove(&first);
            return Some(first.1);
        }
        self.expiries.take(now)
    }

    pub(super) fn add_attempt(&mut self, until: Duration, fence: u64) {
        self.attempts.insert((until, fence));
    }

    pub(super) fn remove_attempt(&mut self, until: Duration, fence: u64) {
        self.attempts.remove(&(until, fence));
    }

    /// How much is due at some time, besides the end of what is kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tasks.len() + self.attempts.len()
    }

    pub(super) fn add_lease(&mut self, until: Duration, worker: WorkerKey) {
        self.leases.insert((until, worker));
    }

    pub(super) fn remove_lease(&mut self, until: Duration, worker: WorkerKey) {
        self.leases.remove(&(until, worker));
    }
}

impl<S: Store> Coordinator<S> {
    /// How long until [`on_time`](Self::on_time) has something to do; `None`: nothing is due ever.
    pub fn wait(&self, now: Now) -> Option<Duration> {
        let clock = &self.clock;
        let attempt = clock.attempts.first().map(|(until, _)| *until);
        let lease = clock.leases.first().map(|(until, _)| *until);
        let task = clock.first_task();
        let schedule = self.schedules.first().filter(|_| !self.is_draining);
        let by_wall = [task, schedule].into_iter().flatten().min().filter(|_| !self.is_held);
        let by_wall = by_wall.map(|at| Duration::from_millis(at.0.saturating_sub(now.wall.0)));
        let by_loop = [attempt, lease, clock.return_until].into_iter().flatten();
        by_loop
            .map(|until| until.saturating_sub(now.elapsed))
            .chain(by_wall.map(|wait| wait.min(LONGEST)))
            .min()
    }

    /// Does what is due. There may be more: see [`wait`](Self::wait).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn on_time(&mut self, now: Now) -> Result<(), StoreError> {
        while let Some(&(until, worker)) =
            self.clock.leases.first().filter(|first| first.0 <= now.elapsed)
        {
            self.clock.remove_lease(until, worker);
            match self.workers.get_mut(worker).filter(|known| known.lease > now.elapsed) {
                Some(renewed) => {
                    renewed.watched = renewed.lease;
                    self.clock.add_lease(renewed.lease, worker);
                }
                None => {
                    self.effects.push_back(Effect::Dismiss { worker });
                    self.worker_left(worker, now)?;
                }
            }
        }
        while let Some(&(until, fence)) =
            self.clock.attempts.first().filter(|first| first.0 <= now.elapsed)
        {
            self.clock.attempts.remove(&(until, fence));
            self.stop(fence, Stop::TooLong);
        }
        if self.clock.return_until.is_some_and(|until| until <= now.elapsed) {
            self.clock.return_until = None;
            self.give_up_those_who_did_not_return(now)?;
        }
        for _ in 0..if self.is_held { 0 } else { MOST_AT_ONCE } {
            let Some(key) = self.clock.take_task(now.wall) else { break };
            self.task_is_due(key, now)?;
        }
        self.run_schedules(now)?;
        self.assign(now)
    }

    fn task_is_due(&mut self, key: Key, now: Now) -> Result<(), StoreError> {
        let Some(record) = self.journal.record(key)? else { return Ok(()) };
        let is_over_deadline = record.spec.deadline.is_some_and(|deadline| deadline <= now.wall);
        match record.state {
            State::Ended { at, .. } => {
                // One that is wanted still is looked at again when it is not.
                let is_due = Self::expiry(&record, at) <= now.wall;
                if is_due && !self.dependents.is_wanted(key) {
                    self.dependents.forget(key);
                    self.journal.remove(key, record.id.clone());
                }
                Ok(())
            }
            State::Running { fence, .. } if is_over_deadline => {
                self.stop(fence, Stop::TooLong);
                Ok(())
            }
            _ if is_over_deadline => {
                let error = "its deadline has passed".into();
                self.end(key, &record, Outcome::Failed, Some(error), None, now)
            }
            State::Delayed { until } if until <= now.wall => {
                self.enqueue(key, &record, now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells a worker to end what it runs.
    pub(super) fn stop(&mut self, fence: u64, why: Stop) {
        let Some(running) = self.running.get_mut(&fence) else { return };
        if let Some(worker) = running.worker
            && !running.is_stopped
        {
            running.is_stopped = true;
            self.effects.push_back(Effect::Stop { worker, fence, why });
        }
    }
}

//! Tasks become ready, and workers get them.

use std::rc::Rc;
use std::time::Duration;

use super::queue::Turn;
use super::workers::{WorkerKey, size_of};
use super::{Assignment, Coordinator, Effect, Running};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Record, State};

impl<S: Store> Coordinator<S> {
    /// A task waits for nothing but its time, if that has not come.
    pub(super) fn make_ready(&mut self, key: Key, record: &mut Record, now: Now) {
        match record.spec.at.filter(|at| *at > now.wall) {
            Some(until) => {
                record.state = State::Delayed { until };
                self.clock.add_task(until, key);
            }
            None => {
                record.state = State::Queued { since: now.wall };
                self.add_to_queue(key, record);
            }
        }
    }

    /// A task waits for a worker from now on.
    pub(super) fn enqueue(&mut self, key: Key, record: &Record, now: Now) {
        let mut record = record.clone();
        record.state = State::Queued { since: now.wall };
        self.add_to_queue(key, &record);
        // It may have passed while the task ran, and ended nothing then.
        self.watch_deadline(key, &record);
        self.journal.put(key, Rc::new(record));
        self.changed(key);
    }

    pub(super) fn add_to_queue(&mut self, key: Key, record: &Record) {
        if let Some(turn) = Turn::of_queued(record) {
            self.queue.add(&record.spec.kind, turn, key);
        }
    }

    /// The task is looked at when its deadline passes, or as soon as time is looked at if it has.
    pub(super) fn watch_deadline(&mut self, key: Key, record: &Record) {
        if let Some(deadline) = record.spec.deadline {
            self.clock.add_task(deadline, key);
        }
    }

    pub(super) fn remove_from_queue(&mut self, key: Key, record: &Record) {
        if let Some(turn) = Turn::of_queued(record) {
            self.queue.remove(&record.spec.kind, turn, key);
        }
    }

    /// Gives tasks that wait to workers that take more.
    pub(super) fn assign(&mut self, now: Now) -> Result<(), StoreError> {
        if self.is_draining || self.is_held {
            return Ok(());
        }
        while let Some((worker, key)) = self.next_pair() {
            self.give(worker, key, now)?;
        }
        self.recall();
        Ok(())
    }

    /// The worker whose turn it is, of those that can run something, and what.
    fn next_pair(&mut self) -> Option<(WorkerKey, Key)> {
        if self.queue.len() == 0 {
            return None;
        }
        let queue = &mut self.queue;
        self.workers
            .free()
            .find_map(|(worker, known)| Some((worker, queue.take(known.kinds.iter())?)))
    }

    fn give(&mut self, worker: WorkerKey, key: Key, now: Now) -> Result<(), StoreError> {
        let Some(record) = self.journal.record(key)? else { return Ok(()) };
        let Some(name) = self.workers.get_mut(worker).map(|known| Rc::clone(&known.name)) else {
            return Ok(());
        };
        let fence = self.next_fence;
        self.next_fence += 1;
        let mut record = Record::clone(&record);
        record.attempts += 1;
        record.state = State::Running { worker: name, fence, since: now.wall, cancelled: false };
        let task = Assignment {
            id: record.id.clone(),
            spec: Rc::clone(&record.spec),
            fence,
            attempt: record.attempts,
        };
        self.meter.assigned += 1;
        self.running.insert(fence, Running::new(key, &record, Some(worker)));
        self.watch_attempt(fence, &record, now);
        self.workers.add_task(worker, fence, size_of(&record), now.wall);
        self.journal.put(key, Rc::new(record));
        self.effects.push_back(Effect::Assign { worker, task });
        self.changed(key);
        Ok(())
    }

    /// Ends an attempt in time, which its worker should have done before.
    pub(super) fn watch_attempt(&mut self, fence: u64, record: &Record, now: Now) {
        if let Some(timeout) = record.spec.timeout {
            let wait = Duration::from_millis(timeout).saturating_add(self.settings.lease);
            let until = now.elapsed.saturating_add(wait);
            self.clock.add_attempt(until, fence);
            if let Some(running) = self.running.get_mut(&fence) {
                running.until = Some(until);
            }
        }
    }
}

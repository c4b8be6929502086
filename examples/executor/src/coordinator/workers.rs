//! Who runs tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::slots::Slots;
use super::{Coordinator, Effect, SpanEnd, Stop};
use crate::store::{Store, StoreError};
use crate::task::{Kind, Now, Record, State, Timestamp};

/// So many tasks may a worker have, whatever it says.
const MOST_CAPACITY: usize = 10_000;
/// One that has arguments of so many bytes gets no more.
const MOST_BYTES: usize = 48 * 1024 * 1024;

/// Which worker: they count up, and none has that of a former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerKey(pub u64);

/// What a worker says of itself.
#[derive(Clone, Debug)]
pub struct WorkerInfo {
    /// Its name, for people.
    pub name: Rc<str>,
    /// What it can run.
    pub kinds: Vec<Kind>,
    /// How many tasks it takes, those included that wait for a slot.
    pub capacity: usize,
    /// How many of them run at once; `None`: all that it takes.
    pub slots: Option<usize>,
    /// What it runs already, since it was connected before.
    pub fences: Vec<u64>,
}

/// What became of an assignment.
#[derive(Clone, Debug)]
pub enum Report {
    /// It succeeded with this.
    Succeeded(Box<RawValue>),
    /// It failed, for this reason.
    Failed(Box<str>),
    /// It failed, and would fail again: it is not tried again.
    FailedForGood(Box<str>),
    /// It was stopped, as the coordinator asked.
    Stopped,
    /// The worker does not do it after all: it is shutting down.
    GivenBack,
}

#[derive(Debug, Default)]
pub(super) struct Workers {
    table: BTreeMap<WorkerKey, Worker>,
    /// Those that take more.
    free: BTreeSet<Place>,
    /// Those that have something that waits for a slot.
    behind: BTreeSet<WorkerKey>,
    next: u64,
    turn: u64,
}

/// A worker's place among those that take more: one with a free slot comes before one where a task would wait for a slot,
/// and one that has been given something longer ago before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    has_no_free_slot: bool,
    turn: u64,
    worker: WorkerKey,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: Rc<str>,
    pub(super) kinds: Rc<[Kind]>,
    pub(super) capacity: usize,
    pub(super) slots: Slots,
    pub(super) fences: BTreeSet<u64>,
    /// Of the arguments of what it has.
    bytes: usize,
    /// When it ends.
    pub(super) lease: Duration,
    /// When the clock looks at it next.
    pub(super) watched: Duration,
    /// When it was given something last: these count up.
    turn: u64,
    /// `None`: it takes no more.
    place: Option<Place>,
}

impl Workers {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// In the order in which they came.
    pub(super) fn keys(&self) -> impl Iterator<Item = WorkerKey> {
        self.table.keys().copied()
    }

    pub(super) fn get(&self, worker: WorkerKey) -> Option<&Worker> {
        self.table.get(&worker)
    }

    pub(super) fn get_mut(&mut self, worker: WorkerKey) -> Option<&mut Worker> {
        self.table.get_mut(&worker)
    }

    /// Those that take more, in turn.
    pub(super) fn free(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.free.iter().filter_map(|place| Some((place.worker, self.table.get(&place.worker)?)))
    }

    /// Those of them that have a free slot.
    pub(super) fn idle(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.free().take_while(|(_, worker)| worker.free_slots() > 0)
    }

    /// Those that have something that waits for a slot.
    pub(super) fn behind(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.behind.iter().filter_map(|key| Some((*key, self.table.get(key)?)))
    }

    /// A worker has one more.
    pub(super) fn add_task(&mut self, key: WorkerKey, fence: u64, size: usize, now: Timestamp) {
        let Some(worker) = self.table.get_mut(&key) else { return };
        worker.fences.insert(fence);
        worker.bytes += size;
        worker.slots.add(fence, now);
        self.turn += 1;
        worker.turn = self.turn;
        self.settle(key);
    }

    /// A worker has one less. Returns the slot in which it ran, and since when; `None`: it had none yet.
    pub(super) fn remove_task(
        &mut self,
        key: WorkerKey,
        fence: u64,
        size: usize,
        now: Timestamp,
    ) -> Option<(usize, Timestamp)> {
        let worker = self.table.get_mut(&key)?;
        let place = worker.slots.remove(fence, now);
        worker.fences.remove(&fence);
        worker.bytes = worker.bytes.saturating_sub(size);
        self.settle(key);
        place
    }

    /// Puts a worker where it belongs, after something of it has changed.
    fn settle(&mut self, key: WorkerKey) {
        let Some(worker) = self.table.get_mut(&key) else { return };
        let place = worker.takes_more().then(|| Place {
            has_no_free_slot: worker.free_slots() == 0,
            turn: worker.turn,
            worker: key,
        });
        if let Some(former) = std::mem::replace(&mut worker.place, place) {
            self.free.remove(&former);
        }
        self.free.extend(place);
        if worker.slots.waiting() > 0 {
            self.behind.insert(key);
        } else {
            self.behind.remove(&key);
        }
    }

    fn add(&mut self, info: WorkerInfo, lease: Duration) -> WorkerKey {
        self.next += 1;
        self.turn += 1;
        let (key, turn) = (WorkerKey(self.next), self.turn);
        let WorkerInfo { name, kinds, capacity, slots, .. } = info;
        let slots = Slots::new(slots.unwrap_or(capacity));
        let (kinds, fences, bytes) = (kinds.into(), BTreeSet::new(), 0);
        let (capacity, watched) = (capacity.min(MOST_CAPACITY), lease);
        let place = None;
        let worker =
            Worker { name, kinds, capacity, slots, fences, bytes, lease, watched, turn, place };
        self.table.insert(key, worker);
        self.settle(key);
        key
    }

    fn remove(&mut self, key: WorkerKey) -> Option<Worker> {
        let worker = self.table.remove(&key)?;
        if let Some(place) = &worker.place {
            self.free.remove(place);
        }
        self.behind.remove(&key);
        Some(worker)
    }
}

impl Worker {
    pub(super) fn free_slots(&self) -> usize {
        self.slots.len().saturating_sub(self.fences.len())
    }

    fn takes_more(&self) -> bool {
        self.fences.len() < self.capacity && self.bytes < MOST_BYTES
    }
}

/// What a task takes of what a worker may hold.
pub(super) fn size_of(record: &Record) -> usize {
    record.spec.args.get().len()
}

impl<S: Store> Coordinator<S> {
    /// A worker has come. What it runs already goes on, unless another has it by now: it is told to stop that.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn worker_joined(&mut self, info: WorkerInfo, now: Now) -> Result<WorkerKey, StoreError> {
        let lease = now.elapsed + self.settings.lease;
        let fences = info.fences.clone();
        let worker = self.workers.add(info, lease);
        self.clock.add_lease(lease, worker);
        for fence in fences {
            self.returned(worker, fence, now)?;
        }
        self.assign(now)?;
        Ok(worker)
    }

    /// A worker has an assignment from before.
    fn returned(&mut self, worker: WorkerKey, fence: u64, now: Now) -> Result<(), StoreError> {
        let Some(running) = self.running.get_mut(&fence).filter(|running| running.worker.is_none())
        else {
            self.effects.push_back(Effect::Stop { worker, fence, why: Stop::Stale });
            return Ok(());
        };
        running.worker = Some(worker);
        let (key, size) = (running.key, running.size);
        let record = self.journal.record(key)?;
        self.workers.add_task(worker, fence, size, now.wall);
        let Some(record) = record else { return Ok(()) };
        if matches!(record.state, State::Running { cancelled: true, .. }) {
            self.stop(fence, Stop::Cancelled);
        }
        // It may have passed while nobody could be told.
        self.watch_deadline(key, &record);
        Ok(())
    }

    /// Something was heard of a worker.
    pub fn worker_is_alive(&mut self, worker: WorkerKey, now: Now) {
        let until = now.elapsed + self.settings.lease;
        // The clock hears of it when it looks at it next: a worker says something a thousand times as often.
        if let Some(known) = self.workers.get_mut(worker) {
            known.lease = until;
        }
    }

    /// A worker takes so many tasks from now on; 0: it is shutting down.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn worker_takes(
        &mut self,
        worker: WorkerKey,
        capacity: usize,
        now: Now,
    ) -> Result<(), StoreError> {
        if let Some(known) = self.workers.table.get_mut(&worker) {
            known.capacity = capacity.min(MOST_CAPACITY);
            self.workers.settle(worker);
        }
        self.assign(now)
    }

    /// A worker's connection or lease has ended: others get what it had.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn worker_left(&mut self, worker: WorkerKey, now: Now) -> Result<(), StoreError> {
        let Some(mut left) = self.workers.remove(worker) else { return Ok(()) };
        self.clock.remove_lease(left.watched, worker);
        let begun: BTreeSet<u64> = left.slots.held().map(|(_, held)| held.fence).collect();
        for fence in left.fences {
            let place = left.slots.remove(fence, now.wall);
            if begun.contains(&fence) {
                self.ran(worker, fence, place, SpanEnd::Lost, now);
                self.lost(fence, &left.name, now)?;
            } else {
                self.left_waiting(fence, now)?;
            }
        }
        self.assign(now)
    }
}

mod clock;
mod dependents;
mod dependents_random;
mod observed;
mod random;
mod scenarios;
mod schedules;

use std::time::Duration;

use super::{Assignment, Coordinator, Effect, Settings, WorkerInfo, WorkerKey};
use crate::store::{Batch, Key, MemoryStore};
use crate::task::{Kind, Now, Record, Spec, TaskId, Timestamp};

/// When the tests begin.
const BEGIN: u64 = 1_800_000_000_000;

/// A coordinator on a store that may be cut off, and a clock.
struct World {
    coordinator: Coordinator<MemoryStore>,
    /// What is durable.
    disk: MemoryStore,
    epoch: u32,
    now: Now,
    effects: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        Self::with_seed(1)
    }

    fn with_seed(seed: u64) -> Self {
        let now = Now { elapsed: Duration::ZERO, wall: Timestamp(BEGIN) };
        let disk = MemoryStore::new();
        let random = fastrand::Rng::with_seed(seed);
        let opened = Coordinator::open(disk.clone(), 1, Settings::default(), random, now);
        Self { coordinator: opened.unwrap(), disk, epoch: 1, now, effects: Vec::new() }
    }

    /// Makes all changes durable.
    fn commit(&mut self) -> Option<Batch> {
        let batch = self.coordinator.journal().take_batch()?;
        self.disk.apply(&batch);
        self.coordinator.journal().store().apply(&batch);
        self.coordinator.journal().committed(&batch);
        Some(batch)
    }

    /// What is not durable is gone, and a new coordinator goes on.
    fn restart(&mut self) {
        self.epoch += 1;
        self.effects.clear();
        let random = fastrand::Rng::with_seed(u64::from(self.epoch));
        let (disk, now) = (self.disk.clone(), self.now);
        let opened = Coordinator::open(disk, self.epoch, Settings::default(), random, now);
        self.coordinator = opened.unwrap();
    }

    /// Time passes, and what is due is done.
    fn pass(&mut self, time: Duration) {
        let end = self.now.elapsed + time;
        while let Some(wait) = self.coordinator.wait(self.now)
            && self.now.elapsed + wait <= end
        {
            self.skip(wait);
            self.coordinator.on_time(self.now).unwrap();
        }
        self.skip(end - self.now.elapsed);
    }

    fn skip(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.wall = self.now.wall.after(time);
    }

    fn submit(&mut self, spec: Spec) -> Key {
        self.coordinator.submit(spec, self.now).unwrap().unwrap().key
    }

    fn join(&mut self, capacity: usize, kinds: &[&str]) -> WorkerKey {
        self.join_again(capacity, kinds, Vec::new())
    }

    fn join_again(&mut self, capacity: usize, kinds: &[&str], fences: Vec<u64>) -> WorkerKey {
        self.join_as(capacity, None, kinds, fences)
    }

    fn join_with_slots(&mut self, capacity: usize, slots: usize, kinds: &[&str]) -> WorkerKey {
        self.join_as(capacity, Some(slots), kinds, Vec::new())
    }

    fn join_as(
        &mut self,
        capacity: usize,
        slots: Option<usize>,
        kinds: &[&str],
        fences: Vec<u64>,
    ) -> WorkerKey {
        let kinds = kinds.iter().map(|kind| Kind::new(kind).unwrap()).collect();
        let info = WorkerInfo { name: "worker".into(), kinds, capacity, slots, fences };
        self.coordinator.worker_joined(info, self.now).unwrap()
    }

    /// What workers were given since the last call.
    fn assigned(&mut self) -> Vec<(WorkerKey, Assignment)> {
        let mut assigned = Vec::new();
        while let Some(effect) = self.coordinator.effect() {
            match effect {
                Effect::Assign { worker, task } => assigned.push((worker, task)),
                other => self.effects.push(other),
            }
        }
        assigned
    }

    fn record(&mut self, key: Key) -> Record {
        Record::clone(&self.coordinator.journal().record(key).unwrap().unwrap())
    }
}

fn spec(kind: &str) -> Spec {
    let args = serde_json::value::RawValue::NULL.to_owned();
    Spec::new(Kind::new(kind).unwrap(), args)
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

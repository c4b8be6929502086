//! Everything at random: submits, workers that come, go, go silent and come back, reports, cancelling, time, commits and
//! restarts that lose what was not committed. What was acknowledged must hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use fastrand::Rng;
use serde_json::value::RawValue;

use super::{World, spec};
use crate::coordinator::{Assignment, Effect, Report, WorkerKey};
use crate::scale::times;
use crate::store::{Change, Key};
use crate::task::{Outcome, Priority, Spec};

#[test]
fn whatever_happens_each_acknowledged_task_ends_with_one_outcome() {
    for seed in 0..times(40) {
        Run::new(seed.into()).run(400);
    }
}

struct Run {
    world: World,
    random: Rng,
    seed: u64,
    workers: BTreeMap<WorkerKey, Vec<Assignment>>,
    /// What workers have kept whose connection was lost.
    gone: Vec<Vec<Assignment>>,
    acknowledged: BTreeSet<Key>,
    /// Durable outcomes.
    outcomes: HashMap<Key, Outcome>,
    fences: BTreeSet<u64>,
    runs: HashMap<Key, u32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            world: World::with_seed(seed),
            random: Rng::with_seed(seed),
            seed,
            workers: BTreeMap::new(),
            gone: Vec::new(),
            acknowledged: BTreeSet::new(),
            outcomes: HashMap::new(),
            fences: BTreeSet::new(),
            runs: HashMap::new(),
        }
    }

    fn run(mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.take_effects();
            if self.random.u32(0..50) == 0 {
                super::observed::assert_counted(&mut self.world);
            }
        }
        // Faults stop. Everything comes to its end.
        let worker = self.world.join(8, &["a", "b"]);
        self.workers.insert(worker, Vec::new());
        for _ in 0..2_000 {
            self.take_effects();
            self.report(Some(true));
            self.heartbeats();
            self.world.pass(Duration::from_secs(5));
            self.commit();
            if self.acknowledged.iter().all(|key| self.outcomes.contains_key(key)) {
                break;
            }
        }
        for key in &self.acknowledged {
            assert!(self.outcomes.contains_key(key), "seed {}: {key:?} has not ended", self.seed);
        }
        for (key, outcome) in &self.outcomes {
            let has_run = self.runs.contains_key(key);
            assert!(*outcome != Outcome::Succeeded || has_run, "seed {}: {key:?}", self.seed);
        }
    }

    fn step(&mut self) {
        match self.random.u32(0..100) {
            0..25 => self.submit(),
            25..32 => self.join(),
            32..36 => self.leave(),
            36..60 => self.report(None),
            60..65 => self.cancel(),
            65..80 => self.heartbeats(),
            80..90 => {
                let time = self.random.u64(0..8_000);
                self.world.pass(Duration::from_millis(time));
            }
            90..97 => self.commit(),
            _ => self.restart(),
        }
    }

    fn submit(&mut self) {
        let kind = if self.random.bool() { "a" } else { "b" };
        let later = self.world.now.wall.after(Duration::from_millis(self.random.u64(0..20_000)));
        let mut spec = Spec {
            priority: Priority::new(self.random.u8(0..10)).unwrap(),
            retries: self.random.u32(0..4),
            at: self.random.bool().then_some(later),
            keep: 1 << 40,
            ..spec(kind)
        };
        if self.random.u32(0..4) == 0
            && let Some(parent) = self.any_task()
            && let Some(record) = self.world.coordinator.journal().record(parent).unwrap()
        {
            spec.after.push(record.id.clone());
        }
        // Refused where the one before it has failed.
        let _ = self.world.coordinator.submit(spec, self.world.now).unwrap();
    }

    fn any_task(&mut self) -> Option<Key> {
        let index = self.random.usize(..self.acknowledged.len().max(1));
        self.acknowledged.iter().nth(index).copied()
    }

    fn join(&mut self) {
        let kinds: &[&str] = [&["a"][..], &["b"], &["a", "b"]][self.random.usize(..3)];
        let kept = if self.random.bool() { self.gone.pop() } else { None }.unwrap_or_default();
        let fences = kept.iter().map(|task| task.fence).collect();
        let capacity = self.random.usize(1..4);
        let slots = Some(self.random.usize(1..4));
        let worker = self.world.join_as(capacity, slots, kinds, fences);
        self.workers.insert(worker, kept);
    }

    fn any_worker(&mut self) -> Option<WorkerKey> {
        let index = self.random.usize(..self.workers.len().max(1));
        self.workers.keys().nth(index).copied()
    }

    fn leave(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        self.gone.extend(self.workers.remove(&worker));
        self.world.coordinator.worker_left(worker, self.world.now).unwrap();
    }

    fn report(&mut self, succeeds: Option<bool>) {
        let all: Vec<_> = self.workers.keys().copied().collect();
        for worker in all {
            let Some(tasks) = self.workers.get_mut(&worker) else { continue };
            if tasks.is_empty() {
                continue;
            }
            let task = tasks.swap_remove(self.random.usize(..tasks.len()));
            let report = match succeeds.unwrap_or_else(|| self.random.bool()) {
                true => Report::Succeeded(RawValue::NULL.to_owned()),
                false if self.random.bool() => Report::Failed("no".into()),
                false => Report::GivenBack,
            };
            let now = self.world.now;
            self.world.coordinator.reported(worker, task.fence, report, now).unwrap();
        }
    }

    fn cancel(&mut self) {
        if let Some(key) = self.any_task() {
            self.world.coordinator.cancel(key, self.world.now).unwrap();
        }
    }

    /// Some are silent.
    fn heartbeats(&mut self) {
        let all: Vec<_> = self.workers.keys().copied().collect();
        for worker in all {
            self.world.coordinator.worker_is_alive(worker, self.world.now);
        }
    }

    fn commit(&mut self) {
        let Some(batch) = self.world.commit() else { return };
        for (key, change) in batch.changes {
            let (Change::New(record) | Change::Put(record)) = change else {
                panic!("nothing expires here")
            };
            self.acknowledged.insert(key);
            if let Some(outcome) = record.outcome() {
                let former = self.outcomes.insert(key, outcome);
                assert!(former.is_none_or(|former| former == outcome), "seed {}", self.seed);
            } else {
                assert!(!self.outcomes.contains_key(&key), "seed {}: {key:?} goes on", self.seed);
            }
        }
    }

    fn restart(&mut self) {
        self.world.restart();
        self.gone.extend(std::mem::take(&mut self.workers).into_values());
    }

    fn take_effects(&mut self) {
        for (worker, task) in self.world.assigned() {
            assert!(self.fences.insert(task.fence), "seed {}: a fence twice", self.seed);
            let found = self.world.coordinator.find(&task.id).unwrap().unwrap();
            *self.runs.entry(found.0).or_default() += 1;
            if let Some(tasks) = self.workers.get_mut(&worker) {
                tasks.push(task);
            }
        }
        for effect in std::mem::take(&mut self.world.effects) {
            let (worker, fence, report) = match effect {
                Effect::Stop { worker, fence, .. } => (worker, fence, Report::Stopped),
                // One that has begun it keeps it.
                Effect::Recall { worker, fence } if self.random.bool() => {
                    (worker, fence, Report::GivenBack)
                }
                _ => continue,
            };
            if let Some(tasks) = self.workers.get_mut(&worker)
                && let Some(index) = tasks.iter().position(|task| task.fence == fence)
            {
                tasks.swap_remove(index);
                let now = self.world.now;
                self.world.coordinator.reported(worker, fence, report, now).unwrap();
            }
        }
    }
}

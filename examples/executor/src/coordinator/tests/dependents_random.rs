//! Graphs of tasks at random, with failures, cancelling, retries by hand and restarts. None runs before those that it comes
//! after have succeeded, each gets what they returned, and when all that did not succeed is tried again, all do.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::value::RawValue;

use super::{World, id, spec};
use crate::coordinator::{Assignment, Effect, Report, WorkerKey};
use crate::scale::times;
use crate::store::Key;
use crate::task::{Input, Outcome, Spec, TaskId};

#[test]
fn whatever_happens_tasks_get_the_results_of_those_before_them() {
    for seed in 0..times(50) {
        Run::new(seed.into()).run();
    }
}

struct Run {
    world: World,
    random: Rng,
    seed: u64,
    worker: WorkerKey,
    held: Vec<Assignment>,
    /// What was asked for, by id. Some of it may be lost in a restart.
    specs: BTreeMap<TaskId, Spec>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut world = World::with_seed(seed);
        let worker = world.join(3, &["a"]);
        let random = Rng::with_seed(seed);
        Self { world, random, seed, worker, held: Vec::new(), specs: BTreeMap::new() }
    }

    fn run(mut self) {
        for _ in 0..200 {
            match self.random.u32(0..100) {
                0..30 => self.submit(),
                30..70 => self.report(None),
                70..75 => self.any(|run, key| run.cancel(key)),
                75..85 => self.any(|run, key| run.retry(key)),
                85..96 => drop(self.world.commit()),
                _ => self.restart(),
            }
            self.take();
        }
        // Nothing fails any more, and what did is tried again. What was reported before a restart is given again.
        for _ in 0..4 {
            self.world.coordinator.worker_is_alive(self.worker, self.world.now);
            self.world.pass(Duration::from_secs(10));
        }
        self.take();
        while !self.held.is_empty() || self.retry_all() {
            self.report(Some(true));
            self.take();
        }
        for name in self.specs.keys() {
            if let Some((_, record)) = self.world.coordinator.find(name).unwrap() {
                let outcome = record.outcome();
                assert_eq!(outcome, Some(Outcome::Succeeded), "seed {}: {name}", self.seed);
            }
        }
    }

    fn submit(&mut self) {
        let name = id(&format!("t{}", self.specs.len()));
        let known: Vec<_> = self.specs.keys().cloned().collect();
        let count = if known.is_empty() { 0 } else { self.random.usize(0..4) };
        let after: Vec<_> =
            (0..count).map(|_| known[self.random.usize(..known.len())].clone()).collect();
        let input = match self.random.u32(0..3) {
            0 if after.len() == 1 => Some(Input::Result),
            1 => Some(Input::Results),
            _ => None,
        };
        let spec = Spec { id: Some(name.clone()), after, input, retries: 0, ..spec("a") };
        let submitted = self.world.coordinator.submit(spec.clone(), self.world.now).unwrap();
        if submitted.is_ok() {
            self.specs.insert(name, spec);
        }
    }

    fn report(&mut self, succeeds: Option<bool>) {
        if self.held.is_empty() {
            return;
        }
        let task = self.held.swap_remove(self.random.usize(..self.held.len()));
        let report = match succeeds.unwrap_or_else(|| self.random.u32(0..3) > 0) {
            true => Report::Succeeded(result_of(&task.id)),
            false => Report::Failed("no".into()),
        };
        self.world.coordinator.reported(self.worker, task.fence, report, self.world.now).unwrap();
    }

    fn any(&mut self, action: impl Fn(&mut Self, Key)) {
        let count = self.specs.len();
        let index = self.random.usize(..count.max(1));
        let Some(name) = self.specs.keys().nth(index).cloned() else { return };
        if let Some((key, _)) = self.world.coordinator.find(&name).unwrap() {
            action(self, key);
        }
    }

    fn cancel(&mut self, key: Key) {
        self.world.coordinator.cancel(key, self.world.now).unwrap();
    }

    fn retry(&mut self, key: Key) {
        self.world.coordinator.retry(key, self.world.now).unwrap();
    }

    fn retry_all(&mut self) -> bool {
        let names: Vec<_> = self.specs.keys().cloned().collect();
        let mut retried = false;
        for name in names {
            let Some((key, _)) = self.world.coordinator.find(&name).unwrap() else { continue };
            retried |= self.world.coordinator.retry(key, self.world.now).unwrap().is_some();
        }
        self.take();
        retried
    }

    fn restart(&mut self) {
        self.world.restart();
        let fences = self.held.iter().map(|task| task.fence).collect();
        self.worker = self.world.join_again(3, &["a"], fences);
    }

    /// What is given is checked; what is stopped ends.
    fn take(&mut self) {
        loop {
            for (_, task) in self.world.assigned() {
                self.check(&task);
                self.held.push(task);
            }
            let stops = std::mem::take(&mut self.world.effects);
            if stops.is_empty() {
                return;
            }
            for effect in stops {
                let Effect::Stop { fence, .. } = effect else { continue };
                self.held.retain(|task| task.fence != fence);
                let (worker, now) = (self.worker, self.world.now);
                self.world.coordinator.reported(worker, fence, Report::Stopped, now).unwrap();
            }
        }
    }

    fn check(&self, task: &Assignment) {
        let spec = &self.specs[&task.id];
        let mut results = Vec::new();
        for parent in &spec.after {
            let (_, parent) = self.world.coordinator.find(parent).unwrap().unwrap();
            assert_eq!(parent.outcome(), Some(Outcome::Succeeded), "seed {}", self.seed);
            results.push(parent.result.as_ref().unwrap().get().to_owned());
        }
        let expected = match spec.input {
            None => "null".to_owned(),
            Some(Input::Result) => results.concat(),
            Some(Input::Results) => format!("[{}]", results.join(",")),
        };
        assert_eq!(task.spec.args.get(), expected, "seed {}: {}", self.seed, task.id);
    }
}

fn result_of(name: &TaskId) -> Box<RawValue> {
    RawValue::from_string(format!(r#""of {name}""#)).unwrap()
}

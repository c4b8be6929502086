use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::value::RawValue;
use wharf_executor::coordinator::{
    Assignment, Coordinator, Effect, Report, Settings, WorkerInfo, WorkerKey,
};
use wharf_executor::serve::ServeOptions;
use wharf_executor::store::{Change, Key, MemoryStore};
use wharf_executor::task::{Kind, Now, Outcome, Priority, Spec, Timestamp};

/// What a coordinator decides, whatever happens: an acknowledged task ends with one outcome, which stays unless somebody
/// asks for another attempt, no fence is given twice, and once faults stop, all come to their end.
///
/// Events are pairs of bytes: what happens, and how.
///
/// | byte | what happens, and what its second byte is |
/// |---|---|
/// | `s` | a submit; bit 0: its kind; 1, 2: retries; 3: in ten seconds; 4: after the last one; 5: at most two seconds; 6: urgent; 7: within a minute |
/// | `j` | a worker comes; bits 0, 1: its kinds; 2: with what one has that is gone; 3, 4: how many tasks it takes; 5, 6: its slots |
/// | `l` | it goes: which |
/// | `r`, `f`, `F`, `g` | it succeeds, fails, fails for good or gives back with one of its tasks: which worker |
/// | `a`, `p` | it lives; it takes none, or three, from now on (the highest bit) |
/// | `c`, `y` | a task is cancelled, or is to be tried again: which |
/// | `t`, `T` | so many tenths of a second pass, or seconds |
/// | `w` | the wall clock jumps by so many minutes, from -128 |
/// | `d` | it drains, or does not any more (0) |
/// | `k` | all is on the disk |
/// | `x` | a restart, which loses what is not |
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    let (events, _) = data.as_chunks::<2>();
    for &[what, how] in events {
        world.happens(what, how);
        world.carry_out();
    }
    world.end();
}

struct World {
    coordinator: Coordinator<MemoryStore>,
    /// What is durable.
    disk: MemoryStore,
    epoch: u32,
    now: Now,
    latest: Timestamp,
    /// What workers have.
    workers: BTreeMap<WorkerKey, Vec<Assignment>>,
    /// What those have who are gone.
    gone: Vec<Vec<Assignment>>,
    tasks: Vec<Key>,
    acknowledged: BTreeSet<Key>,
    outcomes: BTreeMap<Key, Outcome>,
    /// What somebody wants to be tried again.
    reopened: BTreeSet<Key>,
    fences: BTreeSet<u64>,
    runs: BTreeSet<Key>,
}

fn open(disk: &MemoryStore, epoch: u32, now: Now) -> Coordinator<MemoryStore> {
    let mut random = ServeOptions::default().random;
    random.seed(epoch.into());
    Coordinator::open(disk.clone(), epoch, Settings::default(), random, now)
        .expect("memory can be read")
}

impl World {
    fn new() -> Self {
        let now = Now { elapsed: Duration::ZERO, wall: Timestamp(1_800_000_000_000) };
        let disk = MemoryStore::new();
        Self {
            coordinator: open(&disk, 1, now),
            disk,
            epoch: 1,
            now,
            latest: now.wall,
            workers: BTreeMap::new(),
            gone: Vec::new(),
            tasks: Vec::new(),
            acknowledged: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            reopened: BTreeSet::new(),
            fences: BTreeSet::new(),
            runs: BTreeSet::new(),
        }
    }

    fn happens(&mut self, what: u8, how: u8) {
        let now = self.now;
        let worker = nth(self.workers.keys(), how & 127);
        let task = nth(self.tasks.iter(), how);
        let done = match (what, worker, task) {
            (b's', ..) => {
                self.submit(how);
                Ok(())
            }
            (b'j', ..) => {
                self.join(how);
                Ok(())
            }
            (b'l', Some(worker), _) => {
                self.gone.extend(self.workers.remove(&worker));
                self.coordinator.worker_left(worker, now)
            }
            (b'r', Some(worker), _) => {
                self.report(worker, Report::Succeeded(RawValue::NULL.to_owned()));
                Ok(())
            }
            (b'f', Some(worker), _) => {
                self.report(worker, Report::Failed("no".into()));
                Ok(())
            }
            (b'F', Some(worker), _) => {
                self.report(worker, Report::FailedForGood("no".into()));
                Ok(())
            }
            (b'g', Some(worker), _) => {
                self.report(worker, Report::GivenBack);
                Ok(())
            }
            (b'a', Some(worker), _) => {
                self.coordinator.worker_is_alive(worker, now);
                Ok(())
            }
            (b'p', Some(worker), _) => {
                self.coordinator.worker_takes(worker, usize::from(how >> 7) * 3, now)
            }
            (b'c', _, Some(task)) => self.coordinator.cancel(task, now).map(drop),
            (b'y', _, Some(task)) => {
                // With it, those that ended because of it.
                let is_other = |(_, outcome): &(&Key, &Outcome)| **outcome != Outcome::Succeeded;
                self.reopened.extend(self.outcomes.iter().filter(is_other).map(|(key, _)| *key));
                self.coordinator.retry(task, now).map(drop)
            }
            (b't', ..) => {
                self.pass(Duration::from_millis(u64::from(how) * 100));
                Ok(())
            }
            (b'T', ..) => {
                self.pass(Duration::from_secs(how.into()));
                Ok(())
            }
            (b'w', ..) => {
                let minutes = u64::from(how) * 60_000;
                self.now.wall = Timestamp((now.wall.0 + minutes).saturating_sub(128 * 60_000));
                self.latest = self.latest.max(self.now.wall);
                Ok(())
            }
            (b'd', ..) => self.coordinator.drain(how != 0, now),
            (b'k', ..) => {
                self.commit();
                Ok(())
            }
            (b'x', ..) => {
                self.epoch += 1;
                self.coordinator = open(&self.disk, self.epoch, now);
                self.gone.extend(std::mem::take(&mut self.workers).into_values());
                self.tasks.retain(|key| self.acknowledged.contains(key));
                Ok(())
            }
            _ => Ok(()),
        };
        done.expect("memory can be read");
    }

    fn submit(&mut self, how: u8) {
        let bit = |bit: u8| how >> bit & 1 != 0;
        let later = |millis| self.now.wall.after(Duration::from_millis(millis));
        let kind = Kind::new(if bit(0) { "a" } else { "b" }).expect("a name");
        let mut spec = Spec::new(kind, RawValue::NULL.to_owned());
        spec.retries = (how >> 1 & 3).into();
        spec.at = bit(3).then(|| later(10_000));
        spec.timeout = bit(5).then_some(2_000);
        spec.deadline = bit(7).then(|| later(60_000));
        if bit(6) {
            spec.priority = Priority::new(9).expect("a priority");
        }
        // It is not to expire.
        spec.keep = 1 << 40;
        if let Some(last) = self.tasks.last().filter(|_| bit(4)) {
            let record = self.coordinator.journal().record(*last).expect("memory can be read");
            spec.after.extend(record.map(|record| record.id.clone()));
        }
        if let Ok(submitted) = self.coordinator.submit(spec, self.now).expect("memory can be read")
        {
            self.tasks.push(submitted.key);
        }
    }

    fn join(&mut self, how: u8) {
        let kinds: &[&str] = [&["a"][..], &["b"], &["a", "b"], &[]][usize::from(how & 3)];
        let kept = if how & 4 != 0 { self.gone.pop() } else { None }.unwrap_or_default();
        let info = WorkerInfo {
            name: "w".into(),
            kinds: kinds.iter().map(|kind| Kind::new(kind).expect("a name")).collect(),
            capacity: usize::from(how >> 3 & 3) + 1,
            slots: Some(usize::from(how >> 5 & 3) + 1),
            fences: kept.iter().map(|task| task.fence).collect(),
        };
        let worker = self.coordinator.worker_joined(info, self.now).expect("memory can be read");
        self.workers.insert(worker, kept);
    }

    fn report(&mut self, worker: WorkerKey, report: Report) {
        let task = self.workers.get_mut(&worker).and_then(Vec::pop);
        if let Some(task) = task {
            self.coordinator
                .reported(worker, task.fence, report, self.now)
                .expect("memory can be read");
        }
    }

    /// Time passes, and what is due is done.
    fn pass(&mut self, time: Duration) {
        let end = self.now.elapsed + time;
        while let Some(wait) = self.coordinator.wait(self.now)
            && self.now.elapsed + wait <= end
        {
            self.skip(wait);
            self.coordinator.on_time(self.now).expect("memory can be read");
        }
        self.skip(end - self.now.elapsed);
    }

    fn skip(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.wall = self.now.wall.after(time);
        self.latest = self.latest.max(self.now.wall);
    }

    fn commit(&mut self) {
        let Some(batch) = self.coordinator.journal().take_batch() else { return };
        self.disk.apply(&batch);
        self.coordinator.journal().store().apply(&batch);
        self.coordinator.journal().committed(&batch);
        for (key, change) in &batch.changes {
            let (Change::New(record) | Change::Put(record)) = change else {
                panic!("{key:?} is removed, and is to be kept");
            };
            self.acknowledged.insert(*key);
            let former = match record.outcome() {
                Some(outcome) => self.outcomes.insert(*key, outcome).filter(|was| *was != outcome),
                None => self.outcomes.remove(key),
            };
            if former.is_some() {
                assert!(self.reopened.remove(key), "{key:?} had ended: {former:?}, {record:?}");
            }
        }
    }

    /// What the coordinator wants. Workers do as they are told.
    fn carry_out(&mut self) {
        while let Some(effect) = self.coordinator.effect() {
            let (worker, fence, report) = match effect {
                Effect::Assign { worker, task } => {
                    assert!(self.fences.insert(task.fence), "the fence {} twice", task.fence);
                    let found = self.coordinator.find(&task.id).expect("memory can be read");
                    self.runs.extend(found.map(|(key, _)| key));
                    self.workers.entry(worker).or_default().push(task);
                    continue;
                }
                Effect::Dismiss { worker } => {
                    self.gone.extend(self.workers.remove(&worker));
                    continue;
                }
                Effect::Stop { worker, fence, .. } => (worker, fence, Report::Stopped),
                Effect::Recall { worker, fence } => (worker, fence, Report::GivenBack),
                _ => continue,
            };
            let Some(tasks) = self.workers.get_mut(&worker) else { continue };
            if let Some(index) = tasks.iter().position(|task| task.fence == fence) {
                tasks.remove(index);
                self.coordinator
                    .reported(worker, fence, report, self.now)
                    .expect("memory can be read");
            }
        }
    }

    /// Faults stop. Everything comes to its end.
    fn end(&mut self) {
        self.now.wall = self.latest;
        self.happens(b'd', 0);
        self.happens(b'j', 0b0111_1010);
        for _ in 0..2_000 {
            self.carry_out();
            for worker in self.workers.keys().copied().collect::<Vec<_>>() {
                self.coordinator.worker_is_alive(worker, self.now);
                self.report(worker, Report::Succeeded(RawValue::NULL.to_owned()));
            }
            self.pass(Duration::from_secs(5));
            self.commit();
            if self.acknowledged.iter().all(|key| self.outcomes.contains_key(key)) {
                break;
            }
        }
        for key in &self.acknowledged {
            let outcome = self.outcomes.get(key);
            assert!(outcome.is_some(), "{key:?} has not ended");
            let has_run = self.runs.contains(key);
            assert!(outcome != Some(&Outcome::Succeeded) || has_run, "{key:?} has not run");
        }
    }
}

fn nth<'a, T: Copy + 'a>(mut items: impl ExactSizeIterator<Item = &'a T>, which: u8) -> Option<T> {
    let index = usize::from(which).checked_rem(items.len())?;
    items.nth(index).copied()
}

//! The store alone, on a disk whose syncs fail.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use serde_json::json;
use wharf::Result;
use wharf::sim::{Disk, DiskFault, Fault, Host, Simulation};
use wharf_executor::store::{Batch, Change, DiskStore, EncodedBatch, Key, Store as _};

use super::disk::SimulatedFile;

/// The arguments of tasks.
type Model = BTreeMap<u64, String>;

/// Tasks with such keys may be there or not.
const UNKNOWN: u64 = 1_000;

#[test]
fn what_was_committed_survives_syncs_that_fail_and_then_the_power() {
    for seed in 0..seeds() {
        let run = Run::new(seed);
        run.commits(1..40, 0.1);
        run.check();
    }
}

#[test]
fn who_opens_a_store_whose_sync_has_failed_writes_it_again() {
    for seed in 0..seeds() {
        let run = Run::new(seed);
        for begin in [1, 11, 21, 31] {
            run.commits(begin..begin + 10, 0.0);
            run.fails_to_commit(begin + UNKNOWN);
            run.host.restart();
        }
        run.commits(41..50, 0.0);
        run.check();
    }
}

struct Run {
    seed: u64,
    simulation: Simulation,
    host: Host,
    /// What was committed.
    model: Rc<RefCell<Model>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let simulation = Simulation::new(seed);
        let host = simulation.host("host");
        // So that there are faults for it.
        host.disk();
        Self { seed, simulation, host, model: Rc::default() }
    }

    /// Commits batches. One that fails is committed again, as the coordinator does.
    fn commits(&self, numbers: Range<u64>, failures: f64) {
        let (model, random) = (Rc::clone(&self.model), self.host.random());
        let (disk, simulation) = (self.host.disk(), self.simulation.clone());
        self.run(async move || {
            let store = open(&disk)?;
            for number in numbers.clone() {
                let batch = batch(number, random.below(60) as u64, random.below(3_000))?;
                let fails = random.chance(failures);
                commit(&store, &batch, fails, &simulation)?;
                if fails {
                    commit(&store, &batch, false, &simulation)?;
                }
                model.borrow_mut().extend(rows(&batch));
            }
            Ok(())
        });
    }

    fn fails_to_commit(&self, key: u64) {
        let (disk, simulation) = (self.host.disk(), self.simulation.clone());
        self.run(async move || commit(&open(&disk)?, &batch(key, key, 5_000)?, true, &simulation));
    }

    /// After a loss of power everything is there.
    fn check(&self) {
        self.host.crash();
        self.host.restart();
        let (disk, model) = (self.host.disk(), Rc::clone(&self.model));
        self.run(async move || {
            let mut found = Model::new();
            open(&disk)?.for_each(&mut |key, record| {
                if key.0 < UNKNOWN {
                    found.insert(key.0, record.spec.args.get().to_owned());
                }
                Ok(())
            })?;
            let committed = model.borrow();
            if found == *committed {
                return Ok(());
            }
            Err(format!("{} tasks, and not {}", found.len(), committed.len()).into())
        });
    }

    fn run(&self, program: impl AsyncFn() -> Result + 'static) {
        let outcome = self.host.run(async move |_| program().await);
        outcome.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
    }
}

fn seeds() -> u64 {
    std::env::var("WHARF_SIM_SEEDS").map_or(8, |text| text.parse().unwrap())
}

fn open(disk: &Disk) -> Result<DiskStore> {
    Ok(DiskStore::open_in(SimulatedFile::open(disk, false)?)?)
}

fn commit(store: &DiskStore, batch: &Batch, fails: bool, simulation: &Simulation) -> Result {
    let set = |fault| simulation.apply(&Fault::Disk("host".into(), fault));
    if fails {
        set(DiskFault::SyncFailing);
    }
    let outcome = store.writer().commit(&[EncodedBatch::new(batch)?]);
    set(DiskFault::Well);
    match outcome {
        Ok(()) if fails => Err("its sync has failed".into()),
        Err(error) if !fails => Err(error.into()),
        _ => Ok(()),
    }
}

fn rows(batch: &Batch) -> impl Iterator<Item = (u64, String)> {
    batch.changes.iter().filter_map(|(key, change)| match change {
        Change::New(record) | Change::Put(record) => {
            Some((key.0, record.spec.args.get().to_owned()))
        }
        Change::Remove(_) => None,
    })
}

/// A task that is new, or written again.
fn batch(number: u64, key: u64, length: usize) -> Result<Batch> {
    let args = format!("{number} {}", "x".repeat(length));
    let record = json!({
        "id": format!("t{key}"),
        "spec": {"kind": "a", "args": args},
        "submitted": 7,
        "state": {"state": "queued", "since": 7},
    });
    let changes = vec![(Key(key), Change::New(Rc::new(serde_json::from_value(record)?)))];
    Ok(Batch { number, changes, output: Vec::new(), schedules: Vec::new() })
}

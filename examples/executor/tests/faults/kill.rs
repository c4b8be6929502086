//! `kill -9` of workers, of the coordinator, and of clients, each at random moments within many tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::task::{Outcome, Record, Spec, State, TaskId};

use super::cluster::{Cluster, number};

/// How many are submitted between two faults.
const BETWEEN: u64 = 20;

/// The number of tasks is `WHARF_EXECUTOR_KILL_TASKS`, and the seed `WHARF_EXECUTOR_SEED`.
#[test]
fn whoever_is_killed_each_acknowledged_task_ends_with_one_recorded_result() {
    let count = number("WHARF_EXECUTOR_KILL_TASKS", 240);
    let seed = number("WHARF_EXECUTOR_SEED", fastrand::u64(..1_000_000));
    eprintln!("WHARF_EXECUTOR_SEED={seed}");
    let mut cluster = Cluster::new();
    cluster.workers(3);
    let address = cluster.address.clone();
    wharf::run(async |event_loop| {
        let client = Client::start(&event_loop, [address], ClientOptions::default())?;
        let random = fastrand::Rng::with_seed(seed);
        let mut run =
            Run { cluster, client, random, acknowledged: BTreeSet::new(), ended: BTreeMap::new() };
        let mut faults = [0; 3];
        for begin in (0..count).step_by(BETWEEN as usize) {
            run.submit(begin..begin + BETWEEN).await?;
            let fault = run.random.usize(0..3);
            faults[fault] += 1;
            match fault {
                0 => run.cluster.replace_worker(run.random.usize(..)),
                1 => drop(run.cluster.restart()),
                _ => run.submit_from_a_client_that_is_killed(begin),
            }
            run.look(10).await?;
        }
        eprintln!(
            "killed: {} workers, {} coordinators, {} clients",
            faults[0], faults[1], faults[2]
        );
        run.all_end().await?;
        run.cluster.restart();
        run.nothing_has_changed().await
    })
    .unwrap();
}

struct Run {
    cluster: Cluster,
    client: Client,
    random: fastrand::Rng,
    acknowledged: BTreeSet<String>,
    /// What was seen of those that have ended.
    ended: BTreeMap<String, String>,
}

impl Run {
    async fn submit(&mut self, tasks: std::ops::Range<u64>) -> Result {
        let specs = tasks.map(|task| serde_json::from_value(spec("a", task)));
        let specs = specs.collect::<Result<Vec<Spec>, _>>()?;
        for task in self.client.submit_all(specs).await? {
            self.acknowledged.insert(task?.id().to_string());
        }
        Ok(())
    }

    fn submit_from_a_client_that_is_killed(&mut self, begin: u64) {
        let path = self.cluster.path("tasks");
        let lines: String =
            (begin..begin + BETWEEN).map(|task| format!("{}\n", spec("b", task))).collect();
        std::fs::write(&path, lines).unwrap();
        let after = Duration::from_millis(self.random.u64(0..60));
        self.acknowledged.extend(self.cluster.submit_and_kill(&path, after));
    }

    /// Looks at some tasks, which may not have ended.
    async fn look(&mut self, count: usize) -> Result {
        let all: Vec<_> = self.acknowledged.iter().cloned().collect();
        for _ in 0..count {
            let id = self.random.choice(&all).unwrap();
            let record = self.client.find(id_of(id)).status().await?;
            self.compare(&record);
        }
        Ok(())
    }

    async fn all_end(&mut self) -> Result {
        let mut lost = 0;
        for id in self.acknowledged.clone() {
            let record = self.client.find(id_of(&id)).ended().await?;
            self.compare(&record);
            match record.outcome() {
                Some(Outcome::Succeeded) => {
                    let result = record.result.as_ref().unwrap().get();
                    assert_eq!(result, expected(&id).to_string(), "{id}");
                }
                // It says what happened: it was there whenever a worker was killed.
                Some(Outcome::Failed) => {
                    let error = record.error.as_deref().unwrap();
                    assert!(error.contains("workers were lost while it ran"), "{id}: {error}");
                    lost += 1;
                }
                other => panic!("{id}: {other:?}"),
            }
        }
        eprintln!("{} tasks; {lost} of them lost three workers", self.acknowledged.len());
        Ok(())
    }

    async fn nothing_has_changed(&mut self) -> Result {
        assert_eq!(self.ended.len(), self.acknowledged.len());
        for id in self.acknowledged.clone() {
            let record = self.client.find(id_of(&id)).status().await?;
            assert!(record.outcome().is_some(), "{id} goes on");
            self.compare(&record);
        }
        Ok(())
    }

    /// What has ended once stays as it is.
    fn compare(&mut self, record: &Record) {
        let State::Ended { at, .. } = record.state else {
            assert!(!self.ended.contains_key(record.id.as_str()), "{} goes on", record.id);
            return;
        };
        let result = record.result.as_ref().map(|result| result.get());
        let seen = format!("{:?} {at:?} {} {result:?}", record.outcome(), record.attempts);
        let first = self.ended.entry(record.id.to_string()).or_insert_with(|| seen.clone());
        assert_eq!(*first, seen, "{}", record.id);
    }
}

fn id_of(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn spec(prefix: &str, task: u64) -> serde_json::Value {
    let id = format!("{prefix}{task}");
    if is_sleep(task) {
        return json!({"id": id, "kind": "sleep", "args": task % 50});
    }
    json!({"id": id, "kind": "sha256", "args": id})
}

fn expected(id: &str) -> serde_json::Value {
    let task: u64 = id[1..].parse().unwrap();
    if is_sleep(task) {
        return json!(task % 50);
    }
    let digest: String = Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect();
    json!(digest)
}

fn is_sleep(task: u64) -> bool {
    task.is_multiple_of(3)
}

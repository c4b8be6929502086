//! A coordinator with very many tasks that wait.

use serde_json::json;
use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::task::{Spec, TaskId};

use super::cluster::{Cluster, number};

/// How many are submitted with one request.
const TOGETHER: u64 = 2_000;

/// Their number is `WHARF_EXECUTOR_QUEUED_TASKS`. What it measures is said on standard error.
#[test]
fn a_queued_task_takes_little_memory_and_all_are_there_after_kill_9() {
    let count = number("WHARF_EXECUTOR_QUEUED_TASKS", 4_000);
    let mut cluster = Cluster::new();
    let address = cluster.address.clone();
    wharf::run(async |event_loop| {
        let client = Client::start(&event_loop, [address], ClientOptions::default())?;
        let before = cluster.coordinator.memory("VmRSS:");
        for begin in (0..count).step_by(TOGETHER as usize) {
            let specs = (begin..begin + TOGETHER).map(|task| serde_json::from_value(spec(task)));
            for outcome in client.submit_all(specs.collect::<Result<Vec<Spec>, _>>()?).await? {
                outcome?;
            }
        }
        let full = cluster.coordinator.memory("VmRSS:");
        let started = cluster.restart();
        let store = std::fs::metadata(cluster.path("data/tasks.redb"))?.len();
        let after = cluster.coordinator.memory("VmRSS:");
        let each = |kilobytes: u64| kilobytes.saturating_sub(before) * 1024 / count;
        eprintln!(
            "{count} tasks: {full} KiB of memory when they are submitted ({} bytes each, the store's cache included), \
             {after} KiB after kill -9 ({} bytes each, with the cache), \
             {} MiB on the disk, listening {started:.1?} after kill -9",
            each(full), each(after), store / 1024 / 1024,
        );
        for task in (0..count).step_by((count as usize / 100).max(1)) {
            let record = client.find(TaskId::new(&format!("t{task}"))?).status().await?;
            assert_eq!(record.spec.args.get(), spec(task)["args"].to_string());
        }
        let overview = client.overview().await?;
        assert_eq!(overview.tasks.queued, count);
        Ok(())
    })
    .unwrap();
}

fn spec(task: u64) -> serde_json::Value {
    json!({"id": format!("t{task}"), "kind": "wordcount", "args": format!("to be or not to be, that is question {task}")})
}

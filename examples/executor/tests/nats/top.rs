//! How all is.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::coordinator::Filter;
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::Phase;
use wharf_executor::work::{Functions, Worker, WorkerOptions};

use crate::command_line::command;
use crate::server::{Server, run};

#[test]
fn on_nats_top_shows_tasks_workers_and_failures() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let nats = NatsOptions::default;
        let client =
            Client::on_nats(&event_loop, [&server.address], ClientOptions::default(), nats())?;
        let empty = client.overview().await?;
        assert_eq!((empty.tasks.queued, empty.worker_count), (0, 0));
        let mut functions = Functions::new();
        let may_end = Rc::new(Cell::new(false));
        let gate = Rc::clone(&may_end);
        let hold = async move |(): (), _| {
            while !gate.get() {
                wharf::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, String>(())
        };
        functions.add_async("hold", hold)?;
        functions.add_async("fail", async |(): (), _| Err::<(), _>("on purpose"))?;
        let options = WorkerOptions { name: "w".into(), slots: 1, ..WorkerOptions::default() };
        let worker = Worker::on_nats(&event_loop, [&server.address], functions, options, nats())?;
        let bad = client.task("fail", &()).retries(0).submit().await?;
        assert!(bad.ended().await?.error.is_some());
        let held = client.submit("hold", &()).await?;
        let behind = client.submit("hold", &()).await?;
        let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
        client.task("hold", &()).at(tomorrow).submit().await?;
        let seen = loop {
            let seen = client.overview().await?;
            let is_all = [seen.tasks.delayed, seen.tasks.failed, seen.tasks.queued] == [1, 1, 1];
            if is_all && seen.workers.iter().any(|worker| worker.waiting == 1) {
                break seen;
            }
        };
        assert_eq!((seen.tasks.running, seen.tasks.queued, seen.totals.submitted), (1, 1, 4));
        let [one] = &seen.workers[..] else { panic!("{:?}", seen.workers) };
        assert_eq!((&*one.name, one.slots, one.running.len()), ("w", 1, 1));
        assert_eq!(one.running[0].id, *held.id());
        let filter = Filter { state: Some(Phase::Failed), kind: None };
        let failed = client.list(filter, 10, None).await?.tasks;
        assert_eq!((failed.len(), &failed[0].id), (1, bad.id()));
        let mut top = command(&server, "top");
        let output = event_loop.run_in_executor(move || top.output()).await??;
        let shown = String::from_utf8_lossy(&output.stdout);
        for line in ["1 queued, 1 delayed", "0 succeeded, 1 failed", "hold ", "on purpose"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        may_end.set(true);
        behind.result::<()>().await?;
        drop(worker);
        // One that does not answer any more is forgotten, and what has ended is counted.
        loop {
            let seen = client.overview().await?;
            if seen.worker_count == 0 && seen.tasks.succeeded == 2 {
                break;
            }
        }
        Ok(())
    })
}

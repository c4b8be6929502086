//! Three servers, three replicas, and `kill -9`.

use std::time::Duration;

use serde_json::value::to_raw_value;
use wharf::{EventLoop, Result};
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::nats::{Names, NatsOptions};
use wharf_executor::task::{Kind, Outcome, Spec};
use wharf_executor::work::{Functions, Worker, WorkerOptions};
use wharf_protocols::nats::Options;
use wharf_protocols::nats::jetstream::JetStream;

use crate::observer::Observer;
use crate::server::{Server, run};

/// How many tasks: `WHARF_EXECUTOR_TASKS`, or few.
fn count() -> usize {
    let count = std::env::var("WHARF_EXECUTOR_TASKS").ok();
    count.map_or(600, |count| count.parse().expect("WHARF_EXECUTOR_TASKS is a number"))
}

fn nats() -> NatsOptions {
    NatsOptions { replicas: 3, lease: Duration::from_secs(2), ..NatsOptions::default() }
}

fn worker(event_loop: &EventLoop, servers: &[String]) -> Result<Worker> {
    let mut functions = Functions::new();
    functions.add_async("double", async |number: u64, _| Ok::<_, String>(2 * number))?;
    let options = WorkerOptions { slots: 4, prefetch: 32, ..WorkerOptions::default() };
    Worker::on_nats(event_loop, servers, functions, options, nats())
}

/// The server that leads the stream.
async fn leader(event_loop: &EventLoop, servers: &[String]) -> Result<String> {
    let client = Options::new().connect(event_loop, servers).await?;
    let jetstream = JetStream::new(&client);
    let stream = Names::new(&nats().name)?.stream();
    loop {
        let cluster = jetstream.stream_info(&stream).await?.cluster;
        if let Some(leader) = cluster.and_then(|cluster| cluster.leader) {
            return Ok(leader);
        }
        event_loop.sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn on_nats_no_task_is_lost_when_the_server_that_leads_is_killed() -> Result {
    let Some(mut servers) = Server::cluster() else { return Ok(()) };
    let addresses: Vec<_> = servers.iter().map(|server| server.address.clone()).collect();
    run(async |event_loop| {
        let count = count();
        // Somewhere in the middle, another place each time.
        let kill_at = fastrand::usize(count / 5..count * 4 / 5);
        eprintln!("of {count} tasks, the leader is killed when {kill_at} are acknowledged");
        let client = Client::on_nats(&event_loop, &addresses, ClientOptions::default(), nats())?;
        let mut tasks = vec![(0, client.submit("double", &0).await?)];
        let observer = Observer::start(&event_loop, &addresses, &nats()).await?;
        let _workers = [worker(&event_loop, &addresses)?, worker(&event_loop, &addresses)?];
        let mut is_killed = false;
        while tasks.len() < count {
            let first = tasks.len();
            let together = (count - first).min(50);
            let spec = |number: usize| {
                Spec::new(Kind::new("double").unwrap(), to_raw_value(&number).unwrap())
            };
            let specs = (first..first + together).map(spec).collect();
            let submitting = client.submit_all(specs);
            if !is_killed && first + together >= kill_at {
                is_killed = true;
                let leader = leader(&event_loop, &addresses).await?;
                let server = servers.iter_mut().find(|server| server.name == leader).unwrap();
                server.kill();
                // While the others elect one, and it is started again later.
                for (number, task) in (first..).zip(submitting.await?) {
                    tasks.push((number, task?));
                }
                server.start_again();
                continue;
            }
            for (number, task) in (first..).zip(submitting.await?) {
                tasks.push((number, task?));
            }
        }
        assert!(is_killed);
        for (number, task) in &tasks {
            assert_eq!(task.result::<usize>().await?, 2 * number);
        }
        for (outcome, record) in observer.each_has_one(count).await? {
            assert_eq!(outcome, Outcome::Succeeded, "{record:?}");
        }
        observer.waiting(&nats(), 0).await?;
        Ok(())
    })
}

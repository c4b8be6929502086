//! Tasks per second on three local NATS servers with three replicas, beside the same messages without an executor:
//! `cargo run --release -p wharf-executor --example nats_bench [TASKS [ROUNDS]]`. It needs `nats-server`.
//!
//! All run in this process, through the same client: one publishes, with as many messages under way as the executor's client
//! has; one pulls, as many as the executor's worker, and acknowledges. The second line writes a record for each message
//! besides, with its revision, and acknowledges the message when that is acknowledged, as the executor's workers do.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it is a program that prints numbers")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tempfile::TempDir;
use wharf::{CapacityLimiter, EventLoop, Result};
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::{Kind, Spec};
use wharf_executor::work::{Functions, Worker, WorkerOptions};
use wharf_protocols::nats::jetstream::{
    ConsumerConfig, JetStream, JetStreamPublish, KeyValue, KeyValueConfig, Retention, StreamConfig,
};
use wharf_protocols::nats::{NatsError, Options};

/// How many tasks are submitted with one request, and how many requests are under way.
const TOGETHER: usize = 200;
const UNDER_WAY: usize = 5;
const SLOTS: usize = 8;
const PREFETCH: usize = 500;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(20_000), |count| count.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(&directory)?;
    wharf::run(async |event_loop| {
        let jetstream = servers.ready(&event_loop).await?;
        let mut ratios = [Vec::new(), Vec::new()];
        // The first one is not counted: files and heaps grow.
        for round in 0..=rounds {
            let mut rates = [0.0; 3];
            // Each comes first, second, and last.
            for place in 0..3 {
                let which = (round + place) % 3;
                let before = servers.processor_time();
                rates[which] = match which {
                    2 => tasks(&event_loop, &servers, &jetstream, count, round).await?,
                    _ => raw(&event_loop, &servers, &jetstream, count, round, which == 1).await?,
                };
                let after = servers.processor_time();
                let name = ["publish, pull, ack", "with a record", "tasks"][which];
                let spent = |after: Duration, before| (after - before).as_micros() / count as u128;
                println!(
                    "round {round}: {name}: {:.0}/s; CPU {} us in the servers, {} us here",
                    rates[which],
                    spent(after.0, before.0),
                    spent(after.1, before.1),
                );
            }
            if round > 0 {
                ratios[0].push(rates[2] / rates[0]);
                ratios[1].push(rates[2] / rates[1]);
            }
        }
        for (ratios, name) in ratios.iter_mut().zip(["without records", "with records"]) {
            ratios.sort_by(f64::total_cmp);
            println!(
                "tasks / {name}: median {:.2}, {:.2} to {:.2}",
                ratios[ratios.len() / 2],
                ratios[0],
                ratios[ratios.len() - 1]
            );
        }
        Ok(())
    })
}

/// Tasks that do nothing, from the first submit to the last result.
async fn tasks(
    event_loop: &EventLoop,
    servers: &Servers,
    jetstream: &JetStream,
    count: usize,
    round: usize,
) -> Result<f64> {
    let nats = NatsOptions {
        name: format!("round-{round}").into(),
        replicas: 3,
        ..NatsOptions::default()
    };
    let mut functions = Functions::new();
    functions.add_async("nothing", async |(): (), _| Ok::<_, String>(()))?;
    let options = WorkerOptions { slots: SLOTS, prefetch: PREFETCH, ..WorkerOptions::default() };
    let worker = Worker::on_nats(event_loop, &servers.addresses, functions, options, nats.clone())?;
    let options = ClientOptions { most_submits: UNDER_WAY, ..ClientOptions::default() };
    let client = Rc::new(Client::on_nats(event_loop, &servers.addresses, options, nats)?);
    client.submit("nothing", &()).await?.result::<()>().await?;
    let kind = Kind::new("nothing")?;
    let begin = Instant::now();
    let mut submitting = Vec::new();
    for first in (0..count).step_by(TOGETHER) {
        let spec = Spec::new(kind.clone(), RawValue::NULL.to_owned());
        let specs = vec![spec; TOGETHER.min(count - first)];
        let client = Rc::clone(&client);
        submitting.push(event_loop.create_task(async move { client.submit_all(specs).await }));
    }
    for submitted in submitting {
        for task in submitted.await?? {
            task?.result::<()>().await?;
        }
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    drop((worker, client));
    jetstream.delete_stream(&format!("round-{round}-tasks")).await?;
    jetstream.delete_stream(&format!("KV_round-{round}-records")).await?;
    Ok(rate)
}

/// The same messages without an executor.
async fn raw(
    event_loop: &EventLoop,
    servers: &Servers,
    jetstream: &JetStream,
    count: usize,
    round: usize,
    is_recorded: bool,
) -> Result<f64> {
    let name = format!("raw-{round}-{is_recorded}");
    let mut stream = StreamConfig::new(&name, [format!("{name}.>")]);
    (stream.retention, stream.num_replicas) = (Retention::WorkQueue, 3);
    jetstream.create_stream(&stream).await?;
    let mut bucket = KeyValueConfig::new(&name);
    bucket.num_replicas = 3;
    let bucket = KeyValue::create_bucket(jetstream, &bucket).await?;
    let mut consumer = ConsumerConfig::durable("c");
    consumer.max_ack_pending = -1;
    let consumer = jetstream.create_consumer(&name, &consumer).await?;
    let publisher = JetStream::new(&Options::new().connect(event_loop, &servers.addresses).await?);
    let limit = CapacityLimiter::new(event_loop, TOGETHER * UNDER_WAY);
    // As long as a task and a record are.
    let payload = "x".repeat(220);
    let begin = Instant::now();
    let publishing = {
        let (limit, payload, name, event_loop) =
            (limit, payload.clone(), name.clone(), event_loop.clone());
        async move {
            let mut all = Vec::new();
            for number in 0..count {
                let token = limit.acquire().await?;
                let message = JetStreamPublish::new(format!("{name}.{number}"), &*payload)
                    .message_id(&number.to_string())?;
                let published = publisher.publish_message(message);
                all.push(event_loop.create_task(async move {
                    let published = published.await;
                    drop(token);
                    published.map(drop)
                }));
            }
            for published in all {
                published.await??;
            }
            let done: Result = Ok(());
            done
        }
    };
    let publishing = event_loop.create_task(publishing);
    let under_way = CapacityLimiter::new(event_loop, SLOTS + PREFETCH);
    let mut recording = Vec::new();
    let mut taken = 0;
    while taken < count {
        let mut messages = consumer.fetch_now(SLOTS + PREFETCH / 2).await?;
        if messages.is_empty() {
            messages = consumer.fetch(1, Duration::from_secs(5)).await?;
        }
        taken += messages.len();
        for message in messages {
            if !is_recorded {
                message.ack()?;
                continue;
            }
            let token = under_way.acquire().await?;
            let (bucket, payload) = (bucket.clone(), payload.clone());
            recording.push(event_loop.create_task(async move {
                let key = message.metadata().stream_sequence.to_string();
                let recorded = bucket.update(&key, payload, 0).await;
                drop(token);
                recorded.and_then(|_| message.ack())
            }));
        }
    }
    for recorded in recording {
        recorded.await??;
    }
    publishing.await??;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    jetstream.delete_stream(&name).await?;
    bucket.delete_bucket().await?;
    Ok(rate)
}

/// Three servers; dropping this kills them.
struct Servers {
    children: Vec<Child>,
    addresses: Vec<String>,
}

impl Servers {
    fn start(directory: &TempDir) -> Result<Self> {
        let process = std::process::id();
        let host = format!("127.200.{}.{}", process >> 8 & 255, process & 255);
        let routes = [1, 2, 3].map(|number| format!("nats-route://{host}:622{number}")).join(", ");
        let mut servers = Self { children: Vec::new(), addresses: Vec::new() };
        for number in 1..=3 {
            let path = |name: &str| directory.path().join(format!("{number}-{name}"));
            let configuration = format!(
                "server_name: n{number}\nlisten: \"{host}:422{number}\"\n\
                 jetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: bench, listen: \"{host}:622{number}\", routes: [{routes}] }}\n",
                path("data").display()
            );
            std::fs::write(path("conf"), configuration)?;
            let child = Command::new(program())
                .arg("-c")
                .arg(path("conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            servers.children.push(child);
            servers.addresses.push(format!("{host}:422{number}"));
        }
        Ok(servers)
    }

    /// What the servers have had of processors, and what this process has had.
    fn processor_time(&self) -> (Duration, Duration) {
        let servers = self.children.iter().map(|child| processor_time(&child.id().to_string()));
        (servers.sum(), processor_time("self"))
    }

    /// JetStream, once the cluster is complete.
    async fn ready(&self, event_loop: &EventLoop) -> Result<JetStream> {
        let options = Options::new().retry_first_connect(true);
        let client = options.connect(event_loop, &self.addresses).await?;
        let jetstream = JetStream::new(&client).timeout(Duration::from_secs(30));
        let mut probe = StreamConfig::new("probe", ["probe"]);
        probe.num_replicas = 3;
        while let Err(error) = jetstream.create_stream(&probe).await {
            let NatsError::JetStream(_) = error else { return Err(error.into()) };
            event_loop.sleep(Duration::from_millis(100)).await;
        }
        Ok(jetstream)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In hundredths of a second; nothing where there is no `/proc`.
fn processor_time(process: &str) -> Duration {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = directories.map(|directory| directory.join("nats-server"));
    found.into_iter().find(|file| file.is_file()).unwrap_or_else(|| "nats-server".into())
}

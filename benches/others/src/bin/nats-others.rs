//! Contender: `async-nats`, which does one thing many times, and says what it took.
//!
//! `nats-others --server 127.0.0.1:4222 --what publish --count 100000 --warm-up 1000`; what there is to do is said in
//! `nats` of `wharf-benches`.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::time::Instant;

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Config as ConsumerConfig;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use wharf_benches_others::{Arguments, Result, cpu_time, run, say, wait_for_a_line};

fn main() -> Result {
    let arguments = Arguments::from_environment()?;
    let work = Work {
        server: arguments.required("server")?.to_owned(),
        count: arguments.number("count", 100_000)?,
        warm_up: arguments.number("warm-up", 1_000)?,
    };
    let what = arguments.required("what")?.to_owned();
    run(async {
        match what.as_str() {
            "core-publish" => work.core_publish().await,
            "core-subscribe" => work.core_subscribe().await,
            "publish" => work.publish().await,
            "pull" => work.pull().await,
            "idle" => work.idle().await,
            other => Err(format!("what is {other}?").into()),
        }
    })
}

const SUBJECT: &str = "bench.kept";
const CORE_SUBJECT: &str = "bench.core";
const STREAM: &str = "BENCH";
const PAYLOAD: &[u8] = &[b'x'; 128];
/// How many messages wait for their acknowledgement.
const UNDER_WAY: usize = 64;
const BATCH: usize = 200;

struct Work {
    server: String,
    count: u64,
    warm_up: u64,
}

impl Work {
    async fn client(&self) -> Result<async_nats::Client> {
        // What comes faster than it is taken is not to be lost.
        let capacity = (self.count + self.warm_up) as usize;
        Ok(ConnectOptions::new().subscription_capacity(capacity).connect(&self.server).await?)
    }

    async fn core_publish(&self) -> Result {
        let client = self.client().await?;
        let publish = async |count| -> Result {
            for _ in 0..count {
                client.publish(CORE_SUBJECT, PAYLOAD.into()).await?;
            }
            Ok(client.flush().await?)
        };
        publish(self.warm_up).await?;
        let account = Account::begin(self.count);
        publish(self.count).await?;
        account.end()
    }

    async fn core_subscribe(&self) -> Result {
        let client = self.client().await?;
        let mut messages = client.subscribe(CORE_SUBJECT).await?;
        client.flush().await?;
        say("ready")?;
        for _ in 0..self.warm_up {
            messages.next().await.ok_or("it has ended")?;
        }
        let account = Account::begin(self.count);
        for _ in 0..self.count {
            messages.next().await.ok_or("it has ended")?;
        }
        account.end()
    }

    async fn stream(&self) -> Result<(Context, jetstream::stream::Stream)> {
        let context = jetstream::new(self.client().await?);
        let _ = context.delete_stream(STREAM).await;
        let config = Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: StorageType::Memory,
            ..Config::default()
        };
        let stream = context.create_stream(config).await?;
        Ok((context, stream))
    }

    async fn publish(&self) -> Result {
        let (context, _) = self.stream().await?;
        let publish = async |count| -> Result {
            let mut under_way = VecDeque::with_capacity(UNDER_WAY);
            for _ in 0..count {
                if under_way.len() == UNDER_WAY {
                    under_way.pop_front().ok_or("none")?.await?;
                }
                under_way.push_back(context.publish(SUBJECT, PAYLOAD.into()).await?.into_future());
            }
            for acknowledgement in under_way {
                acknowledgement.await?;
            }
            Ok(())
        };
        publish(self.warm_up).await?;
        let account = Account::begin(self.count);
        publish(self.count).await?;
        account.end()
    }

    async fn pull(&self) -> Result {
        let (_, stream) = self.stream().await?;
        let config =
            ConsumerConfig { durable_name: Some("bench".to_owned()), ..ConsumerConfig::default() };
        let consumer: PullConsumer = stream.create_consumer(config).await?;
        say("ready")?;
        wait_for_a_line()?;
        let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
        let mut pull = async |count| -> Result {
            for _ in 0..count {
                let message = messages.next().await.ok_or("it has ended")??;
                message.ack().await?;
            }
            Ok(())
        };
        pull(self.warm_up).await?;
        let account = Account::begin(self.count);
        pull(self.count).await?;
        account.end()
    }

    /// Opens the connections of the warm-up, says so, opens the others, and says so again.
    async fn idle(&self) -> Result {
        let mut clients = Vec::new();
        for most in [self.warm_up, self.count] {
            while (clients.len() as u64) < most {
                // With its own capacity, and used once.
                let client = async_nats::connect(&self.server).await?;
                client.publish(CORE_SUBJECT, PAYLOAD.into()).await?;
                client.flush().await?;
                clients.push(client);
            }
            say("ready")?;
            // Not so that the runtime stands still.
            let mut input =
                tokio::net::unix::pipe::Receiver::from_file(std::fs::File::open("/dev/stdin")?)?;
            input.read_u8().await?;
        }
        Ok(())
    }
}

/// What the measured part takes.
struct Account {
    count: u64,
    cpu_seconds: f64,
    began: Instant,
}

impl Account {
    fn begin(count: u64) -> Self {
        Self { count, cpu_seconds: cpu_time().as_secs_f64(), began: Instant::now() }
    }

    fn end(self) -> Result {
        let (count, seconds) = (self.count, self.began.elapsed().as_secs_f64());
        let cpu_seconds = cpu_time().as_secs_f64() - self.cpu_seconds;
        Ok(say(&format!("count={count} cpu_seconds={cpu_seconds:.9} seconds={seconds:.9}"))?)
    }
}

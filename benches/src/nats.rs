//! A client for NATS: one thing, many times in one process. `numbers nats` runs wharf's beside another one.
//!
//! Payloads have 128 bytes. Of what is published, 64 messages wait for their acknowledgement; pulls are of 200 messages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wharf::EventLoop;
use wharf_protocols::nats::jetstream::{ConsumerConfig, JetStream, Pull, Storage, StreamConfig};
use wharf_protocols::nats::{Client, Options};

use crate::Result;
use crate::arguments::Arguments;
use crate::measured::{cpu_time, say, wait_for_a_line};
use crate::servers::raise_open_file_limit;

/// What a stream keeps.
pub const SUBJECT: &str = "bench.kept";
/// What nobody keeps.
pub const CORE_SUBJECT: &str = "bench.core";
/// What a message says.
pub const PAYLOAD: &[u8] = &[b'x'; 128];

const STREAM: &str = "BENCH";
const UNDER_WAY: usize = 64;
const BATCH: usize = 200;

/// Does what the command line asks for, and prints what it took. It says `ready` where it waits for messages, or for a
/// line on standard input.
///
/// # Errors
/// The command line is wrong, or the server fails.
pub fn run(mut arguments: Arguments) -> Result {
    let what = arguments.required::<String>("--what")?;
    let (server, count, warm_up) = (
        arguments.required("--server")?,
        arguments.option_or("--count", 100_000)?,
        arguments.option_or("--warm-up", 1_000)?,
    );
    arguments.finish()?;
    raise_open_file_limit();
    wharf::run(async |event_loop| {
        let work = Work { event_loop, server, count, warm_up };
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

struct Work {
    event_loop: EventLoop,
    server: String,
    count: u64,
    warm_up: u64,
}

impl Work {
    async fn client(&self) -> Result<Client> {
        Ok(Options::new().connect(&self.event_loop, [&self.server]).await?)
    }

    async fn core_publish(&self) -> Result {
        let client = self.client().await?;
        let publish = async |count| -> Result {
            for _ in 0..count {
                client.publish(CORE_SUBJECT, PAYLOAD)?;
                client.writable().await?;
            }
            Ok(client.flush().await?)
        };
        publish(self.warm_up).await?;
        let account = Account::begin(self.count)?;
        publish(self.count).await?;
        account.end()
    }

    async fn core_subscribe(&self) -> Result {
        let client = self.client().await?;
        // What comes faster than it is taken is not to be lost.
        let capacity = usize::try_from(self.count + self.warm_up)?;
        let mut messages = client.subscription(CORE_SUBJECT).capacity(capacity).start()?;
        client.flush().await?;
        say("ready")?;
        for _ in 0..self.warm_up {
            messages.next().await.ok_or("it has ended")?;
        }
        let account = Account::begin(self.count)?;
        for _ in 0..self.count {
            messages.next().await.ok_or("it has ended")?;
        }
        account.end()
    }

    async fn stream(&self) -> Result<JetStream> {
        let jetstream = JetStream::new(&self.client().await?);
        let _ = jetstream.delete_stream(STREAM).await;
        let mut config = StreamConfig::new(STREAM, [SUBJECT]);
        config.storage = Storage::Memory;
        jetstream.create_stream(&config).await?;
        Ok(jetstream)
    }

    async fn publish(&self) -> Result {
        let jetstream = self.stream().await?;
        let publish = async |count| -> Result {
            let mut under_way = VecDeque::with_capacity(UNDER_WAY);
            for _ in 0..count {
                if under_way.len() == UNDER_WAY {
                    under_way.pop_front().ok_or("none")?.await?;
                }
                under_way.push_back(Box::pin(jetstream.publish(SUBJECT, PAYLOAD)));
            }
            for acknowledgement in under_way {
                acknowledgement.await?;
            }
            Ok(())
        };
        publish(self.warm_up).await?;
        let account = Account::begin(self.count)?;
        publish(self.count).await?;
        account.end()
    }

    async fn pull(&self) -> Result {
        let jetstream = self.stream().await?;
        let consumer = jetstream.create_consumer(STREAM, &ConsumerConfig::durable("bench")).await?;
        say("ready")?;
        wait_for_a_line()?;
        let mut messages = consumer.messages(Pull::batch(BATCH))?;
        let mut pull = async |count| -> Result {
            for _ in 0..count {
                messages.next().await?.ack()?;
            }
            Ok(())
        };
        pull(self.warm_up).await?;
        let account = Account::begin(self.count)?;
        pull(self.count).await?;
        account.end()
    }

    /// Opens the connections of the warm-up, says so, opens the others, and says so again.
    async fn idle(&self) -> Result {
        let mut clients = Vec::new();
        for most in [self.warm_up, self.count] {
            while (clients.len() as u64) < most {
                let client = self.client().await?;
                client.publish(CORE_SUBJECT, PAYLOAD)?;
                client.flush().await?;
                clients.push(client);
            }
            say("ready")?;
            wait_for_a_line()?;
        }
        Ok(())
    }
}

/// What the measured part takes.
struct Account {
    count: u64,
    cpu: Duration,
    began: Instant,
}

impl Account {
    fn begin(count: u64) -> Result<Self> {
        Ok(Self { count, cpu: cpu_time()?, began: Instant::now() })
    }

    fn end(self) -> Result {
        let (count, seconds) = (self.count, self.began.elapsed().as_secs_f64());
        let cpu_seconds = (cpu_time()? - self.cpu).as_secs_f64();
        say(&format!("count={count} cpu_seconds={cpu_seconds:.9} seconds={seconds:.9}"))
    }
}

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use wharf::Result;
use wharf_protocols::nats::jetstream::{
    ConsumerConfig, JetStream, JetStreamPublish, KeyValue, KeyValueConfig, PeerInfo, Pull,
    StreamConfig, Update,
};
use wharf_protocols::nats::{Client, NatsError, Options};

use crate::server::{Server, is_missing, run};

async fn connect(event_loop: &wharf::EventLoop, server: &Server) -> Result<Client> {
    let options = Options::new().backoff(Duration::from_millis(20), Duration::from_millis(500));
    Ok(options.connect(event_loop, [&server.address]).await?)
}

/// JetStream, once the cluster is complete: three members can keep something.
async fn ready(client: &Client) -> Result<JetStream> {
    let jetstream = JetStream::new(client).timeout(Duration::from_secs(30));
    let mut probe = StreamConfig::new("PROBE", ["probe"]);
    probe.num_replicas = 3;
    while let Err(error) = jetstream.create_stream(&probe).await {
        let NatsError::JetStream(error) = error else { return Err(error.into()) };
        assert_eq!(error.err_code, 10005, "{error}");
        wharf::sleep(Duration::from_millis(50)).await;
    }
    Ok(jetstream)
}

/// Waits until all members have all of a stream: the next one can be killed.
async fn complete(jetstream: &JetStream, stream: &str) -> Result {
    loop {
        let cluster = jetstream.stream_info(stream).await.ok().and_then(|info| info.cluster);
        let is_complete = cluster.is_some_and(|cluster| {
            let is_there = |peer: &PeerInfo| peer.current && !peer.offline;
            cluster.leader.is_some()
                && cluster.replicas.len() == 2
                && cluster.replicas.iter().all(is_there)
        });
        if is_complete {
            return Ok(());
        }
        wharf::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_member_is_killed_while_messages_flow() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut servers = Server::cluster();
    run(async |event_loop| {
        let client = connect(&event_loop, &servers[0]).await?;
        let publisher = connect(&event_loop, &servers[1]).await?;
        let jetstream = ready(&client).await?;
        let publishing = ready(&publisher).await?;
        let mut config = StreamConfig::new("S", ["s.>"]);
        config.num_replicas = 3;
        jetstream.create_stream(&config).await?;
        // What was on its way from the member that is killed comes again after that time.
        let mut config = ConsumerConfig::durable("c");
        config.ack_wait = Duration::from_secs(2);
        let consumer = jetstream.create_consumer("S", &config).await?;
        let mut bucket = KeyValueConfig::new("kv");
        bucket.num_replicas = 3;
        let bucket = KeyValue::create_bucket(&jetstream, &bucket).await?;
        // Their consumers are each on one member, most of the time one of them on the one that is killed.
        let mut watches = Vec::new();
        for _ in 0..3 {
            let mut watch = bucket.watch(">").await?;
            watches.push(event_loop.create_task(async move {
                loop {
                    if let Update::Entry(entry) = watch.next().await? {
                        let told: Result<_> = Ok((entry.key, entry.value));
                        return told;
                    }
                }
            }));
        }

        let (total, acknowledged) = (300_u32, Rc::new(Cell::new(0)));
        let mut is_killed = false;
        // If one of the two fails, the other one waits for nothing.
        wharf::task_group(async |group| {
            let counting = Rc::clone(&acknowledged);
            group.spawn(async move {
                for number in 0..total {
                    let message = JetStreamPublish::new("s.x", number.to_string());
                    publishing.publish_message(message.message_id(&number.to_string())?).await?;
                    counting.set(number + 1);
                }
                Ok(())
            });
            let mut seen = BTreeSet::new();
            let pull = Pull::batch(20).times(Duration::from_secs(4), Duration::from_secs(1));
            let mut messages = consumer.messages(pull)?;
            while seen.len() < total as usize {
                let message = messages.next().await?;
                let number: u32 = std::str::from_utf8(message.payload())?.parse()?;
                seen.insert(number);
                message.ack()?;
                if number == 100 && !is_killed {
                    is_killed = true;
                    // The one that this client is connected to, and perhaps the leader.
                    servers[0].kill();
                }
            }
            Ok(())
        })
        .await?;
        assert!(is_killed);
        assert_eq!(acknowledged.get(), total);
        assert!(client.connections() >= 2);
        // Each was kept once.
        assert_eq!(jetstream.stream_info("S").await?.state.messages, u64::from(total));

        // And the others go on, too.
        bucket.put("key", "value").await?;
        for watch in watches {
            let (key, value) = watch.await??;
            assert_eq!((key.as_str(), &value[..]), ("key", &b"value"[..]));
        }
        Ok(())
    })
}

#[test]
fn each_member_is_killed_in_turn() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut servers = Server::cluster();
    run(async |event_loop| {
        let client = connect(&event_loop, &servers[0]).await?;
        let jetstream = ready(&client).await?;
        let mut config = StreamConfig::new("S", ["s"]);
        config.num_replicas = 3;
        jetstream.create_stream(&config).await?;
        let mut config = ConsumerConfig::durable("c");
        config.ack_wait = Duration::from_secs(2);
        let consumer = jetstream.create_consumer("S", &config).await?;
        let mut messages = consumer
            .messages(Pull::batch(4).times(Duration::from_secs(4), Duration::from_secs(1)))?;
        for (turn, server) in servers.iter_mut().enumerate() {
            server.kill();
            for number in 0..10 {
                let id = format!("{turn}.{number}");
                let message = JetStreamPublish::new("s", id.as_str()).message_id(&id)?;
                jetstream.publish_message(message).await?;
            }
            let mut left: BTreeSet<_> = (0..10).map(|number| format!("{turn}.{number}")).collect();
            while !left.is_empty() {
                let message = messages.next().await?;
                left.remove(std::str::from_utf8(message.payload())?);
                message.ack()?;
            }
            server.start_again();
            complete(&jetstream, "S").await?;
        }
        Ok(())
    })
}

//! What those who run servers do to them.

use std::time::Duration;

use wharf::Result;
use wharf_protocols::nats::jetstream::{
    ConsumerConfig, JetStream, KeyValue, KeyValueConfig, Pull, StreamConfig, Update,
};
use wharf_protocols::nats::{Client, Event, Events, NatsError, Options};

use crate::server::{Server, is_missing, run};

fn quick() -> Options {
    Options::new().backoff(Duration::from_millis(20), Duration::from_millis(200))
}

async fn until(events: &mut Events, is_it: impl Fn(&Event) -> bool) {
    while !is_it(&events.next().await.expect("the client has not ended")) {}
}

/// nats.py#868: clients stayed with a server that said it would go.
#[test]
fn lame_duck_mode_is_told_and_another_member_taken() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut servers = Server::cluster();
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&servers[0].address]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        // Members are told of as they come.
        while client.servers().len() < 3 {
            wharf::sleep(Duration::from_millis(10)).await;
        }
        let going = client.clone();
        client.on_event(move |event| {
            if matches!(event, Event::LameDuckMode) {
                going.reconnect_now();
            }
        });
        servers[0].signal("ldm");
        until(&mut events, |event| matches!(event, Event::LameDuckMode)).await;
        until(&mut events, |event| matches!(event, Event::Connected { .. })).await;
        client.publish("a", "elsewhere")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"elsewhere");
        // It has nothing to wait for any more.
        let mut going = servers.remove(0);
        let gone = event_loop.run_in_executor(move || going.wait());
        gone.await?;
        client.flush().await?;
        assert_eq!(client.connections(), 2);
        Ok(())
    })
}

/// nats-server#4200: a limit that changes is not told, and the server ends the connection of who does not know.
#[test]
fn a_server_that_takes_shorter_messages_from_now_on() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut server = Server::with_configuration("max_payload: 1000\n");
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&server.address]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        client.flush().await?;
        server.configure("max_payload: 100\n");
        server.signal("reload");
        // It takes a moment, and nothing tells of it.
        while client.server_info().max_payload == 1000 {
            // Of what is too long nothing comes, and the connection is made anew.
            let _ = client.publish("a", [b'x'; 500]);
            let _ = client.flush().await;
            client.connected().await?;
        }
        until(
            &mut events,
            |event| matches!(event, Event::ServerError(text) if text.contains("Maximum Payload")),
        )
        .await;
        assert!(matches!(client.publish("a", [b'x'; 500]), Err(NatsError::Refused(_))));
        client.flush().await?;
        client.publish("a", "short")?;
        while messages.next().await.unwrap().payload() != b"short" {}

        // What was kept for a connection may be too long for it: the rest is sent.
        let mut events = client.events();
        server.kill();
        until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
        client.publish("a", "before")?;
        client.publish("a", [b'y'; 90])?;
        client.publish("a", "after")?;
        server.configure("max_payload: 50\n");
        server.start_again();
        assert_eq!(messages.next().await.unwrap().payload(), b"before");
        assert_eq!(messages.next().await.unwrap().payload(), b"after");
        Ok(())
    })
}

async fn filled(client: &Client) -> Result<(JetStream, KeyValue)> {
    let jetstream = JetStream::new(client);
    jetstream.create_stream(&StreamConfig::new("S", ["s"])).await?;
    let bucket = KeyValue::create_bucket(&jetstream, &KeyValueConfig::new("kv")).await?;
    bucket.put("key", "first").await?;
    jetstream.publish("s", "1").await?;
    Ok((jetstream, bucket))
}

/// nats.rs#1596, nats.go#1094, nats.py#504: consumers and watches that were not looked at while a server restarted never
/// had a message again.
#[test]
fn consumers_and_watches_go_on_after_a_restart_whether_they_were_looked_at_or_not() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut server = Server::start();
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&server.address]).await?;
        let (jetstream, bucket) = filled(&client).await?;
        let pull = Pull::batch(10).times(Duration::from_secs(2), Duration::from_millis(500));
        let durable = jetstream.create_consumer("S", &ConsumerConfig::durable("c")).await?;
        let mut messages = durable.messages(pull)?;
        messages.next().await?.ack_sync().await?;
        let (mut idle, mut busy) = (bucket.watch(">").await?, bucket.watch(">").await?);
        for watch in [&mut idle, &mut busy] {
            assert!(matches!(watch.next().await?, Update::Entry(_)));
            assert_eq!(watch.next().await?, Update::Current);
        }
        let looked_at = event_loop.create_task(async move { busy.next().await });
        let mut connections = 1;
        for round in ["second", "third"] {
            server.kill();
            server.start_again();
            connections += 1;
            while client.connections() < connections {
                wharf::sleep(Duration::from_millis(10)).await;
            }
            bucket.put("key", round).await?;
            jetstream.publish("s", round).await?;
            let Update::Entry(entry) = idle.next().await? else { panic!() };
            assert_eq!(entry.value, round);
            loop {
                let message = messages.next().await?;
                message.ack_sync().await?;
                // One that was acknowledged may come again: the server had not written that.
                if message.payload() == round.as_bytes() {
                    break;
                }
            }
        }
        let Update::Entry(entry) = looked_at.await?? else { panic!() };
        assert_eq!(entry.value, "second");
        // Those that were made for one look are not left behind.
        assert_eq!(bucket.keys().await?, ["key"]);
        drop(idle);
        client.flush().await?;
        loop {
            let info = jetstream.stream_info("KV_kv").await?;
            if info.state.consumer_count == 0 {
                break;
            }
            wharf::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
}

#[test]
fn a_consumer_that_somebody_deletes_is_an_error_and_one_that_nobody_pulls_from_too() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&server.address]).await?;
        let (jetstream, _) = filled(&client).await?;
        let pull = Pull::batch(10).times(Duration::from_secs(2), Duration::from_millis(500));
        let consumer = jetstream.create_consumer("S", &ConsumerConfig::durable("c")).await?;
        let mut messages = consumer.messages(pull)?;
        messages.next().await?.ack()?;
        // Before it is pulled from again: nobody tells.
        let mut unaware = consumer.messages(pull)?;
        jetstream.delete_consumer("S", "c").await?;
        for messages in [&mut messages, &mut unaware] {
            let error = messages.next().await.unwrap_err();
            assert!(
                matches!(&error, NatsError::JetStream(error) if error.is_not_found()),
                "{error:?}"
            );
        }
        Ok(())
    })
}

/// nats.net#236, nats.go#1588.
#[test]
fn a_pull_above_what_the_consumer_allows_is_an_error() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&server.address]).await?;
        let (jetstream, _) = filled(&client).await?;
        let mut config = ConsumerConfig::durable("c");
        config.max_batch = 5;
        let consumer = jetstream.create_consumer("S", &config).await?;
        let error = consumer.messages(Pull::batch(6))?.next().await.unwrap_err();
        assert!(
            matches!(&error, NatsError::JetStream(error) if error.description.contains("MaxRequestBatch")),
            "{error:?}"
        );
        assert!(consumer.fetch(6, Duration::from_secs(1)).await.is_err());
        assert_eq!(consumer.messages(Pull::batch(5))?.next().await?.payload(), b"1");
        Ok(())
    })
}

/// A client that does not read is dropped by the server, and connects again.
#[test]
fn a_client_that_the_server_drops_as_slow_comes_back() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::with_configuration("max_pending: 1MB\nwrite_deadline: \"200ms\"\n");
    run(async |event_loop| {
        use wharf_protocols::nats::SlowConsumer;
        let slow = quick().connect(&event_loop, [&server.address]).await?;
        let pausing = slow.subscription("a").capacity(1).slow_consumer(SlowConsumer::Pause);
        let mut messages = pausing.start()?;
        slow.flush().await?;
        let mut events = slow.events();
        let client = quick().connect(&event_loop, [&server.address]).await?;
        // As much as the sockets and the server keep, and more.
        for _ in 0..200 {
            client.publish("a", vec![b'x'; 100_000])?;
            client.flush().await?;
        }
        let took = event_loop.create_task(async move {
            while messages.next().await.unwrap().payload() != b"back" {}
        });
        // It is noticed once the connection is read again.
        until(&mut events, |event| matches!(event, Event::SlowConsumer { .. })).await;
        until(&mut events, |event| matches!(event, Event::Connected { .. })).await;
        slow.publish("a", "back")?;
        took.await?;
        Ok(())
    })
}

#[test]
fn draining_while_the_server_is_away_sends_what_was_kept() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut server = Server::start();
    run(async |event_loop| {
        let client = quick().connect(&event_loop, [&server.address]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        client.flush().await?;
        server.kill();
        until(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
        client.publish("b", "kept")?;
        let draining = client.clone();
        let drained = event_loop.create_task(async move { draining.drain().await });
        wharf::yield_now().await;
        assert!(matches!(client.publish("b", ""), Err(NatsError::Closed)));
        server.start_again();
        drained.await??;
        assert!(messages.next().await.is_none());
        assert_eq!(client.connections(), 2);
        Ok(())
    })
}

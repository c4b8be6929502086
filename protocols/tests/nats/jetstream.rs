use std::collections::BTreeSet;
use std::time::Duration;

use wharf::Result;
use wharf_protocols::nats::jetstream::{
    ConsumerConfig, JetStream, JetStreamPublish, Pull, Retention, StreamConfig,
};
use wharf_protocols::nats::{Client, NatsError, Options};

use crate::server::{Server, is_missing, run};

async fn connect(event_loop: &wharf::EventLoop, server: &Server) -> Result<(Client, JetStream)> {
    let client = Options::new().connect(event_loop, [&server.address]).await?;
    let jetstream = JetStream::new(&client);
    Ok((client, jetstream))
}

#[test]
fn several_may_create_the_same_stream_at_once() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let mut creators = Vec::new();
        for _ in 0..8 {
            creators.push(connect(&event_loop, &server).await?);
        }
        for round in 0..50 {
            let name = format!("S{round}");
            let config = StreamConfig::new(&name, [format!("{name}.>")]);
            let created = creators.iter().map(|(_, jetstream)| {
                let (jetstream, config) = (jetstream.clone(), config.clone());
                event_loop.create_task(async move { jetstream.create_stream(&config).await })
            });
            for created in created.collect::<Vec<_>>() {
                assert_eq!(created.await??.config.name, name);
            }
        }
        // What is another stream's stays refused.
        let other = StreamConfig::new("OTHER", ["S0.>"]);
        let Err(NatsError::JetStream(error)) = creators[0].1.create_stream(&other).await else {
            panic!()
        };
        assert!(error.are_subjects_in_use(), "{error}");
        for (client, _) in creators {
            client.drain().await?;
        }
        Ok(())
    })
}

#[test]
fn streams_publishing_and_duplicates() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let (client, jetstream) = connect(&event_loop, &server).await?;
        let mut config = StreamConfig::new("ORDERS", ["orders.>"]);
        config.max_msgs = 1000;
        let info = jetstream.create_stream(&config).await?;
        assert_eq!((info.config.name.as_str(), info.config.max_msgs), ("ORDERS", 1000));
        jetstream.create_stream(&config).await?;
        config.max_msgs = 2000;
        let Err(NatsError::JetStream(error)) = jetstream.create_stream(&config).await else {
            panic!()
        };
        assert!(error.is_stream_name_in_use(), "{error}");
        assert_eq!(jetstream.update_stream(&config).await?.config.max_msgs, 2000);

        assert_eq!(jetstream.publish("orders.1", "one").await?.seq, 1);
        let twice = || JetStreamPublish::new("orders.2", "two").message_id("id-2").unwrap();
        let first = jetstream.publish_message(twice()).await?;
        let second = jetstream.publish_message(twice()).await?;
        assert_eq!((first.seq, first.duplicate, second.seq, second.duplicate), (2, false, 2, true));
        let conditional = JetStreamPublish::new("orders.3", "").expected_last_sequence(7);
        let Err(NatsError::JetStream(error)) = jetstream.publish_message(conditional).await else {
            panic!()
        };
        assert!(error.is_wrong_last_sequence(), "{error}");
        let elsewhere = JetStreamPublish::new("orders.3", "").expected_stream("OTHER")?;
        assert!(matches!(jetstream.publish_message(elsewhere).await, Err(NatsError::JetStream(_))));
        let quick = jetstream.clone().timeout(Duration::from_millis(600));
        assert!(matches!(quick.publish("nowhere", "").await, Err(NatsError::NoResponders)));

        assert_eq!(jetstream.stream_info("ORDERS").await?.state.messages, 2);
        assert_eq!(jetstream.purge_stream("ORDERS", Some("orders.1")).await?, 1);
        jetstream.delete_stream("ORDERS").await?;
        let Err(NatsError::JetStream(error)) = jetstream.stream_info("ORDERS").await else {
            panic!()
        };
        assert!(error.is_not_found());
        assert!(jetstream.stream_info("a.b").await.is_err());
        client.drain().await?;
        Ok(())
    })
}

#[test]
fn a_work_queue_is_emptied_by_acknowledgements() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let (_client, jetstream) = connect(&event_loop, &server).await?;
        let mut config = StreamConfig::new("JOBS", ["jobs.>"]);
        config.retention = Retention::WorkQueue;
        jetstream.create_stream(&config).await?;
        let acks: Vec<_> =
            (0..1000).map(|number| jetstream.publish("jobs.x", number.to_string())).collect();
        for ack in acks {
            ack.await?;
        }
        let consumer =
            jetstream.create_consumer("JOBS", &ConsumerConfig::durable("workers")).await?;
        assert_eq!(consumer.created().num_pending, 1000);
        // Two of them share.
        let mut one = consumer.messages(Pull::batch(50))?;
        let mut two = jetstream.consumer("JOBS", "workers").await?.messages(Pull::batch(50))?;
        let mut seen = BTreeSet::new();
        let mut turns = 0;
        while seen.len() < 1000 {
            turns += 1;
            let messages = if turns % 2 == 0 { &mut one } else { &mut two };
            // The other one may have what is left.
            let next = event_loop.timeout(Duration::from_millis(100), messages.next());
            let Ok(job) = next.await else { continue };
            let job = job?;
            assert!(seen.insert(String::from_utf8(job.payload().to_vec())?));
            job.ack_sync().await?;
        }
        let state = jetstream.stream_info("JOBS").await?.state;
        assert_eq!(state.messages, 0);
        Ok(())
    })
}

#[test]
fn ways_to_say_what_became_of_a_message() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let (_client, jetstream) = connect(&event_loop, &server).await?;
        jetstream.create_stream(&StreamConfig::new("S", ["s.>"])).await?;
        let mut config = ConsumerConfig::durable("c");
        config.ack_wait = Duration::from_secs(1);
        let consumer = jetstream.create_consumer("S", &config).await?;
        let mut messages = consumer.messages(Pull::default())?;
        jetstream.publish("s.nak", "").await?;
        let message = messages.next().await?;
        assert_eq!(message.metadata().delivered, 1);
        message.nak(None)?;
        let message = messages.next().await?;
        assert_eq!((message.metadata().delivered, message.metadata().stream_sequence), (2, 1));
        let begin = event_loop.time();
        message.nak(Duration::from_millis(700))?;
        let message = messages.next().await?;
        assert_eq!(message.metadata().delivered, 3);
        assert!(event_loop.time() - begin >= Duration::from_millis(600));
        message.term()?;

        jetstream.publish("s.slow", "").await?;
        let message = messages.next().await?;
        assert_eq!(message.subject(), "s.slow");
        for _ in 0..4 {
            wharf::sleep(Duration::from_millis(500)).await;
            message.in_progress()?;
        }
        message.ack_sync().await?;
        let info = consumer.info().await?;
        assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));

        // Without an acknowledgement it comes again.
        jetstream.publish("s.lost", "").await?;
        assert_eq!(messages.next().await?.metadata().delivered, 1);
        let again = messages.next().await?;
        assert_eq!((again.metadata().delivered, again.subject()), (2, "s.lost"));
        again.ack()?;
        Ok(())
    })
}

#[test]
fn fetches_end() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let (_client, jetstream) = connect(&event_loop, &server).await?;
        jetstream.create_stream(&StreamConfig::new("S", ["s"])).await?;
        let consumer = jetstream.create_consumer("S", &ConsumerConfig::ephemeral()).await?;
        assert!(consumer.fetch_now(5).await?.is_empty());
        for _ in 0..7 {
            jetstream.publish("s", "x").await?;
        }
        assert_eq!(consumer.fetch_now(5).await?.len(), 5);
        let begin = event_loop.time();
        assert_eq!(consumer.fetch(5, Duration::from_millis(500)).await?.len(), 2);
        assert!(event_loop.time() - begin >= Duration::from_millis(400));
        consumer.delete().await?;
        let gone = consumer.fetch(1, Duration::from_millis(500)).await;
        let is_gone = match &gone {
            Err(NatsError::NoResponders) => true,
            Err(NatsError::JetStream(error)) => error.is_not_found(),
            _ => false,
        };
        assert!(is_gone, "{gone:?}");
        Ok(())
    })
}

#[test]
fn a_consumer_goes_on_after_a_restart_and_ends_when_it_is_deleted() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut server = Server::start();
    run(async |event_loop| {
        let options = Options::new().backoff(Duration::from_millis(20), Duration::from_millis(200));
        let client = options.connect(&event_loop, [&server.address]).await?;
        let jetstream = JetStream::new(&client);
        jetstream.create_stream(&StreamConfig::new("S", ["s"])).await?;
        let consumer = jetstream.create_consumer("S", &ConsumerConfig::durable("c")).await?;
        let pull = Pull::batch(10).times(Duration::from_secs(4), Duration::from_secs(1));
        let mut messages = consumer.messages(pull)?;
        jetstream.publish("s", "1").await?;
        messages.next().await?.ack_sync().await?;
        server.kill();
        let since = client.connections();
        server.start_again();
        while client.connections() == since {
            wharf::sleep(Duration::from_millis(20)).await;
        }
        jetstream.publish("s", "2").await?;
        let message = messages.next().await?;
        assert_eq!((message.payload(), message.metadata().stream_sequence), (&b"2"[..], 2));
        message.ack()?;
        // A quiet time of several pulls.
        let quiet = event_loop.timeout(Duration::from_secs(6), messages.next()).await;
        assert!(quiet.is_err());
        jetstream.publish("s", "3").await?;
        messages.next().await?.ack()?;
        consumer.delete().await?;
        let Err(NatsError::JetStream(error)) = messages.next().await else { panic!() };
        assert!(error.is_not_found(), "{error}");
        Ok(())
    })
}

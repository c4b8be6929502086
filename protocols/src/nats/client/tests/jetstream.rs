//! Consumers and buckets whose servers go and come, against a JetStream of a few lines.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::Result;

use super::super::*;
use super::broker::Broker;
use super::{ADDRESS, run};
use crate::nats::codec::Pub;
use crate::nats::jetstream::{ConsumerConfig, JetStream, JetStreamPublish, KeyValue, Pull, Update};

/// Calls `answer` with each request of the API and its number among those of its kind: of creating a consumer, pulling,
/// asking for one, and so on.
async fn serve(
    event_loop: &wharf::EventLoop,
    answer: impl Fn(&Client, &Message, u32) + 'static,
) -> std::result::Result<(Client, Requests), NatsError> {
    let server = Options::new().connect(event_loop, [ADDRESS]).await?;
    let (answering, requests) = (server.clone(), Requests::default());
    let counted = requests.clone();
    server
        .subscription("$JS.API.>")
        .on_message(move |request| {
            let number = counted.add(request.subject());
            answer(&answering, &request, number);
        })?
        .detach();
    server.flush().await?;
    Ok((server, requests))
}

/// The subjects of all requests.
#[derive(Clone, Default)]
struct Requests(Rc<RefCell<Vec<String>>>);

impl Requests {
    fn add(&self, subject: &str) -> u32 {
        self.0.borrow_mut().push(subject.to_owned());
        let kind: String = subject.split('.').take(5).collect::<Vec<_>>().join(".");
        self.count(&kind)
    }

    fn count(&self, kind: &str) -> u32 {
        self.0.borrow().iter().filter(|subject| subject.starts_with(kind)).count() as u32
    }
}

const CREATE: &str = "$JS.API.CONSUMER.CREATE";
const PULL: &str = "$JS.API.CONSUMER.MSG";
const INFO: &str = "$JS.API.CONSUMER.INFO";
const DELETE: &str = "$JS.API.CONSUMER.DELETE";

fn consumer(client: &Client, request: &Message, pending: u64) {
    let name = request.subject().split('.').nth(5).unwrap();
    let json =
        format!("{{\"stream_name\":\"KV_b\",\"name\":\"{name}\",\"num_pending\":{pending}}}");
    client.respond(request, json).unwrap();
}

fn not_found(client: &Client, request: &Message) {
    let json = r#"{"error":{"code":404,"err_code":10014,"description":"consumer not found"}}"#;
    client.respond(request, json).unwrap();
}

fn status(client: &Client, request: &Message, text: &str) {
    let block = format!("NATS/1.0 {text}\r\n\r\n");
    let message = Pub {
        subject: request.reply().unwrap().as_bytes(),
        headers: Some(block.as_bytes()),
        ..Pub::default()
    };
    client.inner.shared.publish(&message).unwrap();
}

/// The message `stream` of the stream, which is `number` of its consumer, with `pending` behind it.
fn deliver(broker: &Broker, request: &Message, [stream, number, pending]: [u32; 3]) {
    let reply = format!("$JS.ACK.KV_b.C.1.{stream}.{number}.0.{pending}");
    broker.deliver(request.reply().unwrap(), "$KV.b.key", &reply);
}

/// nats.rs#1596, nats.go#1370: a watch hung after its consumer's server was gone.
#[test]
fn a_watch_goes_on_with_another_consumer_when_its_own_is_silent_or_gone() -> Result {
    run(async |event_loop, broker: Broker| {
        let (server, requests) = serve(&event_loop, move |client, request, number| {
            let subject = request.subject();
            if subject.starts_with("$JS.API.STREAM.INFO") {
                client.respond(request, r#"{"config":{"name":"KV_b","subjects":[]}}"#).unwrap();
            } else if subject.starts_with(CREATE) {
                match number {
                    // To a member that is dead: nobody ever answers.
                    3 => (),
                    // No leader.
                    4 => status(client, request, "503"),
                    _ => consumer(client, request, 2),
                }
            } else if subject.starts_with(PULL) {
                match number {
                    1 => deliver(&broker, request, [1, 1, 1]),
                    // Silence, until another consumer is there.
                    2..=3 => (),
                    // It is gone.
                    4..=9 => status(client, request, "503"),
                    10 => deliver(&broker, request, [2, 1, 0]),
                    _ => (),
                }
            }
        })
        .await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let bucket = KeyValue::bucket(&JetStream::new(&client), "b").await?;
        let mut watch = bucket.watch(">").await?;
        for revision in [1, 2] {
            let Update::Entry(entry) = watch.next().await? else { panic!() };
            assert_eq!((entry.key.as_str(), entry.revision), ("key", revision));
        }
        assert_eq!(watch.next().await?, Update::Current);
        let all = requests.0.borrow().clone();
        let names: Vec<_> = all.iter().filter(|subject| subject.starts_with(CREATE)).collect();
        assert_ne!(names[2], names[3], "another name is another choice of a member");
        assert_eq!(requests.count(INFO), 0);

        let before = requests.count(DELETE);
        drop(watch);
        client.flush().await?;
        server.flush().await?;
        assert_eq!(requests.count(DELETE), before + 1, "none is left behind");
        Ok(())
    })
}

/// What was there at the beginning has gone with the old consumer: the end of it is told all the same.
#[test]
fn the_end_of_the_first_values_is_told_by_a_new_consumer_too() -> Result {
    run(async |event_loop, _| {
        let (_server, _) = serve(&event_loop, |client, request, number| {
            let subject = request.subject();
            if subject.starts_with("$JS.API.STREAM.INFO") {
                client.respond(request, r#"{"config":{"name":"KV_b","subjects":[]}}"#).unwrap();
            } else if subject.starts_with(CREATE) {
                consumer(client, request, if number == 1 { 3 } else { 0 });
            }
        })
        .await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let bucket = KeyValue::bucket(&JetStream::new(&client), "b").await?;
        assert_eq!(bucket.keys().await?, [""; 0]);
        Ok(())
    })
}

/// A pause after "no responders" ended while there was no connection: the client looked again and again, without end.
#[test]
fn a_connection_that_is_lost_in_a_pause_is_waited_for() -> Result {
    run(async |event_loop, broker: Broker| {
        let delivering = broker.clone();
        let (server, requests) = serve(&event_loop, move |client, request, number| {
            if request.subject().starts_with(PULL) {
                match number {
                    1 => status(client, request, "503"),
                    _ => deliver(&delivering, request, [1, 1, 0]),
                }
            } else {
                consumer(client, request, 0);
            }
        })
        .await?;
        let options = Options::new().backoff(Duration::from_secs(20), Duration::from_secs(20));
        let client = options.connect(&event_loop, [ADDRESS]).await?;
        let found = JetStream::new(&client).consumer("KV_b", "C").await?;
        let mut messages = found.messages(Pull::default())?;
        let counted = requests.clone();
        let breaking = event_loop.create_task(async move {
            while counted.count(PULL) < 1 {
                wharf::sleep(Duration::from_millis(10)).await;
            }
            wharf::sleep(Duration::from_millis(50)).await;
            broker.drop_connections();
        });
        assert_eq!(messages.next().await?.payload(), b"value");
        breaking.await?;
        drop(server);
        Ok(())
    })
}

#[test]
fn a_consumer_that_is_deleted_is_an_error_also_where_nobody_tells() -> Result {
    run(async |event_loop, _| {
        let silent = Rc::new(Cell::new(false));
        let is_silent = Rc::clone(&silent);
        let (_server, requests) = serve(&event_loop, move |client, request, number| {
            let subject = request.subject();
            if subject.starts_with(INFO) {
                match number % 2 {
                    1 => consumer(client, request, 0),
                    _ => not_found(client, request),
                }
            } else if subject.starts_with(PULL) && !is_silent.get() {
                status(client, request, "503");
            }
        })
        .await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        for is_silent in [false, true] {
            silent.set(is_silent);
            let found = JetStream::new(&client).consumer("KV_b", "C").await?;
            let mut messages = found.messages(Pull::default())?;
            let error = messages.next().await.unwrap_err();
            assert!(
                matches!(&error, NatsError::JetStream(error) if error.is_not_found()),
                "{error:?}"
            );
        }
        assert_eq!(requests.count(PULL), 4 + 2);
        Ok(())
    })
}

/// Whoever looks now and then, for a moment, is told as well.
#[test]
fn a_consumer_that_is_gone_is_an_error_also_for_those_who_look_rarely() -> Result {
    run(async |event_loop, _| {
        let (_server, requests) = serve(&event_loop, |client, request, number| {
            if request.subject().starts_with(INFO) {
                match number {
                    1 => consumer(client, request, 0),
                    _ => not_found(client, request),
                }
            }
        })
        .await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let found = JetStream::new(&client).consumer("KV_b", "C").await?;
        let mut messages = found.messages(Pull::default())?;
        let mut looks = 0;
        let error = loop {
            looks += 1;
            assert!(looks < 10, "nobody has asked for it");
            let look = event_loop.timeout(Duration::from_secs(1), messages.next());
            if let Ok(outcome) = look.await {
                break outcome.unwrap_err();
            }
            wharf::sleep(Duration::from_secs(20)).await;
        };
        assert!(matches!(&error, NatsError::JetStream(error) if error.is_not_found()), "{error:?}");
        assert_eq!((requests.count(INFO), requests.count(PULL)), (2, looks - 1));
        Ok(())
    })
}

/// nats.net#236, nats.js#44, nats.go#1588: pulls above a consumer's limit were refused, and nobody was told.
#[test]
fn a_pull_above_the_consumers_limits_is_an_error() -> Result {
    run(async |event_loop, _| {
        let (_server, requests) = serve(&event_loop, |client, request, number| {
            if !request.subject().starts_with(PULL) {
                return consumer(client, request, 0);
            }
            match number {
                1 => status(client, request, "409 Exceeded MaxWaiting"),
                2 => status(client, request, "409 Exceeded MaxRequestBatch of 5"),
                3 => status(client, request, "409 Exceeded MaxRequestExpires of 1s"),
                _ => status(client, request, "400 Bad Request"),
            }
        })
        .await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let found = JetStream::new(&client).consumer("KV_b", "C").await?;
        for text in ["MaxRequestBatch", "MaxRequestExpires", "Bad Request"] {
            let error = found.messages(Pull::default())?.next().await.unwrap_err();
            assert!(
                matches!(&error, NatsError::JetStream(error) if error.description.contains(text)),
                "{error:?}"
            );
        }
        assert_eq!(requests.count(PULL), 4, "too many pulls of others pass");
        Ok(())
    })
}

/// A stream that is full says 503, as a cluster without a leader does: it was asked again for ten seconds.
#[test]
fn a_stream_that_is_full_is_an_error_at_once() -> Result {
    run(async |event_loop, _| {
        let server = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let (answering, count) = (server.clone(), Rc::new(Cell::new(0)));
        let counting = Rc::clone(&count);
        server
            .subscription("s")
            .on_message(move |message| {
                counting.set(counting.get() + 1);
                let json = match counting.get() {
                    1 => r#"{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}"#,
                    2 => r#"{"stream":"S","seq":1}"#,
                    _ => r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#,
                };
                answering.respond(&message, json).unwrap();
            })?
            .detach();
        server.flush().await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let jetstream = JetStream::new(&client);
        assert_eq!(jetstream.publish("s", "").await?.seq, 1);
        let error = jetstream.publish("s", "").await.unwrap_err();
        assert!(
            matches!(&error, NatsError::JetStream(error) if error.err_code == 10077),
            "{error:?}"
        );
        assert_eq!(count.get(), 3);
        Ok(())
    })
}

/// openobserve#13594: each try while there was no connection was one more consumer after it.
#[test]
fn requests_of_the_api_are_not_kept_for_the_next_connection() -> Result {
    run(async |event_loop, broker: Broker| {
        let (server, requests) =
            serve(&event_loop, |client, request, _| consumer(client, request, 0)).await?;
        let options = Options::new().backoff(Duration::from_secs(30), Duration::from_secs(30));
        let client = options.connect(&event_loop, [ADDRESS]).await?;
        let jetstream = JetStream::new(&client);
        drop(server);
        broker.refuse_logins("not now");
        broker.drop_connections();
        wharf::sleep(Duration::from_secs(1)).await;
        let config = ConsumerConfig::ephemeral();
        let error = jetstream.create_consumer("S", &config).await.unwrap_err();
        assert!(matches!(error, NatsError::TimedOut), "{error:?}");
        broker.take_logins();
        client.connected().await?;
        client.flush().await?;
        assert_eq!((requests.count(CREATE), broker.published()), (0, 0));
        Ok(())
    })
}

/// An acknowledgement that is awaited belongs to what was received, as one that is not.
#[test]
fn acknowledgements_are_sent_while_the_client_drains() -> Result {
    run(async |event_loop, broker: Broker| {
        let (server, _) = serve(&event_loop, move |client, request, number| {
            if request.subject().starts_with(PULL) && number == 1 {
                deliver(&broker, request, [1, 1, 0]);
            } else {
                consumer(client, request, 0);
            }
        })
        .await?;
        let answering = server.clone();
        server
            .subscription("$JS.ACK.>")
            .on_message(move |ack| answering.respond(&ack, "").unwrap())?
            .detach();
        server.flush().await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let found = JetStream::new(&client).consumer("KV_b", "C").await?;
        let mut messages = found.messages(Pull::default())?;
        let message = messages.next().await?;
        let draining = client.clone();
        let drained = event_loop.create_task(async move { draining.drain().await });
        wharf::yield_now().await;
        message.ack_sync().await?;
        assert!(matches!(messages.next().await, Err(NatsError::Closed)));
        drained.await??;
        Ok(())
    })
}

#[test]
fn what_is_published_with_an_id_waits_for_a_connection_before_it_is_sent_again() -> Result {
    run(async |event_loop, broker: Broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let nobody = client.subscribe("s")?;
        client.flush().await?;
        let jetstream = JetStream::new(&client).timeout(Duration::from_secs(9));
        let message = JetStreamPublish::new("s", "x").message_id("1")?;
        let outcome = jetstream.publish_message(message);
        wharf::sleep(Duration::from_secs(1)).await;
        broker.refuse_logins("not now");
        broker.drop_connections();
        assert!(matches!(outcome.await, Err(NatsError::TimedOut)));
        broker.take_logins();
        client.connected().await?;
        client.flush().await?;
        assert_eq!((broker.published(), nobody.len()), (1, 1));
        Ok(())
    })
}

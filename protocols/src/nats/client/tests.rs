//! The client against a small broker in memory, in virtual time.

mod broker;
mod callbacks;
mod drain;
mod hostile;
mod jetstream;
mod reported;
#[cfg(feature = "tls")]
mod tls;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use self::broker::Broker;
use super::*;
use crate::nats::codec::Headers;

const ADDRESS: &str = "10.0.0.1:4222";

fn run<F>(main: impl FnOnce(EventLoop, Broker) -> F + 'static) -> Result
where
    F: Future<Output = Result>,
{
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let broker = Broker::new();
        broker.listen(&event_loop, ADDRESS).await?;
        main(event_loop, broker).await
    })
}

#[test]
fn messages_reach_callbacks_and_tasks() -> Result {
    run(async |event_loop, _| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut all = client.subscribe("orders.>")?;
        let seen = Rc::new(RefCell::new(Vec::new()));
        let seeing = Rc::clone(&seen);
        let handle = client
            .subscription("orders.*")
            .on_message(move |message| seeing.borrow_mut().push(message.subject().to_owned()))?;
        client.publish("orders.1", "one")?;
        let mut headers = Headers::new();
        headers.append("Trace", "t")?;
        client.publish_message(Publish::new("orders.2", "two").reply("back").headers(&headers))?;
        client.flush().await?;
        let first = all.next().await.unwrap();
        assert_eq!(
            (first.subject(), first.payload(), first.reply()),
            ("orders.1", &b"one"[..], None)
        );
        let second = all.next().await.unwrap();
        assert_eq!((second.reply(), second.header("Trace")), (Some("back"), Some("t")));
        assert_eq!(*seen.borrow(), ["orders.1", "orders.2"]);
        assert_eq!(handle.received(), 2);
        drop(handle);
        client.publish("orders.3", "three")?;
        client.flush().await?;
        assert_eq!(seen.borrow().len(), 2);
        Ok(())
    })
}

#[test]
fn nothing_is_injected_by_subjects() -> Result {
    run(async |event_loop, _| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        for subject in ["a b", "a\r\nPUB b 0", "", "a..b", "*"] {
            assert!(
                matches!(client.publish(subject, ""), Err(NatsError::Refused(_))),
                "{subject:?}"
            );
        }
        assert!(client.subscription("a").queue_group("g 1\r\n").start().is_err());
        let reply = Publish::new("a", "").reply("b\n");
        assert!(client.publish_message(reply).is_err());
        client.flush().await?;
        Ok(())
    })
}

#[test]
fn requests_are_answered_or_told_that_nobody_is_there() -> Result {
    run(async |event_loop, _| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let answering = client.clone();
        client
            .subscription("double")
            .on_message(move |message| {
                let number: u32 = std::str::from_utf8(message.payload()).unwrap().parse().unwrap();
                answering.respond(&message, (number * 2).to_string()).unwrap();
            })?
            .detach();
        let (one, two) = (client.request("double", "1"), client.request("double", "2"));
        assert_eq!((one.await?.payload(), two.await?.payload()), (&b"2"[..], &b"4"[..]));
        assert!(matches!(client.request("nobody", "").await, Err(NatsError::NoResponders)));
        let silent = client.subscribe("silent")?;
        let begin = event_loop.time();
        assert!(matches!(client.request("silent", "").await, Err(NatsError::TimedOut)));
        assert_eq!(event_loop.time() - begin, Duration::from_secs(5));
        drop(silent);
        assert_eq!(client.inner.shared.requests.len(), 0, "nothing is left of any of them");
        Ok(())
    })
}

#[test]
fn a_queue_group_shares() -> Result {
    run(async |event_loop, _| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut members: Vec<Subscription> = Vec::new();
        for _ in 0..3 {
            members.push(client.subscription("work").queue_group("g").start()?);
        }
        for _ in 0..9 {
            client.publish("work", "")?;
        }
        client.flush().await?;
        assert_eq!(members.iter().map(Subscription::len).sum::<usize>(), 9);
        Ok(())
    })
}

#[test]
fn a_reconnect_restores_subscriptions_and_sends_what_was_published_meanwhile() -> Result {
    run(async |event_loop, broker| {
        broker.listen(&event_loop, "10.0.0.2:4222").await?;
        let asked = Rc::new(Cell::new(0));
        let asking = Rc::clone(&asked);
        let options = Options::new().ask_credentials(move |_| {
            asking.set(asking.get() + 1);
            Ok(Credentials::Token(asking.get().to_string()))
        });
        let client = options.connect(&event_loop, [ADDRESS, "10.0.0.2"]).await?;
        let mut events = client.events();
        let mut messages = client.subscription("a").max_messages(3).start()?;
        client.publish("a", "1")?;
        client.flush().await?;
        broker.drop_connections();
        assert!(matches!(events.next().await, Some(Event::Disconnected { .. })));
        client.publish("a", "2")?;
        assert!(!client.is_connected());
        assert!(
            matches!(events.next().await, Some(Event::Connected { address }) if address == "10.0.0.2:4222")
        );
        client.publish("a", "3")?;
        client.publish("a", "4")?;
        let mut payloads = Vec::new();
        while let Some(message) = messages.next().await {
            payloads.push(message.payload().to_vec());
        }
        assert_eq!(payloads, [b"1", b"2", b"3"]);
        assert_eq!((asked.get(), client.connections()), (2, 2));
        assert_eq!(broker.tokens(), ["1", "2"]);
        Ok(())
    })
}

#[test]
fn what_waits_for_a_connection_is_bounded() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let options = Options::new().max_pending(1000).retry_first_connect(true);
        let client = options.start(&event_loop, [ADDRESS])?;
        let mut count = 0;
        let error = loop {
            match client.publish("a", [b'x'; 90]) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, NatsError::BufferFull));
        assert_eq!(count, 9);
        let broker = Broker::new();
        broker.listen(&event_loop, ADDRESS).await?;
        client.writable().await?;
        client.publish("a", [b'x'; 90])?;
        client.flush().await?;
        assert_eq!(broker.published(), 10);
        Ok(())
    })
}

#[test]
fn slow_consumers_are_dropped_or_slow_the_server_down() -> Result {
    run(async |event_loop, _| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut events = client.events();
        let mut dropping = client.subscription("a").capacity(10).start()?;
        let publisher = Options::new().connect(&event_loop, [ADDRESS]).await?;
        for number in 0..100 {
            publisher.publish("a", number.to_string())?;
        }
        publisher.flush().await?;
        client.flush().await?;
        assert_eq!((dropping.len(), dropping.dropped()), (10, 90));
        assert!(matches!(events.next().await, Some(Event::SlowConsumer { .. })));
        assert_eq!(dropping.next().await.unwrap().payload(), b"0");

        let pausing = client.subscription("b").capacity(10).slow_consumer(SlowConsumer::Pause);
        let mut pausing = pausing.start()?;
        client.flush().await?;
        for number in 0..100 {
            publisher.publish("b", number.to_string())?;
        }
        publisher.flush().await?;
        for number in 0..100 {
            assert_eq!(pausing.next().await.unwrap().payload(), number.to_string().as_bytes());
            assert!(pausing.len() <= 10);
        }
        client.flush().await?;
        Ok(())
    })
}

#[test]
fn draining_delivers_everything_first() -> Result {
    run(async |event_loop, broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let publisher = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut one = client.subscribe("one")?;
        let mut two = client.subscribe("two")?;
        client.flush().await?;
        publisher.publish("one", "1")?;
        publisher.publish_message(Publish::new("two", "2").reply("answers"))?;
        let mut answers = publisher.subscribe("answers")?;
        publisher.flush().await?;
        one.drain().await?;
        publisher.publish("one", "late")?;
        publisher.flush().await?;
        assert_eq!(one.next().await.unwrap().payload(), b"1");
        assert!(one.next().await.is_none());

        let draining = client.clone();
        let drained = event_loop.create_task(async move { draining.drain().await });
        wharf::yield_now().await;
        let message = two.next().await.unwrap();
        assert!(client.publish("x", "").is_err());
        assert!(client.subscribe("x").is_err());
        client.respond(&message, "answer")?;
        assert!(two.next().await.is_none());
        drained.await??;
        client.closed().await?;
        assert_eq!(answers.next().await.unwrap().payload(), b"answer");
        // The broker has to see the end, too.
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.connections(), 1);
        Ok(())
    })
}

#[test]
fn a_client_that_nobody_has_any_more_sends_and_closes() -> Result {
    run(async |event_loop, broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        client.publish("a", "")?;
        let mut messages = client.subscribe("b")?;
        drop(client);
        assert!(messages.next().await.is_none());
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!((broker.published(), broker.connections()), (1, 0));
        Ok(())
    })
}

#[test]
fn the_first_connection_fails_with_what_was_wrong() -> Result {
    run(async |event_loop, broker| {
        broker.refuse_logins("Authorization Violation");
        let error = Options::new().connect(&event_loop, [ADDRESS]).await.unwrap_err();
        assert!(
            matches!(&error, NatsError::Server(text) if text == "Authorization Violation"),
            "{error:?}"
        );
        let error = Options::new().connect(&event_loop, ["10.9.9.9"]).await.unwrap_err();
        assert!(matches!(error, NatsError::Connection(error) if error.is_connect()));
        let none: [&str; 0] = [];
        assert!(Options::new().connect(&event_loop, none).await.is_err());
        assert!(Options::new().connect(&event_loop, ["tls://h"]).await.is_err());
        Ok(())
    })
}

//! Draining in every state of a client.

use std::time::Duration;

use wharf::Result;

use super::super::*;
use super::{ADDRESS, run};

/// nats.go#531: draining hung while there was no connection.
#[test]
fn draining_without_a_connection_waits_for_one_and_restores_nothing() -> Result {
    run(async |event_loop, broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        let mut others = client.subscribe("b")?;
        client.flush().await?;
        broker.drop_connections();
        while !matches!(events.next().await, Some(Event::Disconnected { .. })) {}
        client.publish("c", "kept")?;
        // Both wait for the next connection.
        let draining = client.clone();
        let drained = event_loop.create_task(async move { draining.drain().await });
        others.drain().await?;
        assert!(others.next().await.is_none());
        assert!(messages.next().await.is_none());
        drained.await??;
        client.closed().await?;
        assert_eq!((client.connections(), broker.published(), broker.subscribed()), (2, 1, 2));
        Ok(())
    })
}

#[test]
fn draining_where_no_server_comes_ends_in_time() -> Result {
    run(async |event_loop, broker| {
        let options = Options::new().drain_timeout(Duration::from_secs(7));
        let client = options.connect(&event_loop, [ADDRESS]).await?;
        let _messages = client.subscribe("a")?;
        broker.refuse_logins("no more");
        broker.drop_connections();
        wharf::sleep(Duration::from_secs(1)).await;
        let begin = event_loop.time();
        assert!(matches!(client.drain().await, Err(NatsError::TimedOut)));
        assert_eq!(event_loop.time() - begin, Duration::from_secs(7));
        assert!(client.closed().await.is_ok());
        Ok(())
    })
}

/// nats.c#911: draining ended the subscription for answers first, and requests under way had none.
#[test]
fn requests_under_way_are_answered_while_the_client_drains() -> Result {
    run(async |event_loop, _| {
        let server = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let answering = server.clone();
        let mut questions = server.subscribe("slow")?;
        server.flush().await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let answer = client.request("slow", "1");
        let later = event_loop.create_task(async move {
            let question = questions.next().await.unwrap();
            wharf::sleep(Duration::from_secs(2)).await;
            answering.respond(&question, "2")
        });
        let draining = client.clone();
        let drained = event_loop.create_task(async move { draining.drain().await });
        wharf::yield_now().await;
        assert!(matches!(client.request("slow", "").await, Err(NatsError::Closed)));
        assert_eq!(answer.await?.payload(), b"2");
        later.await??;
        drained.await??;
        Ok(())
    })
}

/// Dropping what waits for the end of a subscription ends it all the same.
#[test]
fn a_drain_that_is_given_up_ends_the_subscription() -> Result {
    run(async |event_loop, broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let mut messages = client.subscribe("a")?;
        client.flush().await?;
        let mut events = client.events();
        broker.drop_connections();
        while !matches!(events.next().await, Some(Event::Disconnected { .. })) {}
        let given_up = event_loop.timeout(Duration::from_nanos(1), messages.drain()).await;
        assert!(given_up.is_err());
        assert!(messages.next().await.is_none());
        client.flush().await?;
        assert_eq!(broker.subjects(), [""; 0]);
        Ok(())
    })
}

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::Result;
use wharf_protocols::nats::codec::Headers;
use wharf_protocols::nats::{Event, NatsError, Options, Publish};

use crate::server::{Server, is_missing, run};

#[test]
fn messages_headers_and_queue_groups() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().name("test").connect(&event_loop, [&server.address]).await?;
        assert!(client.server_info().headers);
        let mut messages = client.subscribe("orders.*")?;
        let mut members: Vec<_> = Vec::new();
        for _ in 0..3 {
            members.push(client.subscription("orders.>").queue_group("g").start()?);
        }
        let mut headers = Headers::new();
        headers.append("Trace", "größer")?;
        for number in 0..100 {
            let subject = format!("orders.{number}");
            let payload = vec![b'x'; number * 100];
            client.publish_message(Publish::new(&subject, &payload).headers(&headers))?;
        }
        client.flush().await?;
        for number in 0..100 {
            let message = messages.next().await.unwrap();
            assert_eq!(message.subject(), format!("orders.{number}"));
            assert_eq!(message.payload().len(), number * 100);
            assert_eq!(message.header("Trace"), Some("größer"));
        }
        let shares: Vec<_> = members.iter().map(|member| member.len()).collect();
        assert_eq!(shares.iter().sum::<usize>(), 100);
        assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
        let too_long = vec![0; 1024 * 1024 + 1];
        assert!(matches!(client.publish("a", &too_long), Err(NatsError::Refused(_))));
        client.publish("orders.long", &too_long[1..])?;
        assert_eq!(messages.next().await.unwrap().payload().len(), 1024 * 1024);
        Ok(())
    })
}

#[test]
fn requests_and_nobody_to_answer() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let answering = client.clone();
        client
            .subscription("echo")
            .on_message(move |message| answering.respond(&message, message.payload()).unwrap())?
            .detach();
        let mut answers = Vec::new();
        for number in 0..1000 {
            answers.push(client.request("echo", format!("{number}")));
        }
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await?.payload(), number.to_string().as_bytes());
        }
        assert!(matches!(client.request("nobody", "").await, Err(NatsError::NoResponders)));
        Ok(())
    })
}

#[test]
fn many_messages_with_back_pressure() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let other = Options::new().connect(&event_loop, [&server.address]).await?;
        let count = Rc::new(Cell::new(0));
        let counting = Rc::clone(&count);
        other.subscription("a").on_message(move |_| counting.set(counting.get() + 1))?.detach();
        other.flush().await?;
        for _ in 0..100_000 {
            client.writable().await?;
            client.publish("a", [b'x'; 128])?;
        }
        client.flush().await?;
        while count.get() < 100_000 {
            wharf::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

#[test]
fn a_server_that_restarts_is_connected_to_again() -> Result {
    if is_missing() {
        return Ok(());
    }
    let mut server = Server::start();
    run(async |event_loop| {
        let options = Options::new().backoff(Duration::from_millis(20), Duration::from_millis(200));
        let client = options.connect(&event_loop, [&server.address]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a.*")?;
        client.flush().await?;
        server.kill();
        while !matches!(events.next().await, Some(Event::Disconnected { .. })) {}
        client.publish("a.1", "kept")?;
        server.start_again();
        assert_eq!(messages.next().await.unwrap().payload(), b"kept");
        client.drain().await?;
        assert!(messages.next().await.is_none());
        Ok(())
    })
}

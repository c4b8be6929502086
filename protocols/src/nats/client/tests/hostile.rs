//! Servers that do not behave.

use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{Protocol, Result, Transport};

use super::super::*;
use super::ADDRESS;

type Script = Rc<dyn Fn(&dyn Transport, &[u8])>;

/// Sends a greeting, and does what a script says with what it receives.
struct Scripted {
    greeting: Vec<u8>,
    script: Script,
}

impl Protocol for Scripted {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&self.greeting);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        (self.script)(transport, data);
        Ok(())
    }
}

/// What connecting to such a server gives, with the options' own patience.
fn connect_to(
    greeting: &[u8],
    script: impl Fn(&dyn Transport, &[u8]) + 'static,
) -> Result<NatsError> {
    let (greeting, script): (_, Script) = (greeting.to_vec(), Rc::new(script));
    let mut error = None;
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let factory = move || Scripted { greeting: greeting.clone(), script: Rc::clone(&script) };
        event_loop.create_server(factory, ADDRESS).await?;
        error = Some(Options::new().connect(&event_loop, [ADDRESS]).await.unwrap_err());
        Ok(())
    })?;
    Ok(error.unwrap())
}

fn is_violation(error: &NatsError) -> bool {
    matches!(error, NatsError::Connection(error) if error.is_protocol_violation())
}

#[test]
fn silence_before_the_log_in_is_not_waited_for_forever() -> Result {
    for greeting in [&b""[..], b"INFO {", b"INFO {}\r\n"] {
        let error = connect_to(greeting, |_, _| ())?;
        assert!(matches!(&error, NatsError::Connection(error) if error.is_timeout()), "{error:?}");
    }
    Ok(())
}

#[test]
fn what_is_no_server_is_left() -> Result {
    for greeting in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"INFO nothing\r\n",
        b"PONG\r\n",
        b"MSG a 1 0\r\n\r\n",
        b"INFO {}\r\nMSG a 1 99999999999\r\n",
        &[b'x'; 100_000],
    ] {
        let error = connect_to(greeting, |_, _| ())?;
        assert!(
            is_violation(&error),
            "{error:?} for {:?}",
            String::from_utf8_lossy(&greeting[..greeting.len().min(40)])
        );
    }
    Ok(())
}

#[test]
fn credentials_are_not_sent_without_the_tls_that_is_required() -> Result {
    let error = connect_to(b"INFO {\"tls_required\":true}\r\n", |_, data| {
        panic!("{:?} was sent", String::from_utf8_lossy(data));
    })?;
    assert!(matches!(error, NatsError::Invalid(_)), "{error:?}");
    Ok(())
}

#[test]
fn a_server_that_stops_answering_is_left_and_others_are_used() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let script: Script = Rc::new(|transport, data| {
            if data.starts_with(b"CONNECT") {
                transport.write(b"PONG\r\n");
            }
        });
        let factory =
            move || Scripted { greeting: b"INFO {}\r\n".to_vec(), script: Rc::clone(&script) };
        event_loop.create_server(factory, ADDRESS).await?;
        let broker = super::Broker::new();
        broker.listen(&event_loop, "10.0.0.2:4222").await?;
        let options = Options::new().pings(Duration::from_secs(10), 2);
        let client = options.connect(&event_loop, [ADDRESS, "10.0.0.2"]).await?;
        let begin = event_loop.time();
        let error = client.flush().await.unwrap_err();
        assert!(matches!(error, NatsError::Connection(error) if error.is_timeout()));
        let waited = event_loop.time() - begin;
        assert!(
            waited >= Duration::from_secs(30) && waited < Duration::from_secs(41),
            "{waited:?}"
        );
        client.connected().await?;
        client.flush().await?;
        assert_eq!(broker.connections(), 1);
        Ok(())
    })
}

#[test]
fn messages_for_nobody_and_statuses_for_nothing_change_nothing() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let script: Script = Rc::new(|transport, data| {
            if data.starts_with(b"CONNECT") {
                transport.write(b"PONG\r\n");
                transport.write(b"MSG a 77 1\r\nx\r\n");
                transport.write(b"HMSG a 1 5 5\r\nwrong\r\n");
                transport.write(b"MSG \xff\xfe 1 0\r\n\r\n");
                transport.write(b"+OK\r\n-ERR 'Permissions Violation for Publish to \"x\"'\r\n");
                transport.write(b"INFO {\"ldm\":true,\"connect_urls\":[\"10.0.0.9:1\"]}\r\n");
            } else {
                transport.write(b"PONG\r\n");
            }
        });
        let factory = move || Scripted { greeting: b"INFO {}\r\n".to_vec(), script: Rc::clone(&script) };
        event_loop.create_server(factory, ADDRESS).await?;
        let client = Options::new().start(&event_loop, [ADDRESS])?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        let message = messages.next().await.unwrap();
        assert!(message.headers().is_err());
        assert_eq!((message.status(), message.header("x"), message.payload()), (None, None, &b""[..]));
        client.flush().await?;
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        assert!(matches!(events.next().await, Some(Event::MalformedMessage)));
        assert!(matches!(events.next().await, Some(Event::ServerError(text)) if text.starts_with("Permissions")));
        assert!(matches!(events.next().await, Some(Event::LameDuckMode)));
        assert_eq!(client.servers(), [ADDRESS, "10.0.0.9:1"]);
        assert!(messages.is_empty());
        Ok(())
    })
}

#[test]
fn answers_that_nobody_asked_for_end_the_connection() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let script: Script = Rc::new(|transport, data| {
            if data.starts_with(b"CONNECT") {
                transport.write(b"PONG\r\nPONG\r\n");
            }
        });
        let factory =
            move || Scripted { greeting: b"INFO {}\r\n".to_vec(), script: Rc::clone(&script) };
        event_loop.create_server(factory, ADDRESS).await?;
        let client = Options::new().max_reconnects(1).start(&event_loop, [ADDRESS])?;
        let mut events = client.events();
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        let Some(Event::Disconnected { error: Some(error) }) = events.next().await else {
            panic!()
        };
        assert!(error.is_protocol_violation());
        Ok(())
    })
}

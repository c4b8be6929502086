//! What others' users have reported, tried here. Each test names the report.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{Protocol, Result, Transport};

use super::super::*;
use super::broker::Broker;
use super::{ADDRESS, run};
use crate::codec::Decoder;
use crate::nats::codec::{HeaderBlock, Pub, Rule, ServerInfo, ServerOp, ServerOpDecoder};
use crate::nats::jetstream::{JetStream, Pull};

fn decode(stream: &[u8]) -> std::result::Result<Vec<String>, Rule> {
    let (mut decoder, mut input, mut ops) = (ServerOpDecoder::new(), stream, Vec::new());
    while let Some(op) = decoder.decode(&mut input).map_err(|error| error.rule)? {
        ops.push(format!("{op:?}"));
    }
    Ok(ops)
}

/// nats.rs#1612: four inputs that panic: a bare CR in a header's value, lengths near the largest number, an `-ERR`
/// without a text.
#[test]
fn malformed_messages_are_no_panics() {
    assert!(HeaderBlock::parse(b"NATS/1.0\r\nA: a\rb\r\n\r\n").is_err());
    let largest = format!("MSG a 1 {}\r\n", usize::MAX);
    assert!(matches!(decode(largest.as_bytes()), Err(Rule::PayloadLength { .. })));
    let largest = format!("HMSG a 1 {0} {0}\r\n", u64::MAX - 1);
    assert!(matches!(decode(largest.as_bytes()), Err(Rule::PayloadLength { .. })));
    assert_eq!(decode(b"-ERR\r\n"), Ok(vec!["Err([])".to_owned()]));
    assert_eq!(decode(b"-ERR '\r\n").map(|ops| ops.len()), Ok(1));
}

/// nats.ex#122: the status of an idle heartbeat could not be parsed. nats.go#738: one without a space was.
#[test]
fn statuses_of_headers() {
    let heartbeat =
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 3\r\n\r\n";
    let heartbeat = HeaderBlock::parse(heartbeat).unwrap();
    assert_eq!(
        (heartbeat.status(), heartbeat.get("Nats-Last-Stream")),
        (Some(100), Some(&b"3"[..]))
    );
    assert!(HeaderBlock::parse(b"NATS/1.0418\r\nExample: test\r\n\r\n").is_err());
}

/// nats.c#304: several spaces between arguments. nats.rs#167: headers without a payload.
#[test]
fn spaces_and_empty_payloads() {
    assert_eq!(decode(b"MSG _INBOX.x 1  2\r\nhi\r\n").map(|ops| ops.len()), Ok(1));
    let ops = decode(b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\nPING\r\n").unwrap();
    assert_eq!((ops.len(), ops[1].as_str()), (2, "Ping"));
}

/// nats.node#6: a size that is one too small: the client hung.
#[test]
fn a_wrong_size_is_an_error() {
    assert_eq!(decode(b"MSG a 2 9\r\n{foo:bar1}\r\n"), Err(Rule::PayloadEnd));
    assert_eq!(decode(b"MSG a 2 11\r\n{foo:bar1}\r\nMSG a 2 0\r\n\r\n"), Err(Rule::PayloadEnd));
}

/// nats.py2#19: an `INFO` of a large cluster was too long.
#[test]
fn an_info_of_a_large_cluster() {
    let members: Vec<_> =
        (0..1000).map(|number| format!("host-{number}.example.org:4222")).collect();
    let info = ServerInfo { connect_urls: members, ..ServerInfo::default() };
    let stream = [&b"INFO "[..], &info.to_json(), b"\r\n"].concat();
    let mut decoder = ServerOpDecoder::new();
    let Ok(Some(ServerOp::Info(json))) = decoder.decode(&mut &stream[..]) else { panic!() };
    assert_eq!(ServerInfo::from_json(json).unwrap().connect_urls.len(), 1000);
}

/// Breaks off in the middle of a message the first time, and is a server the second time.
struct Broken {
    count: Rc<Cell<u32>>,
}

impl Protocol for Broken {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"INFO {}\r\n");
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if data.starts_with(b"CONNECT") {
            transport.write(b"PONG\r\n");
            self.count.set(self.count.get() + 1);
            if self.count.get() == 1 {
                transport.write(b"MSG a 1 10\r\nhalf of\r");
                transport.close();
            } else {
                transport.write(b"MSG a 1 5\r\nwhole\r\n");
            }
        }
        Ok(())
    }
}

/// nats.java#191, nats.c#275: what was half received or sent on a lost connection went into the next one.
#[test]
fn halves_of_messages_end_with_their_connection() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let count = Rc::new(Cell::new(0));
        let counting = Rc::clone(&count);
        let factory = move || Broken { count: Rc::clone(&counting) };
        event_loop.create_server(factory, ADDRESS).await?;
        let client = Options::new().start(&event_loop, [ADDRESS])?;
        let mut messages = client.subscribe("a")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"whole");
        assert_eq!((messages.len(), count.get()), (0, 2));
        Ok(())
    })
}

/// nats.go#2063: after a change of the leader nobody pulled any more. nats.node#590, nats.rs#224: nor after a reconnect.
#[test]
fn a_consumer_pulls_again_after_a_change_of_the_leader_and_a_reconnect() -> Result {
    run(async |event_loop, broker: Broker| {
        let server = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let answering = server.clone();
        let pulls = Rc::new(Cell::new(0));
        let counting = Rc::clone(&pulls);
        server
            .subscription("$JS.API.CONSUMER.>")
            .on_message(move |request| {
                let reply = request.reply().unwrap().as_bytes();
                if request.subject().contains(".INFO.") {
                    answering.respond(&request, r#"{"stream_name":"S","name":"C"}"#).unwrap();
                    return;
                }
                counting.set(counting.get() + 1);
                let status = |block: &'static [u8]| Pub {
                    subject: reply,
                    headers: Some(block),
                    ..Pub::default()
                };
                let shared = &answering.inner.shared;
                match counting.get() {
                    1 => {
                        shared.publish(&status(b"NATS/1.0 409 Leadership Change\r\n\r\n")).unwrap();
                    }
                    2 => {
                        shared.publish(&status(b"NATS/1.0 503\r\n\r\n")).unwrap();
                    }
                    // Nothing: the heartbeats are missed.
                    3 => (),
                    // Lost with the connection.
                    4 => (),
                    _ => {
                        let message = Pub {
                            subject: reply,
                            reply: Some(b"$JS.ACK.S.C.1.1.1.0.0"),
                            payload: b"at last",
                            ..Pub::default()
                        };
                        shared.publish(&message).unwrap();
                    }
                }
            })?
            .detach();
        server.flush().await?;
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        let consumer = JetStream::new(&client).consumer("S", "C").await?;
        let pull = Pull::batch(10).times(Duration::from_secs(30), Duration::from_secs(5));
        let mut messages = consumer.messages(pull)?;
        let counted = Rc::clone(&pulls);
        let breaking = event_loop.create_task(async move {
            while counted.get() < 4 {
                wharf::sleep(Duration::from_millis(100)).await;
            }
            broker.drop_connections();
        });
        let message = messages.next().await?;
        assert_eq!((message.payload(), pulls.get()), (&b"at last"[..], 5));
        breaking.await?;
        Ok(())
    })
}

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

/// What a client with one address does with a server that answers each `CONNECT` with the given bytes.
fn meet(
    answer: impl Fn(&dyn Transport) + 'static,
    main: impl AsyncFnOnce(wharf::EventLoop, Options) -> Result + 'static,
) -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let script: Script = Rc::new(move |transport, data| {
            if data.starts_with(b"CONNECT") {
                transport.write(b"PONG\r\n");
                answer(transport);
            }
        });
        let factory =
            move || Scripted { greeting: b"INFO {}\r\n".to_vec(), script: Rc::clone(&script) };
        event_loop.create_server(factory, ADDRESS).await?;
        main(event_loop.clone(), Options::new().max_reconnects(1)).await
    })
}

async fn loss(client: &Client) -> wharf::Error {
    let mut events = client.events();
    loop {
        match events.next().await {
            Some(
                Event::Disconnected { error: Some(error) } | Event::Closed { error: Some(error) },
            ) => return error,
            Some(_) => (),
            None => panic!("it was not told"),
        }
    }
}

#[test]
fn pings_of_a_server_that_takes_no_answers_do_not_fill_the_memory() -> Result {
    meet(
        |transport| {
            transport.pause_reading();
            for _ in 0..100 {
                transport.write(&b"PING\r\n".repeat(10_000));
            }
        },
        async |event_loop, options| {
            let client = options.max_pending(100_000).start(&event_loop, [ADDRESS])?;
            let error = loss(&client).await;
            assert!(error.is_protocol_violation(), "{error:?}");
            Ok(())
        },
    )
}

#[test]
fn pings_of_a_server_that_takes_the_answers_are_all_answered() -> Result {
    meet(
        |transport| {
            for _ in 0..10 {
                transport.write(&b"PING\r\n".repeat(10_000));
            }
            transport.write(b"MSG a 1 0\r\n\r\n");
        },
        async |event_loop, options| {
            let client = options.start(&event_loop, [ADDRESS])?;
            let mut messages = client.subscribe("a")?;
            assert!(messages.next().await.is_some());
            assert_eq!(client.connections(), 1);
            Ok(())
        },
    )
}

#[test]
fn endless_infos_with_very_many_members_cost_no_more_than_their_bytes() -> Result {
    let addresses: Vec<_> = (0..9_000).map(|number| format!("\"{number:x}\"")).collect();
    let info = format!("INFO {{\"ldm\":true,\"connect_urls\":[{}]}}\r\n", addresses.join(","));
    assert!(info.len() > 50_000, "nearly as long as it may be");
    meet(
        move |transport| {
            for _ in 0..20 {
                transport.write(info.as_bytes());
            }
            transport.write(b"MSG a 1 0\r\n\r\n");
        },
        async |event_loop, options| {
            let client = options.start(&event_loop, [ADDRESS])?;
            let mut events = client.events();
            let mut messages = client.subscribe("a")?;
            assert!(messages.next().await.is_some());
            assert_eq!(client.servers().len(), 9_001);
            assert!(matches!(events.next().await, Some(Event::Connected { .. })));
            assert!(matches!(events.next().await, Some(Event::LameDuckMode)));
            client.close();
            assert!(matches!(events.next().await, Some(Event::Closed { .. })), "it is told once");
            Ok(())
        },
    )
}

#[test]
fn a_flood_of_long_messages_to_a_slow_subscriber_is_bounded_in_bytes() -> Result {
    const LONG: usize = 64 * 1024;
    let flood = |transport: &dyn Transport| {
        let message =
            [format!("MSG a 1 {LONG}\r\n").as_bytes(), &vec![b'x'; LONG], b"\r\n"].concat();
        for _ in 0..100 {
            transport.write(&message);
        }
        transport.write(b"MSG b 2 0\r\n\r\n");
    };
    meet(flood, async |event_loop, options| {
        let client = options.start(&event_loop, [ADDRESS])?;
        let mut messages = client.subscription("a").capacity_bytes(10 * LONG).start()?;
        let mut last = client.subscribe("b")?;
        assert!(last.next().await.is_some());
        assert_eq!((messages.len(), messages.dropped()), (9, 91));
        while messages.try_next().is_some() {}
        Ok(())
    })?;
    // The connection is not read, until half of it is taken; each message comes.
    meet(flood, async |event_loop, options| {
        let client = options.start(&event_loop, [ADDRESS])?;
        let pausing = client.subscription("a").slow_consumer(SlowConsumer::Pause);
        let mut messages = pausing.capacity_bytes(10 * LONG).start()?;
        let mut last = client.subscribe("b")?;
        wharf::sleep(Duration::from_secs(10)).await;
        let mut count = 0;
        while count < 100 {
            assert!(messages.len() <= 11, "{}", messages.len());
            messages.next().await.unwrap();
            count += 1;
        }
        assert!(last.next().await.is_some());
        assert_eq!(messages.dropped(), 0);
        Ok(())
    })?;
    // One that is longer than the limit comes all the same.
    meet(flood, async |event_loop, options| {
        let client = options.start(&event_loop, [ADDRESS])?;
        let mut messages = client.subscription("a").capacity_bytes(1).start()?;
        assert_eq!(messages.next().await.unwrap().payload().len(), LONG);
        Ok(())
    })
}

#[test]
fn a_server_that_drops_each_connection_is_not_asked_without_a_pause() -> Result {
    let count = Rc::new(std::cell::Cell::new(0));
    let counting = Rc::clone(&count);
    meet(
        move |transport| {
            counting.set(counting.get() + 1);
            transport.close();
        },
        async move |event_loop, options| {
            let client = options.start(&event_loop, [ADDRESS])?;
            wharf::sleep(Duration::from_secs(60)).await;
            assert!((15..40).contains(&count.get()), "{}", count.get());
            client.close();
            Ok(())
        },
    )
}

#[test]
fn a_server_that_ends_anywhere_in_the_handshake_is_an_error_and_the_next_is_tried() -> Result {
    let stream = b"INFO {\"max_payload\":100}\r\nPONG\r\n";
    let info = stream.len() - 6;
    for end in 0..stream.len() {
        for does_abort in [false, true] {
            MemoryNetwork::new().event_loop().run(async move |event_loop| {
                let finish = move |transport: &dyn Transport| {
                    if does_abort { transport.abort() } else { transport.close() }
                };
                let script: Script = Rc::new(move |transport, data| {
                    if data.starts_with(b"CONNECT") {
                        transport.write(&stream[info..end.max(info)]);
                        finish(transport);
                    }
                });
                let factory = move || Ending {
                    bytes: &stream[..end.min(info)],
                    finish,
                    script: Rc::clone(&script),
                };
                event_loop.create_server(factory, ADDRESS).await?;
                let alone = Options::new().connect(&event_loop, [ADDRESS]).await;
                assert!(matches!(alone, Err(NatsError::Connection(_))), "{end}: {alone:?}");
                let broker = super::Broker::new();
                broker.listen(&event_loop, "10.0.0.2:4222").await?;
                let client = Options::new().connect(&event_loop, [ADDRESS, "10.0.0.2"]).await?;
                client.flush().await?;
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Sends a part of an `INFO`, and ends if that is all.
struct Ending<F> {
    bytes: &'static [u8],
    finish: F,
    script: Script,
}

impl<F: Fn(&dyn Transport) + 'static> Protocol for Ending<F> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(self.bytes);
        if !self.bytes.ends_with(b"\r\n") {
            (self.finish)(transport);
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        (self.script)(transport, data);
        Ok(())
    }
}

/// The same, whatever arrives with one read.
#[test]
fn single_bytes_are_as_good_as_any_others() -> Result {
    let stream = b"+OK\r\nPING\r\nHMSG a 1 b 18 21\r\nNATS/1.0\r\nA: b\r\n\r\nxyz\r\nINFO {}\r\nMSG a 1 2\r\n\r\n\r\n-ERR 'no'\r\n";
    for size in [1, 2, 3, stream.len()] {
        meet(
            move |transport| {
                let handle = transport.handle();
                wharf::EventLoop::current()
                    .unwrap()
                    .create_task(async move {
                        for part in stream.chunks(size) {
                            handle.write(part);
                            wharf::sleep(Duration::from_millis(1)).await;
                        }
                    })
                    .detach();
            },
            async |event_loop, options| {
                let client = options.start(&event_loop, [ADDRESS])?;
                let mut events = client.events();
                let mut messages = client.subscribe("a")?;
                let first = messages.next().await.unwrap();
                assert_eq!(
                    (first.reply(), first.header("A"), first.payload()),
                    (Some("b"), Some("b"), &b"xyz"[..])
                );
                assert_eq!(messages.next().await.unwrap().payload(), b"\r\n");
                assert!(matches!(events.next().await, Some(Event::Connected { .. })));
                assert!(matches!(events.next().await, Some(Event::ServerError(_))));
                Ok(())
            },
        )?;
    }
    Ok(())
}

#[test]
fn lengths_that_are_wrong_end_the_connection() -> Result {
    for bytes in [
        &b"HMSG a 1 70000 70000\r\n"[..],
        b"HMSG a 1 12 11\r\n",
        b"MSG a 1 8388609\r\n",
        b"MSG a 1 -1\r\n",
        b"MSG a 1 3\r\nlong\r\n",
        b"MSG a 1 18446744073709551616\r\n",
        b"MSG a 1\r\n",
        b"MSG a x 1\r\n",
        b"NONE\r\n",
    ] {
        meet(
            move |transport| {
                transport.write(bytes);
            },
            async |event_loop, options| {
                let client = options.start(&event_loop, [ADDRESS])?;
                let error = loss(&client).await;
                assert!(error.is_protocol_violation(), "{error:?}");
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// nats.go#572: a server that tells of no members, as one does that was just started, has none to tell of.
#[test]
fn members_that_are_known_are_kept_until_others_are_told() -> Result {
    for (infos, expected) in [
        (&b"INFO {\"connect_urls\":[\"10.0.0.9:1\"]}\r\nINFO {}\r\n"[..], "10.0.0.9:1"),
        (
            b"INFO {\"connect_urls\":[\"10.0.0.9:1\"]}\r\nINFO {\"connect_urls\":[\"10.0.0.8:1\"]}\r\n",
            "10.0.0.8:1",
        ),
    ] {
        meet(
            move |transport| {
                transport.write(infos);
                transport.write(b"MSG a 1 0\r\n\r\n");
            },
            async move |event_loop, options| {
                let client = options.start(&event_loop, [ADDRESS])?;
                client.subscribe("a")?.next().await.unwrap();
                assert_eq!(client.servers(), [ADDRESS, expected]);
                Ok(())
            },
        )?;
    }
    Ok(())
}

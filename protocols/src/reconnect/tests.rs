use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{Protocol, Result, Transport};

use super::*;

/// Ends each connection after so many bytes.
struct Server(usize);

impl Protocol for Server {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.0 = self.0.saturating_sub(data.len());
        if self.0 == 0 {
            transport.abort();
        }
        Ok(())
    }
}

struct Client;

impl Protocol for Client {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn text(state: &State) -> String {
    match state {
        State::Connecting { address, failures } => format!("connecting {address} {failures}"),
        State::Connected { address } => format!("connected {address}"),
        State::Waiting { .. } => "waiting".to_owned(),
        State::Closed { error } => format!("closed {}", error.is_some()),
    }
}

#[test]
fn the_next_address_is_taken_and_states_are_told() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.create_server(|| Server(3), "10.0.0.2:7").await?;
        let told = Rc::new(RefCell::new(Vec::new()));
        let telling = Rc::clone(&told);
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7", "10.0.0.2:7"], |_| Client)
            .on_state(move |state| telling.borrow_mut().push(text(state)))
            .start()?;
        let mut states = client.states();
        client.connected().await?.write(b"123");
        while !matches!(states.next().await, Some(State::Connected { .. })) {}
        while !matches!(states.next().await, Some(State::Connected { .. })) {}
        client.close();
        client.closed().await?;
        assert_eq!(
            *told.borrow(),
            [
                "connecting 10.0.0.1:7 0",
                "waiting",
                "connecting 10.0.0.2:7 1",
                "connected 10.0.0.2:7",
                "waiting",
                "connecting 10.0.0.1:7 0",
                "waiting",
                "connecting 10.0.0.2:7 1",
                "connected 10.0.0.2:7",
                "closed false",
            ]
        );
        assert!(matches!(states.next().await, Some(State::Closed { .. })));
        assert!(states.next().await.is_none());
        assert!(client.connected().await.is_err());
        assert!(client.connection().is_none());
        Ok(())
    })
}

#[test]
fn delays_grow_and_a_limit_ends_it() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let waited = Rc::new(RefCell::new(Vec::new()));
        let waiting = Rc::clone(&waited);
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7"], |_| Client)
            .backoff(Duration::from_secs(1), Duration::from_secs(4))
            .max_initial_failures(6)
            .jitter_seed(1)
            .on_state(move |state| {
                if let State::Waiting { delay, error } = state {
                    assert!(error.as_ref().is_some_and(|error| error.is_connect()));
                    waiting.borrow_mut().push(*delay);
                }
            })
            .start()?;
        let begin = event_loop.time();
        assert!(client.closed().await.is_err_and(|error| error.is_connect()));
        let waited = waited.borrow();
        assert_eq!(waited.len(), 5);
        for (delay, base) in waited.iter().zip([1, 2, 4, 4, 4]) {
            let base = Duration::from_secs(base);
            assert!(*delay >= base / 2 && *delay <= base, "{delay:?}");
        }
        assert!(event_loop.time() - begin >= waited.iter().sum::<Duration>());
        Ok(())
    })
}

/// Comes back at once when its server ends the connection.
struct Loyal(Attempt);

impl Protocol for Loyal {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        self.0.reconnect_at_once();
        Ok(())
    }
}

/// Says that it restarts.
struct Restarts;

impl Protocol for Restarts {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"I restart");
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_server_that_restarts_is_asked_again_at_once_but_once() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.create_server(|| Restarts, "10.0.0.1:7").await?;
        let factory = |attempt: &Attempt| Loyal(attempt.clone());
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7"], factory).start()?;
        let (mut states, mut told) = (client.states(), Vec::new());
        while told.last().is_none_or(|last| last != "waiting") {
            told.extend(states.next().await.map(|state| text(&state)));
        }
        // The first is told as the present one, and when it begins.
        told.dedup();
        let address = "10.0.0.1:7";
        let (connecting, connected) =
            (format!("connecting {address} 0"), format!("connected {address}"));
        assert_eq!(told, [&*connecting, &connected, &connecting, &connected, "waiting"]);
        Ok(())
    })
}

#[test]
fn an_address_may_be_that_of_a_unix_socket() -> Result {
    let directory = std::env::temp_dir().join(format!("wharf-reconnect-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("server");
    let outcome = wharf::run(async |event_loop| {
        event_loop.create_unix_server(|| Server(9), &path).await?;
        let address = format!("unix:{}", path.display());
        let factory = |attempt: &Attempt| {
            let unix = |address: &str| {
                Attempt { address: address.into(), ..attempt.clone() }.unix_address()
            };
            assert!(attempt.unix_address().is_some());
            assert_eq!(unix("unix:@name"), Some(wharf::UnixAddress::from_abstract_name("name")));
            for host in ["unix:7", "localhost:7", "unix:"] {
                assert_eq!(unix(host), None, "{host}");
            }
            Client
        };
        let client = Reconnecting::builder(&event_loop, [address], factory).start()?;
        assert!(
            client
                .connected()
                .await?
                .info()
                .peer_address()
                .is_some_and(|peer| peer.as_unix().is_some())
        );
        Ok(())
    });
    std::fs::remove_dir_all(&directory)?;
    outcome
}

/// Says that its handshake is done when something comes.
struct Greeted(Attempt);

impl Protocol for Greeted {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        self.0.established();
        self.0.established();
        Ok(())
    }
}

/// Ends the first connections, and greets in the others.
struct Greeter(Rc<Cell<u32>>);

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.0.set(self.0.get() + 1);
        if self.0.get() < 4 {
            transport.close();
        } else {
            transport.write(b"welcome");
        }
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_connection_without_its_handshake_is_a_failure() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let count = Rc::new(Cell::new(0));
        let counting = Rc::clone(&count);
        event_loop.create_server(move || Greeter(Rc::clone(&counting)), "10.0.0.1:7").await?;
        let failures = Rc::new(Cell::new(0));
        let seen = Rc::clone(&failures);
        let factory = move |attempt: &Attempt| {
            seen.set(attempt.failures());
            Greeted(attempt.clone())
        };
        let client =
            Reconnecting::builder(&event_loop, ["10.0.0.1:7"], factory).handshake(true).start()?;
        client.connected().await?;
        assert_eq!((count.get(), failures.get()), (4, 3));
        Ok(())
    })
}

#[test]
fn learned_addresses_are_tried_and_a_wait_can_be_cut_short() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.create_server(|| Server(1), "10.0.0.9:7").await?;
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7"], |_| Client)
            .backoff(Duration::from_secs(3600), Duration::from_secs(3600))
            .start()?;
        let mut states = client.states();
        while !matches!(states.next().await, Some(State::Waiting { .. })) {}
        client.learn_addresses(["10.0.0.9:7"]);
        assert_eq!(client.addresses(), ["10.0.0.1:7", "10.0.0.9:7"]);
        let begin = event_loop.time();
        client.reconnect_now();
        let connection = client.connected().await?;
        assert!(event_loop.time() - begin < Duration::from_secs(3600));
        // And from one connection to the next.
        client.reconnect_now();
        connection.wait_closed().await?;
        client.connected().await?;
        Ok(())
    })
}

#[test]
fn dropping_the_client_closes_it() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.create_server(|| Server(1), "10.0.0.1:7").await?;
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7"], |_| Client).start()?;
        let clone = client.clone();
        let connection = client.connected().await?;
        drop(client);
        wharf::yield_now().await;
        assert!(!connection.is_closing());
        drop(clone);
        connection.wait_closed().await?;
        // While it waits, too: nothing is left that the loop waits for.
        let client = Reconnecting::builder(&event_loop, ["10.0.0.2:7"], |_| Client).start()?;
        let mut states = client.states();
        while !matches!(states.next().await, Some(State::Waiting { .. })) {}
        drop(client);
        while states.next().await.is_some() {}
        Ok(())
    })
}

#[test]
fn no_address_is_an_error() -> Result {
    let event_loop = MemoryNetwork::new().event_loop();
    let none: [&str; 0] = [];
    assert!(Reconnecting::builder(&event_loop, none, |_| Client).start().is_err());
    Ok(())
}

/// Whoever waits for the client is told, whatever panics in it.
#[test]
fn a_panic_closes_the_client() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.set_exception_handler(|_, _| {});
        event_loop.create_server(|| Server(1), "10.0.0.1:7").await?;
        let addresses = ["10.0.0.1:7"];
        let factory = |_: &Attempt| -> Client { panic!("the factory") };
        let makers: [&dyn Fn() -> Result<Reconnecting<Client>, wharf::Error>; 3] = [
            &|| Reconnecting::builder(&event_loop, addresses, factory).start(),
            &|| {
                let builder = Reconnecting::builder(&event_loop, addresses, |_| Client);
                builder.configure(|_, _| panic!("the options")).start()
            },
            &|| {
                let builder = Reconnecting::builder(&event_loop, addresses, |_| Client);
                builder.on_state(|_| panic!("a callback")).start()
            },
        ];
        for make in makers {
            let client = make()?;
            let mut states = client.states();
            assert!(client.connected().await.is_err_and(|error| error.is_panic()));
            assert!(client.closed().await.is_err_and(|error| error.is_panic()));
            while states.next().await.is_some() {}
            assert!(client.state().is_closed());
            assert!(client.connection().is_none());
        }
        Ok(())
    })
}

/// A callback that holds the client is let go at the end.
#[test]
fn callbacks_are_dropped_at_the_end() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        event_loop.create_server(|| Server(1), "10.0.0.1:7").await?;
        let client = Reconnecting::builder(&event_loop, ["10.0.0.1:7"], |_| Client).start()?;
        let alive = Rc::new(());
        for late in [false, true] {
            let (held, kept) = (client.clone(), Rc::clone(&alive));
            client.on_state(move |_| {
                let _ = (&held, &kept);
            });
            if !late {
                client.connected().await?;
                client.close();
                client.closed().await?;
            }
        }
        assert_eq!(Rc::strong_count(&alive), 1);
        Ok(())
    })
}

/// Says good-bye when it is asked to, and then closes or not.
struct Polite {
    closes: bool,
}

impl Protocol for Polite {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"bye");
        if self.closes {
            transport.close();
        }
        Ok(())
    }
}

#[test]
fn shutdown_lets_the_protocol_say_good_bye() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let hearing = Rc::clone(&heard);
        let listen = async move |mut reader: wharf::StreamReader, _: wharf::StreamWriter| {
            while let Ok(said @ [_, ..]) = reader.read_chunk().await {
                hearing.borrow_mut().extend_from_slice(said);
            }
            Ok(())
        };
        let listen = Rc::new(listen);
        let serve = move |reader, writer| {
            let listen = Rc::clone(&listen);
            async move { listen(reader, writer).await }
        };
        event_loop.start_server(serve, "10.0.0.1:7").await?;
        for (closes, took) in [(true, 0), (false, 5)] {
            let client =
                Reconnecting::builder(&event_loop, ["10.0.0.1:7"], move |_| Polite { closes })
                    .start()?;
            client.connected().await?;
            let begin = event_loop.time();
            client.shutdown(Duration::from_secs(5)).await?;
            assert_eq!((event_loop.time() - begin).as_secs(), took);
            assert!(client.state().is_closed());
            // Once more changes nothing.
            client.shutdown(Duration::from_secs(5)).await?;
        }
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!(*heard.borrow(), b"byebye");

        // Without a connection it ends at once.
        let client = Reconnecting::builder(&event_loop, ["10.0.0.9:7"], |_| Client).start()?;
        client.shutdown(Duration::from_secs(5)).await?;
        Ok(())
    })
}

//! Connecting: section L of the guarantees.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Protocol, Result, TimeoutKind, Transport, WriteStatus};

use crate::serving::{
    Directory, Echo, LIMIT, Seen, Watcher, address, run, run_in_memory, run_on, until,
};

fn socket_address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A network where connects to these addresses hear nothing.
fn with_black_holes(addresses: &[&str]) -> EventLoop {
    let mut network = MemoryNetwork::new();
    for address in addresses {
        network = network.black_hole(socket_address(address));
    }
    network.event_loop()
}

/// The address a client is connected to.
fn peer(connection: &wharf::Connection<impl Protocol>) -> Option<SocketAddr> {
    connection.handle().info().peer_address().and_then(wharf::Address::as_ip)
}

// 214.
#[test]
fn addresses_are_not_looked_up() {
    let event_loop = EventLoop::builder().executor_threads(1).build().unwrap();
    run_on(&event_loop, async |event_loop| {
        let (release, blocked) = mpsc::channel::<()>();
        let busy = event_loop.run_in_executor(move || blocked.recv());
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let port = address(&server).port();
        // The only thread that could look anything up is busy.
        let by_name = event_loop.create_connection(|| Echo, ("localhost", port)).start();
        event_loop.create_connection(|| Echo, format!("127.0.0.1:{port}")).await?;
        event_loop.create_connection(|| Echo, ("127.0.0.1", port)).await?;
        event_loop.create_connection(|| Echo, address(&server)).await?;
        assert!(!by_name.done());
        release.send(())?;
        busy.await??;
        let connection = by_name.await?;
        assert_eq!(peer(&connection), Some(address(&server)));
        Ok(())
    });
}

// 214.
#[test]
fn an_ipv6_address_with_a_zone_is_looked_up() {
    let network = MemoryNetwork::new().host("fe80::1%eth0", ["fe80::1".parse().unwrap()]);
    network
        .event_loop()
        .run(async |event_loop| {
            let _server = event_loop.create_server(|| Echo, "[fe80::1]:7").await?;
            event_loop.create_connection(|| Echo, "[fe80::1%eth0]:7").await?;
            let unknown = event_loop.create_connection(|| Echo, "[fe80::1%eth9]:7").await;
            assert_eq!(unknown.unwrap_err().io_kind(), Some(ErrorKind::NotFound));
            Ok(())
        })
        .unwrap();
}

// 215.
#[test]
fn a_name_without_an_address_is_an_error_that_names_it() {
    let network = MemoryNetwork::new().host("empty.example", []);
    network
        .event_loop()
        .run(async |event_loop| {
            let error = event_loop.create_connection(|| Echo, "empty.example:7").await.unwrap_err();
            assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
            assert!(error.to_string().contains("empty.example"), "{error}");
            Ok(())
        })
        .unwrap();
}

// 215.
#[test]
fn a_name_that_cannot_be_resolved_is_an_error_that_names_it() {
    run(async |event_loop| {
        // No resolver is asked for a label that is too long.
        let name = format!("{}.invalid", "x".repeat(64));
        let to = (name.as_str(), 7);
        let error = event_loop.create_connection(|| Echo, to).await.unwrap_err();
        assert!(error.io_error().is_some(), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
        assert!(error.attempts().is_empty());
        Ok(())
    });
}

// 216.
#[test]
fn addresses_are_tried_in_order_until_one_answers() {
    run_in_memory(async |event_loop| {
        let _second = event_loop.create_server(|| Echo, "10.0.0.2:7").await?;
        let _third = event_loop.create_server(|| Echo, "10.0.0.3:7").await?;
        let list = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"];
        for delay in [None, Some(Duration::from_millis(250))] {
            let began = event_loop.time();
            let client =
                event_loop.create_connection(|| Echo, list).happy_eyeballs_delay(delay).await?;
            assert_eq!(peer(&client), Some(socket_address("10.0.0.2:7")));
            assert_eq!(event_loop.time(), began, "a refusal is not waited for");
        }
        Ok(())
    });
}

// 216.
#[test]
fn without_a_delay_the_next_address_waits_for_the_former_ones_failure() {
    let event_loop = with_black_holes(&["10.0.0.1:7"]);
    event_loop
        .run(async |event_loop| {
            let _server = event_loop.create_server(|| Echo, "10.0.0.2:7").await?;
            let began = event_loop.time();
            let error = event_loop
                .create_connection(|| Echo, ["10.0.0.1:7", "10.0.0.2:7"])
                .happy_eyeballs_delay(None)
                .await
                .unwrap_err();
            assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
            assert_eq!((event_loop.time() - began).as_secs(), 30);
            Ok(())
        })
        .unwrap();
}

// 216.
#[test]
fn a_factory_that_panics_fails_the_connect_and_closes_the_socket() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let list = [listener.local_addr()?, socket_address("127.0.0.1:1")];
        let factory = || -> Echo { panic!("no protocol today") };
        let error = event_loop.create_connection(factory, list).await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "no protocol today");
        let (mut accepted, _) = listener.accept()?;
        accepted.set_read_timeout(Some(LIMIT))?;
        assert_eq!(accepted.read(&mut [0; 1])?, 0);
        assert_eq!(event_loop.metrics().sources, 0);
        Ok(())
    });
}

// 217, 218.
#[test]
fn a_failed_connect_lists_every_address_with_its_error() {
    run(async |event_loop| {
        let refusing = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let error = event_loop.create_connection(|| Echo, refusing).await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(error.attempts().len(), 1);
        assert_eq!(error.attempts()[0].address, refusing);
        assert_eq!(error.attempts()[0].error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.attempts()[0].error.raw_os_error(), Some(111));

        // The same list also when the errors differ, and when they are alike.
        let broadcast = socket_address("255.255.255.255:7");
        let also = SocketAddr::from(([127, 0, 0, 2], refusing.port()));
        let list = [refusing, broadcast, also];
        let error = event_loop.create_connection(|| Echo, list).await.unwrap_err();
        let tried: Vec<SocketAddr> = error.attempts().iter().map(|tried| tried.address).collect();
        assert_eq!(tried, list);
        assert_ne!(error.attempts()[1].error.kind(), ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(list.iter().all(|address| text.contains(&address.to_string())), "{text}");
        assert!(!text.contains('\n'));
        Ok(())
    });
}

// 219.
#[test]
fn a_connect_that_hears_nothing_says_so_when_its_time_is_up() {
    let event_loop = with_black_holes(&["10.0.0.1:7", "10.0.0.2:7"]);
    event_loop
        .run(async |event_loop| {
            let list = ["10.0.0.1:7", "10.0.0.2:7"];
            let began = event_loop.time();
            let error = event_loop.create_connection(|| Echo, list).await.unwrap_err();
            assert!(error.is_timeout());
            assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
            let tried = error.attempts().iter();
            let tried: Vec<_> = tried.map(|tried| (tried.address, tried.error.kind())).collect();
            let silent = list.map(|text| (text.parse().unwrap(), ErrorKind::TimedOut));
            assert_eq!(tried, silent);
            assert_eq!((event_loop.time() - began).as_millis(), 30_000);
            assert_eq!(event_loop.metrics().sources, 0);

            let began = event_loop.time();
            let error = event_loop
                .create_connection(|| Echo, ["10.0.0.3:7", "10.0.0.1:7"])
                .timeout(Some(Duration::from_secs(2)))
                .await
                .unwrap_err();
            assert!(error.is_timeout());
            assert_eq!(error.attempts().len(), 2);
            assert_eq!(error.attempts()[0].address, socket_address("10.0.0.3:7"));
            assert_eq!((event_loop.time() - began).as_millis(), 2_000);
            Ok(())
        })
        .unwrap();
}

// 219.
#[test]
fn without_a_timeout_a_connect_waits_until_it_is_cancelled() {
    let event_loop = with_black_holes(&["10.0.0.1:7"]);
    event_loop
        .run(async |event_loop| {
            let connecting = event_loop.create_connection(|| Echo, "10.0.0.1:7").timeout(None);
            let connecting = connecting.start();
            event_loop.sleep(Duration::from_secs(86_400)).await;
            assert!(!connecting.done());
            assert!(connecting.cancel());
            assert!(connecting.await.unwrap_err().is_cancelled());
            event_loop.sleep(Duration::ZERO).await;
            assert_eq!(event_loop.metrics().sources, 0);
            Ok(())
        })
        .unwrap();
}

// 220, 224.
#[test]
fn an_address_that_does_not_answer_costs_the_delay_and_no_more() {
    let event_loop = with_black_holes(&["10.0.0.1:7", "10.0.0.2:7"]);
    event_loop
        .run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "10.0.0.4:7").await?;
            // One silent, one silent, one that refuses: the last is started right after it.
            let list = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7", "10.0.0.4:7"];
            for (delay, expected) in [(250, 500), (1_000, 2_000), (1, 20)] {
                let began = event_loop.time();
                let client = event_loop
                    .create_connection(|| Echo, list)
                    .happy_eyeballs_delay(Some(Duration::from_millis(delay)))
                    .await?;
                assert_eq!((event_loop.time() - began).as_millis(), expected);
                assert_eq!(peer(&client), Some(socket_address("10.0.0.4:7")));
            }
            let began = event_loop.time();
            event_loop.create_connection(|| Echo, ["10.0.0.1:7", "10.0.0.4:7"]).await?;
            assert_eq!((event_loop.time() - began).as_millis(), 250, "by default");
            // What is left: the server, and four connections of two ends each.
            until(&event_loop, "four connections", || server.connections() == 4).await;
            assert_eq!(event_loop.metrics().sources, 9);
            Ok(())
        })
        .unwrap();
}

/// An address where connects hear nothing: a listener whose backlog is full.
#[cfg(target_os = "linux")]
fn silent_listener() -> std::io::Result<(SocketAddr, TcpListener, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&listener, 0)?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(client);
    }
    Ok((address, listener, waiting))
}

// 220, 224.
#[cfg(target_os = "linux")]
#[test]
fn on_a_real_network_too_a_silent_address_is_overtaken_and_its_socket_closed() {
    run(async |event_loop| {
        let (silent, _listener, _waiting) = silent_listener()?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let began = std::time::Instant::now();
        let client = event_loop.create_connection(|| Echo, [silent, address(&server)]).await?;
        assert!(began.elapsed() >= Duration::from_millis(250));
        assert_eq!(peer(&client), Some(address(&server)));
        until(&event_loop, "a connection", || server.connections() == 1).await;
        assert_eq!(event_loop.metrics().sources, 3, "a server, and a connection of two ends");

        let error = event_loop
            .create_connection(|| Echo, silent)
            .timeout(Some(Duration::from_millis(50)))
            .await
            .unwrap_err();
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
        assert_eq!(event_loop.metrics().sources, 3);
        Ok(())
    });
}

// 221.
#[test]
fn a_race_leaves_one_connection() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop
            .create_server(seen.watcher(), ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"])
            .await?;
        let list: Vec<SocketAddr> =
            server.addresses().iter().filter_map(wharf::Address::as_ip).collect();
        let client = event_loop
            .create_connection(|| Echo, list.clone())
            .happy_eyeballs_delay(Some(Duration::from_millis(10)))
            .await?;
        assert_eq!(peer(&client), Some(list[0]));
        event_loop.sleep(Duration::from_millis(50)).await;
        assert_eq!(server.connections(), 1);
        assert_eq!(seen.made.get(), 1);
        Ok(())
    });
}

// 222.
#[cfg(target_os = "linux")]
#[test]
fn dropping_a_connect_closes_every_socket_of_it() {
    run(async |event_loop| {
        let (first, _listener, _waiting) = silent_listener()?;
        let (second, _other, _others) = silent_listener()?;
        let before = event_loop.metrics();
        let connecting = event_loop
            .create_connection(|| Echo, [first, second])
            .happy_eyeballs_delay(Some(Duration::from_millis(10)))
            .start();
        until(&event_loop, "both attempts", || event_loop.metrics().sources == 2).await;
        assert!(!connecting.done());
        drop(connecting);
        until(&event_loop, "the end", || event_loop.metrics().tasks == before.tasks).await;
        assert_eq!(event_loop.metrics().sources, 0);
        Ok(())
    });
}

// 222.
#[test]
fn a_connect_that_is_dropped_while_its_name_is_looked_up_connects_to_nobody() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
        let to = ("localhost", address(&server).port());
        drop(event_loop.create_connection(|| Echo, to).start());
        // The pool's threads take their work in turn: this name is looked up after that one.
        event_loop.create_connection(|| Echo, to).await?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        event_loop.sleep(Duration::from_millis(20)).await;
        assert_eq!(seen.made.get(), 1);
        Ok(())
    });
}

// 223.
#[test]
fn families_take_turns_unless_told_otherwise() {
    let order = |count: Option<usize>| -> Vec<SocketAddr> {
        let list = ["[fd00::1]:7", "[fd00::2]:7", "[fd00::3]:7", "10.0.0.1:7", "10.0.0.2:7"];
        run_in_memory(async |event_loop| {
            let mut builder = event_loop.create_connection(|| Echo, list);
            if let Some(count) = count {
                builder = builder.interleave(count);
            }
            let error = builder.await.unwrap_err();
            Ok(error.attempts().iter().map(|attempt| attempt.address).collect())
        })
    };
    let addresses = |list: [&str; 5]| list.map(socket_address).to_vec();
    let in_turn =
        addresses(["[fd00::1]:7", "10.0.0.1:7", "[fd00::2]:7", "10.0.0.2:7", "[fd00::3]:7"]);
    assert_eq!(order(None), in_turn);
    assert_eq!(order(Some(1)), in_turn);
    assert_eq!(
        order(Some(2)),
        addresses(["[fd00::1]:7", "[fd00::2]:7", "10.0.0.1:7", "[fd00::3]:7", "10.0.0.2:7"])
    );
    assert_eq!(
        order(Some(0)),
        addresses(["[fd00::1]:7", "[fd00::2]:7", "[fd00::3]:7", "10.0.0.1:7", "10.0.0.2:7"])
    );
}

// 225.
#[test]
fn the_local_address_is_that_of_the_remote_addresss_family() {
    run(async |event_loop| {
        let peers = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&peers);
        let factory = move |info: &wharf::Info| {
            list.borrow_mut().extend(info.peer_address().and_then(wharf::Address::as_ip));
            Ok(Echo)
        };
        let server = event_loop.create_server_with(factory, "127.0.0.1:0").await?;
        let client = event_loop
            .create_connection(|| Echo, address(&server))
            .local_address(socket_address("[::1]:0"))
            .local_address(socket_address("127.0.0.3:0"))
            .local_address(socket_address("127.0.0.4:0"))
            .await?;
        until(&event_loop, "a connection", || !peers.borrow().is_empty()).await;
        let info = client.handle().info();
        let local = info.local_address().and_then(wharf::Address::as_ip).expect("an address");
        assert_eq!(local.ip().to_string(), "127.0.0.3");
        assert_eq!(*peers.borrow(), [local]);
        Ok(())
    });
}

// 225.
#[test]
fn remote_addresses_without_a_local_one_of_their_family_are_not_tried() {
    run_in_memory(async |event_loop| {
        let _server = event_loop.create_server(|| Echo, ["[fd00::1]:7", "10.0.0.1:7"]).await?;
        let client = event_loop
            .create_connection(|| Echo, ["[fd00::1]:7", "10.0.0.1:7"])
            .local_address(socket_address("10.0.0.9:0"))
            .await?;
        assert_eq!(peer(&client), Some(socket_address("10.0.0.1:7")));

        let error = event_loop
            .create_connection(|| Echo, "[fd00::1]:7")
            .local_address(socket_address("10.0.0.9:0"))
            .await
            .unwrap_err();
        assert!(error.is_invalid(), "{error}");
        assert!(error.to_string().contains("family"), "{error}");
        Ok(())
    });
}

// 225.
#[test]
fn a_local_address_in_use_is_named() {
    run(async |event_loop| {
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let local = taken.local_addr()?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let error = event_loop
            .create_connection(|| Echo, address(&server))
            .local_address(local)
            .await
            .unwrap_err();
        assert_eq!(error.attempts()[0].error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&local.to_string()), "{error}");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn what_is_no_address_fails_before_anything_is_connected() {
    run_in_memory(async |event_loop| {
        for text in ["", ":80", "*:80", "10.0.0.1", "::1:80", "10.0.0.1:http", "a/b:80"] {
            let seen = Seen::new();
            let list = ["10.0.0.1:7", text];
            let error = event_loop.create_connection(seen.watcher(), list).await.unwrap_err();
            assert!(error.is_invalid(), "{text}: {error}");
        }
        let nothing: [SocketAddr; 0] = [];
        let error = event_loop.create_connection(|| Echo, nothing).await.unwrap_err();
        assert!(error.is_invalid());
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_connect_is_done_after_connection_made() {
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let connecting = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").start();
        let made = Rc::new(RefCell::new(None));
        let (own, place) = (Rc::clone(&seen), Rc::clone(&made));
        connecting.add_done_callback(move |connected| {
            assert!(connected.is_ok());
            *place.borrow_mut() = Some(own.made.get());
        });
        let connection = connecting.await?;
        assert_eq!(*made.borrow(), Some(1));
        assert_eq!(connection.with(|watcher, _| watcher.0.made.get())?, 1);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_protocol_that_fails_in_connection_made_is_a_connection_that_ended() {
    struct Failing(Rc<Seen>);

    impl Protocol for Failing {
        fn connection_made(&mut self, _: &dyn Transport) -> Result {
            Err(std::io::Error::from(ErrorKind::PermissionDenied).into())
        }

        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.0.lost.borrow_mut().push(error.map(ToString::to_string));
            Ok(())
        }
    }

    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let own = Rc::clone(&seen);
        let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let connection = event_loop.create_connection(move || Failing(own), "10.0.0.1:7").await?;
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(*seen.lost.borrow(), [Some("permission denied".to_owned())]);
        assert!(connection.with(|_, _| ()).unwrap_err().is_closed());
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_unix_socket_that_cannot_be_connected_to_is_named() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let error = event_loop.create_unix_connection(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        drop(UnixListener::bind(&path)?);
        let error = event_loop.create_unix_connection(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_unix_server_whose_backlog_is_full_is_waited_for() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path)?;
        rustix::net::listen(&listener, 0)?;
        let _waiting = UnixStream::connect(&path)?;
        let impatient = event_loop
            .create_unix_connection(|| Echo, &path)
            .timeout(Some(Duration::from_millis(50)));
        let error = impatient.await.unwrap_err();
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));

        let patient = event_loop.create_unix_connection(|| Echo, &path).start();
        event_loop.sleep(Duration::from_millis(20)).await;
        assert!(!patient.done());
        listener.accept()?;
        patient.await?;
        assert_eq!(event_loop.metrics().sources, 1);
        Ok(())
    });
}

// Beyond asyncio.
#[cfg(target_os = "linux")]
#[test]
fn a_unix_connection_knows_who_is_at_the_other_end() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let _server = event_loop.create_unix_server(|| Echo, &path).await?;
        let client = event_loop.create_unix_connection(|| Echo, &path).await?;
        let info = client.handle().info();
        let credentials = info.peer_credentials().expect("credentials");
        assert_eq!(credentials.process, Some(std::process::id().try_into()?));
        assert_eq!(credentials.user, rustix::process::getuid().as_raw());
        assert_eq!(
            info.peer_address().and_then(wharf::Address::as_unix_path),
            Some(path.as_path())
        );
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_connected_socket_from_elsewhere_is_taken_over() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        far.set_read_timeout(Some(LIMIT))?;
        // What came before is not lost.
        far.write_all(b"early")?;
        let seen = Seen::new();
        let client = event_loop.create_connection_on(seen.watcher(), socket).await?;
        client.with(|_, transport| transport.write(b"hello"))?;
        until(&event_loop, "what came early", || *seen.received.borrow() == b"early").await;
        let mut received = [0; 5];
        far.read_exact(&mut received)?;
        assert_eq!(&received, b"hello");
        client.handle().close();
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(far.read(&mut received)?, 0, "it was the only owner");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn an_accepted_socket_has_a_servers_defaults_and_a_clients_has_not() {
    const MUCH: usize = 20 * 1024 * 1024;

    run(async |event_loop| {
        let bytes = vec![0; MUCH];
        let (near, _far) = UnixStream::pair()?;
        let client = event_loop.create_connection_on(|| Watcher(Seen::new()), near).await?;
        for _ in 0..2 {
            assert_eq!(client.handle().write(&bytes), WriteStatus::AboveHighWater);
        }
        client.handle().abort();

        let (near, _far) = UnixStream::pair()?;
        let seen = Seen::new();
        let accepted = event_loop.connect_accepted_socket(seen.watcher(), near).await?;
        assert_eq!(accepted.handle().write(&bytes), WriteStatus::AboveHighWater);
        assert_eq!(accepted.handle().write(&bytes), WriteStatus::Closed);
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert!(seen.lost.borrow()[0].as_ref().is_some_and(|text| text.contains("write cap")));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_socket_that_is_no_connected_stream_is_refused() {
    run(async |event_loop| {
        let datagram = UdpSocket::bind("127.0.0.1:0")?;
        let error = event_loop.create_connection_on(|| Echo, datagram).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));

        let seen = Seen::new();
        let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let error = event_loop.create_connection_on(seen.watcher(), stream).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::NotConnected));
        assert_eq!(seen.made.get(), 0);
        assert_eq!(event_loop.metrics().sources, 0);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_loop_in_memory_takes_no_connected_socket_of_the_system() {
    run_in_memory(async |event_loop| {
        let (near, mut far) = UnixStream::pair()?;
        let error = event_loop.create_connection_on(|| Echo, near).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        assert_eq!(far.read(&mut [0; 1])?, 0, "it is closed");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn on_a_closed_loop_nothing_is_connected() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.close().unwrap();
    let connecting = event_loop.create_connection(|| Echo, "127.0.0.1:7").start();
    assert!(connecting.take_result().expect("done").unwrap_err().is_closed());
}

// Beyond asyncio.
#[cfg(target_os = "linux")]
#[test]
fn closing_the_loop_ends_connects_that_are_under_way() {
    let (silent, _listener, _waiting) = silent_listener().unwrap();
    let event_loop = EventLoop::new().unwrap();
    let seen = Seen::new();
    let connecting = run_on(&event_loop, async |event_loop| {
        let connecting = event_loop.create_connection(seen.watcher(), silent).start();
        until(&event_loop, "an attempt", || event_loop.metrics().sources == 1).await;
        Ok(connecting)
    });
    event_loop.close().unwrap();
    assert!(connecting.cancelled());
    assert_eq!(event_loop.metrics().sources, 0);
    assert_eq!(seen.made.get(), 0);
}

//! What servers are bound to: section K of the guarantees.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use wharf::{EventLoop, Result, Server, Transport};

use crate::loops::network;
use crate::needs::{ipv6, loopbacks};
use crate::serving::{Echo, LIMIT, Seen, address, own_host, run, run_in_memory, until};
use crate::sockets::uninterrupted;

fn addresses(server: &Server) -> Vec<SocketAddr> {
    server.addresses().iter().filter_map(wharf::Address::as_ip).collect()
}

/// Checks that a client is served at `to`, and sees the server there.
async fn check_echo(event_loop: &EventLoop, to: SocketAddr) -> Result {
    let seen = Seen::new();
    let client = event_loop.create_connection(seen.watcher(), to).await?;
    let peer = client.handle().info().peer_address().and_then(wharf::Address::as_ip);
    assert_eq!(peer, Some(to));
    client.with(|_, transport| transport.write(b"hello"))?;
    until(event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
    client.handle().close();
    Ok(())
}

// 208, 209.
#[test]
fn no_host_is_all_interfaces_of_both_families_on_one_port() {
    if !ipv6() {
        return;
    }
    for text in [":0", "*:0"] {
        run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, text).await?;
            let bound = addresses(&server);
            let port = bound[0].port();
            assert_ne!(port, 0);
            let all = [
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            ];
            assert_eq!(bound, all);
            check_echo(&event_loop, (Ipv4Addr::LOCALHOST, port).into()).await?;
            check_echo(&event_loop, (Ipv6Addr::LOCALHOST, port).into()).await
        });
    }
}

// 208.
#[test]
fn a_list_of_addresses_is_listened_on_each_once() {
    run(async |event_loop| {
        let free = TcpListener::bind((own_host(), 0))?.local_addr()?;
        let list = [free.to_string(), free.to_string(), "127.0.0.2:0".to_owned()];
        let server = event_loop.create_server(|| Echo, list).await?;
        let bound = addresses(&server);
        assert_eq!(bound.len(), 2);
        assert_eq!(bound[0], free);
        for to in bound {
            check_echo(&event_loop, to).await?;
        }
        Ok(())
    });
}

// 208.
#[test]
fn a_name_is_resolved_and_every_address_of_it_listened_on() {
    let network =
        network().host("both.example", ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
    network
        .event_loop()
        .run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "both.example:7").await?;
            let expected: [SocketAddr; 2] = ["10.0.0.1:7".parse()?, "[fd00::1]:7".parse()?];
            assert_eq!(addresses(&server), expected);
            for to in expected {
                check_echo(&event_loop, to).await?;
            }
            Ok(())
        })
        .unwrap();
}

// 209.
#[test]
fn an_ipv6_listener_takes_no_ipv4_clients() {
    if !ipv6() {
        return;
    }
    run(async |event_loop| {
        // Somebody else may listen on the same port of IPv4.
        let (server, _bound) = loop {
            let server = event_loop.create_server(|| Echo, "[::]:0").await?;
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            let same = SocketAddr::from((Ipv4Addr::LOCALHOST, address(&server).port()));
            match socket.bind(&same.into()) {
                Ok(()) => break (server, socket),
                Err(_) => server.close(),
            }
        };
        let port = address(&server).port();
        check_echo(&event_loop, (Ipv6Addr::LOCALHOST, port).into()).await?;
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

// 210.
#[test]
fn an_address_can_be_bound_again_while_former_connections_linger() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let to = address(&server);
        let mut client = TcpStream::connect(to)?;
        client.set_read_timeout(Some(LIMIT))?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        // The server's end closes first, and lingers in TIME_WAIT.
        server.close_clients();
        server.close();
        server.wait_closed().await?;
        assert_eq!(uninterrupted(|| client.read(&mut [0; 1]))?, 0);
        drop(client);

        let strict = event_loop.create_server(|| Echo, to).reuse_address(false).await;
        assert_eq!(strict.unwrap_err().io_kind(), Some(ErrorKind::AddrInUse));
        let server = event_loop.create_server(|| Echo, to).await?;
        check_echo(&event_loop, address(&server)).await
    });
}

// 210.
#[test]
fn several_servers_share_a_port_only_when_all_ask_for_it() {
    run(async |event_loop| {
        let first = event_loop.create_server(|| Echo, "127.0.0.1:0").reuse_port(true).await?;
        let to = address(&first);
        let alone = event_loop.create_server(|| Echo, to).await.unwrap_err();
        assert_eq!(alone.io_kind(), Some(ErrorKind::AddrInUse));
        let second = event_loop.create_server(|| Echo, to).reuse_port(true).await?;
        assert_eq!(address(&second), to);
        let mut clients = Vec::new();
        while first.connections() == 0 || second.connections() == 0 {
            assert!(clients.len() < 500, "one of them gets no connections");
            clients.push(TcpStream::connect(to)?);
            let count = clients.len();
            until(&event_loop, "it", || first.connections() + second.connections() == count).await;
        }
        Ok(())
    });
}

// 211.
#[test]
fn port_zero_is_one_free_port_for_all_addresses() {
    run(async |event_loop| {
        let families = loopbacks();
        for _ in 0..20 {
            let list = [&["127.0.0.2:0"][..], families].concat();
            let count = list.len();
            let server = event_loop.create_server(|| Echo, list).await?;
            let bound = addresses(&server);
            assert_eq!(bound.len(), count);
            assert!(bound.iter().all(|address| address.port() == bound[0].port()), "{bound:?}");
            server.close();
        }
        Ok(())
    });
}

// 211.
#[test]
fn the_port_of_one_address_is_not_taken_for_another_that_leaves_it_open() {
    run_in_memory(async |event_loop| {
        let list = ["10.0.0.1:0", "10.0.0.1:5000", "10.0.0.2:0"];
        let server = event_loop.create_server(|| Echo, list).await?;
        let ports: Vec<u16> = addresses(&server).iter().map(SocketAddr::port).collect();
        assert_eq!(ports[1], 5000);
        assert_ne!(ports[0], 5000);
        assert_eq!(ports[0], ports[2]);
        Ok(())
    });
}

/// An address that no machine has: TEST-NET-1 of RFC 5737.
const NOT_OURS: &str = "192.0.2.1:0";

// 212.
#[test]
fn an_address_that_the_machine_does_not_have_is_skipped_if_another_can_be_bound() {
    run(async |event_loop| {
        let list = [NOT_OURS, "127.0.0.1:0"];
        let server = event_loop.create_server(|| Echo, list).await?;
        assert_eq!(addresses(&server).len(), 1);
        check_echo(&event_loop, address(&server)).await?;

        let error = event_loop.create_server(|| Echo, NOT_OURS).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrNotAvailable));
        assert!(format!("{error:#}").contains(NOT_OURS), "{error}");
        Ok(())
    });
}

// 212.
#[test]
fn an_address_in_use_is_named_and_nothing_stays_bound() {
    run(async |event_loop| {
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let free = TcpListener::bind((own_host(), 0))?.local_addr()?;
        let in_use = taken.local_addr()?;
        let error = event_loop.create_server(|| Echo, [free, in_use]).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(format!("{error:#}").contains(&in_use.to_string()), "{error}");
        assert_eq!(TcpListener::bind(free)?.local_addr()?, free);
        assert_eq!(event_loop.statistics().sources, 0);
        Ok(())
    });
}

// 212.
#[test]
fn a_path_that_cannot_be_bound_is_named() {
    run(async |event_loop| {
        let missing = std::env::temp_dir().join("wharf-no-such-directory").join("socket");
        let error = event_loop.create_unix_server(|| Echo, &missing).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
        assert!(format!("{error:#}").contains("wharf-no-such-directory"), "{error}");

        let long = std::env::temp_dir().join("x".repeat(200));
        let error = event_loop.create_unix_server(|| Echo, &long).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        Ok(())
    });
}

// 213.
#[test]
fn what_is_no_address_fails_before_anything_is_bound() {
    run_in_memory(async |event_loop| {
        for text in ["", "127.0.0.1", "::1:80", "[::1]", "127.0.0.1:http", "a b:80", ":70000"] {
            let list = ["10.0.0.1:7", text];
            let error = event_loop.create_server(|| Echo, list).await.unwrap_err();
            assert!(error.is_invalid(), "{text}: {error}");
            assert!(!format!("{error:#}").contains('\n'));
        }
        let nothing: Vec<SocketAddr> = Vec::new();
        let error = event_loop.create_server(|| Echo, nothing).await.unwrap_err();
        assert!(error.is_invalid());
        event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        Ok(())
    });
}

// 213.
#[test]
fn a_name_that_nobody_knows_is_named_in_the_error() {
    run_in_memory(async |event_loop| {
        let error = event_loop.create_server(|| Echo, "nowhere.example:7").await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
        assert!(format!("{error:#}").contains("nowhere.example"), "{error}");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn dropping_the_future_of_a_server_gives_up() {
    run(async |event_loop| {
        let free = TcpListener::bind((own_host(), 0))?.local_addr()?;
        drop(event_loop.create_server(|| Echo, free).start());
        drop(event_loop.create_server(|| Echo, ("localhost", free.port())).start());
        event_loop.sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(event_loop.statistics().sources, 0);
        assert!(TcpStream::connect(free).is_err());

        event_loop.create_server(|| Echo, free).start().detach();
        let mut client = loop {
            match TcpStream::connect(free) {
                Ok(client) => break client,
                Err(_) => event_loop.sleep(std::time::Duration::from_millis(1)).await,
            }
        };
        client.write_all(b"x")?;
        until(&event_loop, "a byte", || event_loop.statistics().bytes_received == 1).await;
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn in_memory_any_address_can_be_listened_on_and_is_taken_once() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "203.0.113.9:80").await?;
        check_echo(&event_loop, "203.0.113.9:80".parse()?).await?;
        let taken = event_loop.create_server(|| Echo, "203.0.113.9:80").await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        server.close();
        event_loop.create_server(|| Echo, "203.0.113.9:80").await?;
        let all = event_loop.create_server(|| Echo, ":90").await?;
        assert_eq!(addresses(&all).len(), 2);
        check_echo(&event_loop, "203.0.113.9:90".parse()?).await?;
        check_echo(&event_loop, "[2001:db8::9]:90".parse()?).await
    });
}

//! From what the caller gives to addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crate::loops::network;
use crate::serving::{Echo, Seen, address, run, run_in_memory, run_on};

use super::peer;

/// Whatever is looked up is led astray: names that look like addresses are other hosts.
// 214.
#[test]
fn addresses_are_not_looked_up() {
    let astray = || ["192.0.2.9".parse().unwrap()];
    let network =
        network().host("127.0.0.1", astray()).host("::1", astray()).host("localhost", astray());
    run_on(&network.event_loop(), async |event_loop| {
        for host in ["127.0.0.1", "::1"] {
            let server = event_loop.create_server(|| Echo, (host, 0)).await?;
            let (to, port) = (address(&server), address(&server).port());
            assert_eq!(to.ip(), host.parse::<IpAddr>()?);
            let text = to.to_string();
            for connection in [
                event_loop.create_connection(|| Echo, text.as_str()).await?,
                event_loop.create_connection(|| Echo, (host, port)).await?,
                event_loop.create_connection(|| Echo, to).await?,
            ] {
                assert_eq!(peer(&connection), Some(to));
            }
            let by_name = event_loop.create_connection(|| Echo, ("localhost", port)).await;
            assert_eq!(by_name.unwrap_err().io_kind(), Some(ErrorKind::ConnectionRefused));
        }
        Ok(())
    });
}

// 214.
#[test]
fn addresses_are_connected_to_while_names_are_looked_up() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let port = address(&server).port();
        let by_name = event_loop.create_connection(|| Echo, ("localhost", port)).start();
        event_loop.create_connection(|| Echo, format!("127.0.0.1:{port}")).await?;
        event_loop.create_connection(|| Echo, ("127.0.0.1", port)).await?;
        event_loop.create_connection(|| Echo, address(&server)).await?;
        assert_eq!(peer(&by_name.await?), Some(address(&server)));
        Ok(())
    });
}

// 214.
#[test]
fn an_ipv6_address_with_a_zone_is_looked_up() {
    let network = network().host("fe80::1%eth0", ["fe80::1".parse().unwrap()]);
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
    let network = network().host("empty.example", []);
    network
        .event_loop()
        .run(async |event_loop| {
            let error = event_loop.create_connection(|| Echo, "empty.example:7").await.unwrap_err();
            assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
            assert!(format!("{error:#}").contains("empty.example"), "{error}");
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
        assert!(format!("{error:#}").contains(&name), "{error}");
        assert!(error.attempts().is_empty());
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

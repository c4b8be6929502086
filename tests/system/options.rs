//! Socket options: whether they are really set, on both sides, as the system sees it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::SockRef;
use wharf::{Keepalive, Transport};

use crate::needs::{loopbacks, missing};
use crate::process::alone;
use crate::serving::{Echo, Seen, address, run, until};

/// The socket of this process with these addresses; `None` where the system does not let us look.
fn find_socket(local: SocketAddr, peer: SocketAddr) -> Option<OwnedFd> {
    let address = |address: std::io::Result<socket2::SockAddr>| address.ok()?.as_socket();
    crate::sockets::find_socket(|socket| {
        address(socket.local_addr()) == Some(local) && address(socket.peer_addr()) == Some(peer)
    })
}

/// The two ends of a connection to a server with these options by a client with the same.
fn both_ends(
    listen: &'static str,
    check: impl Fn(SockRef<'_>, &str),
    options: Option<fn(&mut Options)>,
) {
    run(async |event_loop| {
        let mut set = Options::default();
        if let Some(options) = options {
            options(&mut set);
        }
        let seen = Seen::new();
        let mut server = event_loop.create_server(seen.watcher(), listen).nodelay(set.nodelay);
        if let Some(keepalive) = set.keepalive {
            server = server
                .keepalive(keepalive)
                .send_buffer_size(set.buffer)
                .receive_buffer_size(set.buffer)
                .reset_on_close(true)
                .ttl(set.ttl)
                .tos(set.tos);
        }
        let server = server.await?;
        let mut client =
            event_loop.create_connection(|| Echo, address(&server)).nodelay(set.nodelay);
        if let Some(keepalive) = set.keepalive {
            client = client
                .keepalive(keepalive)
                .send_buffer_size(set.buffer)
                .receive_buffer_size(set.buffer)
                .reset_on_close(true)
                .ttl(set.ttl)
                .tos(set.tos);
        }
        let client = client.await?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        let info = client.handle().info();
        let ip = |address: Option<&wharf::Address>| address.and_then(wharf::Address::as_ip);
        let (Some(near), Some(far)) = (ip(info.local_address()), ip(info.peer_address())) else {
            panic!("a TCP connection has addresses");
        };
        for (side, local, peer) in [("client", near, far), ("server", far, near)] {
            match find_socket(local, peer) {
                Some(socket) => check(SockRef::from(&socket), side),
                None => missing("pidfd_getfd(2)"),
            }
        }
        Ok(())
    });
}

struct Options {
    nodelay: bool,
    keepalive: Option<Keepalive>,
    buffer: usize,
    ttl: u32,
    tos: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodelay: true, keepalive: None, buffer: 50_000, ttl: 33, tos: 0x10 }
    }
}

// 210.
#[test]
fn by_default_nodelay_is_set_on_both_sides_and_keepalive_is_not() {
    alone("options::by_default_nodelay_is_set_on_both_sides_and_keepalive_is_not", || {
        both_ends(
            "127.0.0.1:0",
            |socket, side| {
                assert!(socket.tcp_nodelay().unwrap(), "{side}");
                assert!(!socket.keepalive().unwrap(), "{side}");
                assert_eq!(socket.linger().unwrap(), None, "{side}");
            },
            None,
        );
        both_ends(
            "127.0.0.1:0",
            |socket, side| assert!(!socket.tcp_nodelay().unwrap(), "{side}"),
            Some(|options| options.nodelay = false),
        );
    });
}

const KEEPALIVE: Keepalive =
    Keepalive::new().time(Duration::from_secs(70)).interval(Duration::from_secs(7)).retries(3);

// 210.
#[test]
fn every_socket_option_is_set_on_both_sides() {
    alone("options::every_socket_option_is_set_on_both_sides", || {
        for &listen in loopbacks() {
            let check = |socket: SockRef<'_>, side: &str| {
                assert!(socket.tcp_nodelay().unwrap(), "{side}");
                assert!(socket.keepalive().unwrap(), "{side}");
                assert_eq!(socket.tcp_keepalive_time().ok(), KEEPALIVE.time, "{side}");
                assert_eq!(socket.tcp_keepalive_interval().ok(), KEEPALIVE.interval, "{side}");
                assert_eq!(socket.tcp_keepalive_retries().ok(), KEEPALIVE.retries, "{side}");
                // Linux counts its own overhead in.
                assert_eq!(socket.send_buffer_size().unwrap(), 100_000, "{side}");
                assert_eq!(socket.recv_buffer_size().unwrap(), 100_000, "{side}");
                assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO), "{side}");
                let (hops, class) = if listen.starts_with('[') {
                    (socket.unicast_hops_v6().unwrap(), socket.tclass_v6().unwrap())
                } else {
                    (socket.ttl_v4().unwrap(), socket.tos_v4().unwrap())
                };
                assert_eq!((hops, class), (33, 0x10), "{side}, {listen}");
            };
            both_ends(listen, check, Some(|options| options.keepalive = Some(KEEPALIVE)));
        }
    });
}

#[cfg(linux_kernel)]
#[test]
fn a_connect_from_an_address_without_a_port_has_it_chosen_when_it_connects() {
    use nix::sys::socket::{getsockopt, sockopt::IpBindAddressNoPort};
    alone(
        "options::a_connect_from_an_address_without_a_port_has_it_chosen_when_it_connects",
        || {
            run(async |event_loop| {
                for &any_port in loopbacks() {
                    let server = event_loop.create_server(|| Echo, any_port).await?;
                    let client = event_loop
                        .create_connection(|| Echo, address(&server))
                        .local_address(any_port)
                        .await?;
                    let info = client.handle().info();
                    let near = info.local_address().and_then(wharf::Address::as_ip).expect("near");
                    assert_ne!(near.port(), 0);
                    match find_socket(near, address(&server)) {
                        Some(socket) => assert!(getsockopt(&socket, IpBindAddressNoPort)?),
                        None => missing("pidfd_getfd(2)"),
                    }
                }
                Ok(())
            });
        },
    );
}

//! Every option of servers and connections, read back from the sockets: those that come from
//! elsewhere, those of Unix, and what is about listening.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use socket2::{SockAddr, SockRef};
use wharf::{EventLoop, Keepalive, ServerBuilder, TransportHandle};

use crate::needs::{loopbacks, missing};
use crate::process::alone;
use crate::serving::{Echo, Seen, address, run, until};
use crate::sockets::find_socket;

/// As the kernel counts it, its own overhead in.
const BUFFER: usize = 50_000;

const KEEPALIVE: Keepalive =
    Keepalive::new().time(Duration::from_secs(70)).interval(Duration::from_secs(7)).retries(3);

fn with_all(server: ServerBuilder) -> ServerBuilder {
    server
        .keepalive(KEEPALIVE)
        .send_buffer_size(BUFFER)
        .receive_buffer_size(BUFFER)
        .ttl(33)
        .tos(0x10)
}

fn check_all(socket: SockRef<'_>) {
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().ok(), KEEPALIVE.time);
    assert_eq!(socket.tcp_keepalive_interval().ok(), KEEPALIVE.interval);
    assert_eq!(socket.tcp_keepalive_retries().ok(), KEEPALIVE.retries);
    assert_eq!(socket.send_buffer_size().unwrap(), 2 * BUFFER);
    assert_eq!(socket.recv_buffer_size().unwrap(), 2 * BUFFER);
    let (hops, class) = if socket.local_addr().unwrap().is_ipv6() {
        (socket.unicast_hops_v6().unwrap(), socket.tclass_v6().unwrap())
    } else {
        (socket.ttl_v4().unwrap(), socket.tos_v4().unwrap())
    };
    assert_eq!((hops, class), (33, 0x10));
}

/// Says that the test ends early.
fn skip(what: &str) -> wharf::Result {
    missing(what);
    Ok(())
}

/// Accepts one connection, and gives the server's side of it to `check`.
async fn check_accepted(
    event_loop: &EventLoop,
    server: ServerBuilder,
    seen: &Rc<Seen>,
    client: impl FnOnce(SocketAddr) -> std::net::TcpStream,
    check: impl FnOnce(SockRef<'_>),
) -> wharf::Result {
    let server = server.await?;
    let client = client(address(&server));
    until(event_loop, "a connection", || seen.made.get() > 0).await;
    let (own, peer) = (client.peer_addr()?, client.local_addr()?);
    let is = |found: std::io::Result<SockAddr>, wanted: SocketAddr| {
        found.is_ok_and(|found| found.as_socket() == Some(wanted))
    };
    let found = find_socket(|socket| is(socket.local_addr(), own) && is(socket.peer_addr(), peer));
    match found {
        Some(socket) => check(SockRef::from(&socket)),
        None => missing("pidfd_getfd(2)"),
    }
    server.close();
    Ok(())
}

// 210.
#[test]
fn options_are_set_on_what_a_listener_from_elsewhere_accepts() {
    alone("socket_options::options_are_set_on_what_a_listener_from_elsewhere_accepts", || {
        run(async |event_loop| {
            for &listen in loopbacks() {
                for waits in [false, true] {
                    let listener = TcpListener::bind(listen)?;
                    let to = listener.local_addr()?;
                    // A connection can be there before the server is.
                    let early = waits.then(|| std::net::TcpStream::connect(to).unwrap());
                    let client =
                        |to| early.unwrap_or_else(|| std::net::TcpStream::connect(to).unwrap());
                    let seen = Seen::new();
                    let server = event_loop.create_server_on(seen.watcher(), [listener]);
                    check_accepted(&event_loop, with_all(server), &seen, client, check_all).await?;
                }
                // The default, and its opposite.
                for nodelay in [true, false] {
                    let listener = TcpListener::bind(listen)?;
                    SockRef::from(&listener).set_tcp_nodelay(!nodelay)?;
                    let seen = Seen::new();
                    let server = event_loop.create_server_on(seen.watcher(), [listener]);
                    let client = |to| std::net::TcpStream::connect(to).unwrap();
                    let check = |socket: SockRef<'_>| {
                        assert_eq!(socket.tcp_nodelay().unwrap(), nodelay);
                        assert!(!socket.keepalive().unwrap());
                    };
                    let server = server.nodelay(nodelay);
                    check_accepted(&event_loop, server, &seen, client, check).await?;
                }
            }
            Ok(())
        });
    });
}

// 210.
#[test]
fn options_that_the_system_refuses_are_told_before_anything_is_served() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let on = event_loop.create_server_on(|| Echo, [listener]).ttl(1000);
        let own = event_loop.create_server(|| Echo, "127.0.0.1:0").ttl(1000);
        for server in [on, own] {
            let error = server.await.unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::InvalidInput), "{error}");
        }
        assert_eq!(event_loop.statistics().sources, 0);
        Ok(())
    });
}

// 210.
#[test]
fn buffer_sizes_are_set_on_both_ends_of_a_unix_connection() {
    alone("socket_options::buffer_sizes_are_set_on_both_ends_of_a_unix_connection", || {
        run(async |event_loop| {
            let folder = std::env::temp_dir();
            let path = |name: &str| folder.join(format!("wharf-{name}-{}", std::process::id()));
            let (own, given) = (path("own"), path("given"));
            let seen = Seen::new();
            let listener = UnixListener::bind(&given)?;
            let servers = [
                event_loop.create_unix_server(seen.watcher(), &own),
                event_loop.create_server_on(seen.watcher(), [listener]),
            ];
            let mut kept = Vec::new();
            for (server, path) in servers.into_iter().zip([&own, &given]) {
                kept.push(server.send_buffer_size(40_000).receive_buffer_size(BUFFER).await?);
                let client = event_loop.create_unix_connection(|| Echo, path);
                let client = client.send_buffer_size(30_000).receive_buffer_size(BUFFER).await?;
                until(&event_loop, "a connection", || seen.made.get() == kept.len()).await;
                let address = SockAddr::unix(path)?;
                let is = |found: std::io::Result<SockAddr>| found.is_ok_and(|own| own == address);
                let is_connected = |socket: &SockRef<'_>| socket.peer_addr().is_ok();
                let ends = [
                    find_socket(|socket| is_connected(&socket) && is(socket.local_addr())),
                    find_socket(|socket| is(socket.peer_addr())),
                ];
                for (end, sent) in ends.into_iter().zip([80_000, 60_000]) {
                    let Some(end) = end else { return skip("pidfd_getfd(2)") };
                    let end = SockRef::from(&end);
                    let sizes = (end.send_buffer_size()?, end.recv_buffer_size()?);
                    // Linux has Unix sockets have a size, and use only the sender's.
                    assert_eq!(sizes, (sent, 2 * BUFFER));
                }
                drop(client);
            }
            for path in [own, given] {
                let _ = std::fs::remove_file(path);
            }
            Ok(())
        });
    });
}

fn listening(address: SocketAddr) -> Option<OwnedFd> {
    find_socket(|socket| {
        socket.is_listener().unwrap_or(false)
            && socket.local_addr().is_ok_and(|own| own.as_socket() == Some(address))
    })
}

// 210.
#[test]
fn what_is_about_listening_is_set_on_the_listener() {
    alone("socket_options::what_is_about_listening_is_set_on_the_listener", || {
        run(async |event_loop| {
            for &listen in loopbacks() {
                for on in [true, false] {
                    let server = event_loop.create_server(|| Echo, listen);
                    let server = server.reuse_address(on).reuse_port(!on).await?;
                    let Some(listener) = listening(address(&server)) else {
                        return skip("pidfd_getfd(2)");
                    };
                    let listener = SockRef::from(&listener);
                    assert_eq!(listener.reuse_address()?, on);
                    assert_eq!(listener.reuse_port()?, !on);
                    if listen.starts_with('[') {
                        assert!(listener.only_v6()?, "both families can share a port");
                    }
                    assert!(listener.nonblocking()?);
                    server.close();
                }
            }
            Ok(())
        });
    });
}

// 210.
#[test]
fn backlog_is_how_many_connections_wait() {
    alone("socket_options::backlog_is_how_many_connections_wait", || {
        run(async |event_loop| {
            for backlog in [1, 7, 40] {
                let server = event_loop.create_server(|| Echo, "127.0.0.1:0").backlog(backlog);
                let server = server.start_serving(false).await?;
                // It is shown as the listener's second queue.
                let output = std::process::Command::new("ss").args(["-Hltn"]).output();
                let Ok(output) = output else { return skip("ss(8)") };
                let table = String::from_utf8_lossy(&output.stdout).into_owned();
                let shown = address(&server).to_string();
                let row = table.lines().find(|row| row.contains(&shown)).expect("the listener");
                let limit = row.split_ascii_whitespace().nth(2);
                assert_eq!(limit, Some(&*backlog.to_string()), "{row}");
                server.close();
            }
            Ok(())
        });
    });
}

// 210.
#[test]
fn options_are_set_on_connections_from_elsewhere() {
    alone("socket_options::options_are_set_on_connections_from_elsewhere", || {
        run(async |event_loop| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let socket = std::net::TcpStream::connect(listener.local_addr()?)?;
            let same = socket.try_clone()?;
            let made = event_loop.create_connection_on(|| Echo, socket);
            let connection = made
                .keepalive(KEEPALIVE)
                .send_buffer_size(BUFFER)
                .receive_buffer_size(BUFFER)
                .ttl(33)
                .tos(0x10)
                .await?;
            check_all(SockRef::from(&same));
            let handle: &TransportHandle = connection.handle();
            wharf::Transport::abort(handle);
            Ok(())
        });
    });
}

//! What is said of connections: their info after any end, and the texts of errors.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use wharf::{
    Address, Error, EventLoop, Info, LoopFuture, Protocol, Result, Transport, UnixAddress,
};

use crate::loops::{memory_loop, system_loop};
use crate::serving::{Directory, Echo, Seen, own_host, run, until};

/// Notes the info that it is told with `connection_lost`, and asks for none before.
struct Notes(Rc<RefCell<Option<Rc<Info>>>>);

impl Protocol for Notes {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        self.0.replace(Some(transport.info()));
        Ok(())
    }
}

fn reset(socket: impl std::os::fd::AsFd) {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("an option");
}

#[test]
fn both_addresses_are_known_after_a_reset_though_nobody_asked_before() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let to = listener.local_addr()?;
        // By an address, a socket from elsewhere, and a pipe that is a socket.
        for way in 0..3 {
            let noted = Rc::new(RefCell::new(None));
            let protocol = Notes(Rc::clone(&noted));
            let connection = match way {
                0 => event_loop.create_connection(|| protocol, to).await?,
                1 => event_loop.create_connection_on(|| protocol, TcpStream::connect(to)?).await?,
                _ => event_loop.connect_read_pipe(|| protocol, TcpStream::connect(to)?).await?,
            };
            let (peer, client) = listener.accept()?;
            reset(&peer);
            drop(peer);
            until(&event_loop, "the end", || noted.borrow().is_some()).await;
            let info = noted.take().expect("an info");
            assert_eq!(info.peer_address(), Some(&Address::from(to)), "{way}");
            assert_eq!(info.local_address(), Some(&Address::from(client)), "{way}");
            event_loop.sleep(Duration::ZERO).await;
            assert!(connection.handle().is_closing());
            assert_eq!(connection.handle().info(), info, "a handle goes on knowing it");
        }
        Ok(())
    });
}

#[test]
fn the_address_of_a_client_is_known_after_its_reset() {
    run(async |event_loop| {
        let noted = Rc::new(RefCell::new(None));
        let place = Rc::clone(&noted);
        let server = event_loop.create_server(move || Notes(Rc::clone(&place)), "127.0.0.1:0");
        let server = server.await?;
        let to = server.local_address().unwrap();
        let client = TcpStream::connect(&to)?;
        let address = Address::from(client.local_addr()?);
        until(&event_loop, "it", || server.connections() == 1).await;
        reset(&client);
        drop(client);
        until(&event_loop, "the end", || noted.borrow().is_some()).await;
        let info = noted.take().expect("an info");
        assert_eq!(info.peer_address(), Some(&address));
        assert_eq!(info.local_address(), Some(&to));
        Ok(())
    });
}

#[test]
fn handles_know_what_a_connection_was_whatever_it_was_and_however_it_ended() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let seen = Seen::new();
        let server = event_loop.create_unix_server(seen.watcher(), &path).await?;
        for aborts in [false, true] {
            let connection = event_loop.create_unix_connection(|| Echo, &path).await?;
            let handle = connection.handle().clone();
            if aborts {
                handle.abort();
            } else {
                handle.close();
            }
            until(&event_loop, "the end", || server.connections() == 0).await;
            let info = handle.info();
            assert_eq!(info.peer_address().and_then(Address::as_unix_path), Some(&*path));
            assert!(!cfg!(linux_kernel) || info.peer_credentials().is_some());
            let other = seen.handles.borrow_mut().pop().expect("a handle").info();
            assert_eq!(other.local_address().and_then(Address::as_unix_path), Some(&*path));
        }
        Ok(())
    });
    let event_loop = memory_loop();
    event_loop
        .run(async |event_loop| {
            let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
            let connection = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
            connection.handle().close();
            event_loop.sleep(Duration::from_secs(1)).await;
            assert!(connection.handle().info().peer_address().is_some());
            assert!(connection.handle().info().local_address().is_some());
            Ok(())
        })
        .expect("no error");
}

#[cfg(feature = "tls")]
#[test]
fn handles_know_what_tls_agreed_on_after_the_end() {
    let tls = crate::encryption::Tls::new(wharf::TlsVersion::Tls13);
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").tls(&tls.server).await?;
        let to = server.local_address().unwrap();
        let connection = event_loop.create_connection(|| Echo, to).tls(&tls.client).await?;
        connection.handle().close();
        until(&event_loop, "the end", || server.connections() == 0).await;
        assert!(connection.handle().info().tls().is_some());
        Ok(())
    });
}

#[test]
fn a_socket_that_is_connected_to_itself_is_refused() {
    run(async |event_loop| {
        // A port that is free, and stays so: no other test uses this host.
        let free = TcpListener::bind((own_host(), 0))?.local_addr()?;
        let connecting = event_loop.create_connection(|| Echo, free).local_address(free);
        let error = connecting.await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
        assert!(format!("{error:#}").contains("connected to itself"), "{error}");
        Ok(())
    });
}

#[cfg(feature = "tls")]
mod handshakes {
    use std::io::Read;

    use super::*;
    use crate::encryption::Tls;

    /// What a connect says whose peer does `what` with it during the handshake.
    async fn failing(
        event_loop: &EventLoop,
        tls: &Tls,
        what: fn(TcpStream) -> Option<TcpStream>,
    ) -> Result<(Error, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let connecting =
            event_loop.create_connection(|| Echo, ("localhost", port)).tls(&tls.client);
        let connecting = connecting.start();
        let meeting = move || listener.accept().map(|(peer, _)| what(peer));
        let kept = event_loop.run_in_executor(meeting).await??;
        let error = connecting.await.unwrap_err();
        drop(kept);
        Ok((error, format!("localhost (127.0.0.1:{port})")))
    }

    /// All that the client says first: nothing is unread or unsent when the connection ends.
    fn read_message(mut peer: &TcpStream) {
        let count = peer.read(&mut [0; 4096]).expect("a client's message");
        assert!(count > 0);
    }

    #[test]
    fn an_end_of_the_handshake_says_with_whom_it_was() {
        let tls = Tls::new(wharf::TlsVersion::Tls13);
        run(async |event_loop| {
            let ends: [fn(TcpStream) -> Option<TcpStream>; 2] = [
                |peer| {
                    read_message(&peer);
                    reset(&peer);
                    None
                },
                |peer| {
                    read_message(&peer);
                    None
                },
            ];
            for (end, kind) in ends.into_iter().zip([Some(ErrorKind::ConnectionReset), None]) {
                let (error, who) = failing(&event_loop, &tls, end).await?;
                let text = format!("{error:#}");
                assert!(
                    text.starts_with(&format!("the TLS handshake with {who} failed: ")),
                    "{text}"
                );
                assert!(error.is_connect(), "{text}");
                assert_eq!(error.io_kind(), kind, "{text}");
                assert_eq!(error.is_truncated(), kind.is_none(), "{text}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_handshake_that_takes_too_long_says_with_whom_it_was() {
        let tls = Tls::new(wharf::TlsVersion::Tls13);
        let client = tls.client.clone().handshake_timeout(Duration::from_millis(20));
        let tls = Tls { client, ..tls };
        run(async |event_loop| {
            let (error, who) = failing(&event_loop, &tls, Some).await?;
            let text = format!("{error:#}");
            assert!(text.starts_with(&format!("the TLS handshake with {who} failed: ")), "{text}");
            assert!(error.is_connect() && error.is_timeout(), "{text}");
            Ok(())
        });
    }

    #[test]
    fn a_server_says_that_it_was_the_handshake_that_broke() {
        let tls = Tls::new(wharf::TlsVersion::Tls13);
        run(async |event_loop| {
            let told = Rc::new(RefCell::new(Vec::new()));
            let list = Rc::clone(&told);
            let server = event_loop
                .create_server(|| Echo, "127.0.0.1:0")
                .tls(&tls.server)
                .on_accept_error(move |error| list.borrow_mut().push(format!("{error:#}")))
                .await?;
            let client = TcpStream::connect(server.local_address()?)?;
            let address = client.local_addr()?;
            until(&event_loop, "it", || server.connections() == 1).await;
            reset(&client);
            drop(client);
            until(&event_loop, "the error", || !told.borrow().is_empty()).await;
            let expected = format!("connection from {address}: the TLS handshake failed: ");
            assert!(told.borrow()[0].starts_with(&expected), "{told:?}");
            Ok(())
        });
    }
}

#[track_caller]
fn failure<T: 'static>(event_loop: &EventLoop, future: LoopFuture<T>) -> Error {
    match event_loop.run_until_complete(future).expect("the loop runs") {
        Ok(_) => panic!("it did not fail"),
        Err(error) => error,
    }
}

#[test]
fn what_is_in_an_errors_text_is_on_one_line() {
    let event_loop = system_loop();
    let directory = Directory::new();
    let path = directory.join("a\nb");
    let errors = [
        failure(&event_loop, event_loop.create_connection(|| Echo, ("a\nb", 80)).start()),
        failure(&event_loop, event_loop.create_server(|| Echo, ("a\r\nb\u{1b}[m", 80)).start()),
        failure(&event_loop, event_loop.create_unix_connection(|| Echo, path.clone()).start()),
        failure(&event_loop, event_loop.connect_read_fifo(|| Echo, path).start()),
        failure(&event_loop, event_loop.run_process("/a\nb").start()),
    ];
    for error in errors {
        let (shown, debug) = (format!("{error:#}"), format!("{error:?}"));
        assert!(!shown.contains(char::is_control) && !debug.contains(char::is_control), "{debug}");
        assert!(shown.contains("\\n"), "{shown}");
    }
    let network = memory_loop();
    let unknown = network.create_connection(|| Echo, ("a\nb", 80)).start();
    let unknown = network.run_until_complete(unknown).expect("the loop runs").unwrap_err();
    assert!(unknown.to_string().contains("a\\nb"), "{unknown}");
}

#[test]
fn an_empty_unix_path_is_refused() {
    struct Silent;
    impl wharf::DatagramProtocol for Silent {
        fn datagram_received(
            &mut self,
            _: &dyn wharf::DatagramTransport,
            _: &[u8],
            _: &Address,
        ) -> Result {
            Ok(())
        }
    }
    for event_loop in [system_loop(), memory_loop()] {
        event_loop
            .run(async |event_loop| {
                let refused = [
                    event_loop.create_unix_server(|| Echo, "").await.map(drop),
                    event_loop.create_unix_server(|| Echo, UnixAddress::unnamed()).await.map(drop),
                    event_loop.create_unix_connection(|| Echo, "").await.map(drop),
                    event_loop
                        .create_datagram_endpoint(|| Silent)
                        .local_unix_address("")
                        .await
                        .map(drop),
                    event_loop
                        .create_datagram_endpoint(|| Silent)
                        .peer_unix_address("")
                        .await
                        .map(drop),
                ];
                for outcome in refused {
                    let error = outcome.unwrap_err();
                    assert!(
                        error.is_invalid() && format!("{error:#}").contains("empty"),
                        "{error}"
                    );
                }
                Ok(())
            })
            .expect("no error");
    }
}

/// A server on a listener at `path`, which is closed again.
async fn serve_and_close(
    event_loop: &EventLoop,
    listener: UnixListener,
    cleanup: Option<bool>,
) -> Result {
    let mut server = event_loop.create_server_on(|| Echo, [listener]);
    if let Some(cleanup) = cleanup {
        server = server.cleanup_socket(cleanup);
    }
    server.await?.close();
    Ok(())
}

#[test]
fn the_path_of_a_listener_from_elsewhere_is_removed_if_it_still_is_its_own() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = &*directory.join("socket");
        let bind = || UnixListener::bind(path);
        serve_and_close(&event_loop, bind()?, None).await?;
        assert!(!path.exists(), "by default");
        serve_and_close(&event_loop, bind()?, Some(false)).await?;
        assert!(path.exists(), "as was asked for");
        std::fs::remove_file(path)?;

        // Another listens there by now, on a socket of its own.
        let first = bind()?;
        std::fs::remove_file(path)?;
        let second = bind()?;
        serve_and_close(&event_loop, first, None).await?;
        assert!(path.exists(), "it is another's");
        drop(second);
        std::fs::remove_file(path)?;

        // With connections, whose sockets have the path as well.
        let listener = bind()?;
        let _client = std::os::unix::net::UnixStream::connect(path)?;
        let _accepted = listener.accept()?;
        serve_and_close(&event_loop, listener, None).await?;
        assert!(!path.exists());
        Ok(())
    });
}

#[test]
fn a_successor_that_gives_up_leaves_its_predecessors_paths_alone() {
    run(async |event_loop| {
        let directory = Directory::new();
        let (path, control) = (directory.join("socket"), directory.join("control"));
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        let _offer = event_loop.offer_handover(&control, [("echo", &server)]).await?;
        let mut inherited = event_loop.take_over(&control).await?.ok_or("a predecessor")?;
        let listeners = inherited.take_listeners("echo");
        let successor = event_loop.create_server_on(|| Echo, listeners).await?;
        successor.close();
        drop(inherited);
        assert!(is_served(&event_loop, &path).await, "the predecessor goes on");
        // One that gets as far as to begin to say that it serves.
        for rounds in 0..6 {
            event_loop.sleep(Duration::from_millis(2)).await;
            let Ok(Some(mut inherited)) = event_loop.take_over(&control).await else { break };
            let listeners = inherited.take_listeners("echo");
            let successor = event_loop.create_server_on(|| Echo, listeners).await?;
            let serving = inherited.serving([("echo", &successor)]);
            for _ in 0..rounds {
                event_loop.sleep(Duration::ZERO).await;
            }
            drop(serving);
            successor.close();
            if server.is_closed() {
                break;
            }
            assert!(path.exists() && control.exists(), "after {rounds} rounds");
        }
        Ok(())
    });
}

async fn is_served(event_loop: &EventLoop, path: &Path) -> bool {
    event_loop.create_unix_connection(|| Echo, path).await.is_ok()
}

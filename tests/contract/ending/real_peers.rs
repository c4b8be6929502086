//! The ends of connections as a peer sees them that is no wharf: sockets of the standard library.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use wharf::{Keepalive, Protocol, Result, Timeout, Transport};

use crate::serving::{Seen, address, run, until};

const REPLY: usize = 2_000_000;

/// What a protocol does when it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Reply,
    Abort,
    Fail,
    Overflow,
}

struct Server(Does, Rc<Seen>);

impl Protocol for Server {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        if self.0 == Does::Overflow {
            transport.set_write_buffer_cap(Some(1000));
        }
        if !transport.is_closing() {
            // More than the system holds, where it is to be dropped.
            let len = if self.0 == Does::Reply { REPLY } else { 16 * REPLY };
            transport.write(&vec![1; len]);
        }
        match self.0 {
            Does::Reply => transport.close(),
            Does::Abort => transport.abort(),
            Does::Fail => return Err("no more".into()),
            Does::Overflow => drop(transport.write(b"one too many")),
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.1.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Has a client of its own thread talk with a server that does `does`.
fn with_client<T: Send + 'static>(
    does: Does,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    run(async |event_loop| {
        event_loop.set_exception_handler(|_, _| {});
        let seen = Seen::new();
        let own = Rc::clone(&seen);
        let server = move || Server(does, Rc::clone(&own));
        let server = event_loop.create_server(server, "127.0.0.1:0").await?;
        let address = address(&server);
        let client: JoinHandle<T> = thread::spawn(move || client(address));
        until(&event_loop, "the client's end", || client.is_finished()).await;
        assert_eq!(seen.lost(), 1);
        Ok(client.join().expect("a client"))
    })
}

// 62: a byte that comes after the close must not destroy what is still to be sent.
#[test]
fn a_reply_arrives_whole_though_its_reader_goes_on_talking() {
    let received = with_client(Does::Reply, |address| {
        let mut socket = TcpStream::connect(address).expect("a connection");
        socket.write_all(b"ask").expect("a question");
        // The delays are the subject: everything is written, and the server has closed.
        thread::sleep(Duration::from_millis(100));
        let mut buffer = vec![0; 65_536];
        let mut received = 0;
        while let Ok(count @ 1..) = socket.read(&mut buffer) {
            received += count;
            let _ = socket.write_all(b".");
            thread::sleep(Duration::from_millis(2));
        }
        received
    });
    assert_eq!(received, REPLY);
}

// 63, 68, 138: the peer can tell that it has not everything.
#[test]
fn output_that_is_dropped_ends_in_a_reset() {
    for does in [Does::Abort, Does::Fail, Does::Overflow] {
        let (outcome, len) = with_client(does, |address| {
            let mut socket = TcpStream::connect(address).expect("a connection");
            socket.write_all(b"ask").expect("a question");
            let mut all = Vec::new();
            let outcome = socket.read_to_end(&mut all).map_err(|error| error.kind());
            (outcome, all.len())
        });
        assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "{does:?}, after {len} bytes");
    }
}

// 62: and so does a deadline.
#[test]
fn a_peer_that_takes_nothing_is_reset_after_the_linger_deadline() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop
            .create_server(seen.watcher(), "127.0.0.1:0")
            .write_buffer_cap(None)
            .connection_timeout(Timeout::Linger, Some(Duration::from_millis(50)))
            .await?;
        let mut socket = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        let handle = seen.handles.borrow()[0].clone();
        handle.write(&vec![7; 16 * REPLY]);
        handle.close();
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(handle.write_buffer_size(), 0);
        assert_eq!(event_loop.statistics().lingering, 0);
        let outcome = socket.read_to_end(&mut Vec::new());
        assert_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
        Ok(())
    });
}

// 62: what is discarded is bounded.
#[test]
fn an_upload_that_nobody_wants_is_not_received_for_long() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
        let address = address(&server);
        let client = thread::spawn(move || {
            let mut socket = TcpStream::connect(address).expect("a connection");
            let mut sent = 0;
            loop {
                match socket.write(&[7; 65_536]) {
                    Ok(count) => sent += count,
                    Err(error) => return (sent, error.kind()),
                }
            }
        });
        until(&event_loop, "an upload", || !seen.received.borrow().is_empty()).await;
        let received = seen.received.borrow().len();
        seen.handles.borrow()[0].close();
        until(&event_loop, "the client's end", || client.is_finished()).await;
        let (sent, kind) = client.join().expect("a client");
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind), "{kind:?}");
        // What the buffers of both systems hold comes on top.
        assert!(sent < received + 64 * 1024 * 1024, "{sent} bytes, {received} of them wanted");
        Ok(())
    });
}

// 62: a server is over when its connections are, whatever lingers.
#[test]
fn nothing_waits_for_sockets_that_linger() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
        let socket = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        seen.handles.borrow()[0].write(b"unread");
        seen.handles.borrow()[0].close();
        server.close();
        server.wait_closed().await?;
        assert_eq!((event_loop.statistics().lingering, server.connections()), (1, 0));
        drop(socket);
        until(&event_loop, "the end", || event_loop.statistics().lingering == 0).await;
        Ok(())
    });
}

// 26: a peer that is still reading when the loop closes gets everything that was handed over.
#[test]
fn a_loop_that_closes_lets_a_peer_take_what_was_sent() {
    let event_loop = wharf::EventLoop::new().expect("a loop");
    let client = event_loop
        .run(async |event_loop| {
            let seen = Seen::new();
            let own = Rc::clone(&seen);
            let server = move || Server(Does::Reply, Rc::clone(&own));
            let server = event_loop.create_server(server, "127.0.0.1:0").await?;
            let address = address(&server);
            let client = thread::spawn(move || {
                let mut socket = TcpStream::connect(address).expect("a connection");
                socket.write_all(b"ask").expect("a question");
                let mut buffer = vec![0; 65_536];
                let mut received = 0;
                while let Ok(count @ 1..) = socket.read(&mut buffer) {
                    received += count;
                    let _ = socket.write_all(b".");
                    thread::sleep(Duration::from_millis(5));
                }
                received
            });
            until(&event_loop, "all handed over", || seen.lost() == 1).await;
            Ok(client)
        })
        .expect("no error");
    drop(event_loop);
    assert_eq!(client.join().expect("a client"), REPLY);
}

// 210. The system counts in seconds.
#[test]
fn keepalive_times_are_rounded_up() {
    run(async |event_loop| {
        for (asked, time) in [(1, 1), (400, 1), (1000, 1), (1001, 2), (2999, 3)] {
            let asked = Duration::from_millis(asked);
            let keepalive = Keepalive::new().time(asked).interval(asked).retries(3);
            let seen = Seen::new();
            let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
            let socket = TcpStream::connect(address(&server))?;
            let same = socket.try_clone()?;
            let connecting = event_loop.create_connection_on(seen.watcher(), socket);
            let connection = connecting.keepalive(keepalive).await?;
            let same = SockRef::from(&same);
            let time = Duration::from_secs(time);
            assert!(same.keepalive()?, "{asked:?}");
            assert_eq!(same.tcp_keepalive_time()?, time, "{asked:?}");
            assert_eq!(same.tcp_keepalive_interval()?, time, "{asked:?}");
            assert_eq!(same.tcp_keepalive_retries()?, 3, "{asked:?}");
            connection.handle().close();
            server.close();
        }
        Ok(())
    });
}

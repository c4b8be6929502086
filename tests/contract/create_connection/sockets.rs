//! Connected sockets from elsewhere.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use wharf::{Transport, WriteStatus};

use crate::serving::{Echo, LIMIT, Seen, Watcher, run, run_in_memory, until};
use crate::sockets::uninterrupted;

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
        assert_eq!(uninterrupted(|| far.read(&mut received))?, 0, "it was the only owner");
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
        assert_eq!(event_loop.statistics().sources, 0);
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
        assert_eq!(uninterrupted(|| far.read(&mut [0; 1]))?, 0, "it is closed");
        Ok(())
    });
}

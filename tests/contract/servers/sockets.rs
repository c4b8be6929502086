//! Listeners from elsewhere.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use crate::serving::{Directory, Echo, run, run_in_memory, until};

use super::check_echo;

// Beyond asyncio.
#[test]
fn a_listener_from_elsewhere_is_served_whatever_its_mode() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let to = tcp.local_addr()?;
        let waiting = TcpStream::connect(to)?;
        let listeners: [OwnedFd; 2] = [tcp.into(), UnixListener::bind(&path)?.into()];
        let server = event_loop.create_server_on(|| Echo, listeners).await?;
        assert_eq!(server.addresses().len(), 2);
        check_echo(&event_loop, &path).await?;
        until(&event_loop, "who waited", || server.connections() >= 1).await;
        drop(waiting);
        server.close();
        assert!(!path.exists(), "it goes with its server");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn who_connects_waits_while_a_duplicate_of_the_listener_is_open() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let address = server.local_address()?;
        let duplicates = server.duplicate_listeners()?;
        assert_eq!(duplicates.len(), server.addresses().len());
        server.close();
        assert!(server.duplicate_listeners()?.is_empty());
        let waiting = TcpStream::connect(address.as_ip().expect("TCP"))?;
        let successor = event_loop.create_server_on(|| Echo, duplicates).await?;
        until(&event_loop, "who waited", || successor.connections() == 1).await;
        drop(waiting);
        Ok(())
    });
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        assert!(server.duplicate_listeners().unwrap_err().is_unsupported());
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_socket_that_does_not_listen_is_refused() {
    run(async |event_loop| {
        let datagram = UdpSocket::bind("127.0.0.1:0")?;
        let error = event_loop.create_server_on(|| Echo, [datagram]).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let error = event_loop.create_server_on(|| Echo, [stream]).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_loop_in_memory_takes_no_sockets_of_the_system_and_touches_no_files() {
    run_in_memory(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let error = event_loop.create_server_on(|| Echo, [listener]).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");

        let directory = Directory::new();
        let path = directory.join("socket");
        std::fs::write(&path, b"precious")?;
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        check_echo(&event_loop, &path).await?;
        let taken = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        server.close();
        assert_eq!(std::fs::read(&path)?, b"precious");
        Ok(())
    });
}

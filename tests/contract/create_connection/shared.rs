//! Sockets from elsewhere of which somebody else has a descriptor, too: closing ours does not take the
//! open socket out of the poll.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use wharf::{Address, DatagramProtocol, DatagramTransport, EventLoop, Result, Transport};

use crate::probes::{is_child, run_in_child};
use crate::serving::{Echo, LIMIT, Seen, run, until};
use crate::sockets::uninterrupted;

/// What a socket that is closed here must not do any more, while `far` writes to it: have the loop
/// woken, or anything delivered.
async fn nothing_comes_of(event_loop: &EventLoop, mut write: impl FnMut() -> std::io::Result<()>) {
    let seen = Seen::new();
    let (near, mut other) = UnixStream::pair().expect("a pair");
    // It gets the place in the loop that the closed one had.
    let next = event_loop.create_connection_on(seen.watcher(), near).await.expect("a connection");
    // A new socket says at once that it can be written to.
    event_loop.sleep(std::time::Duration::from_millis(1)).await;
    let events = event_loop.statistics().events;
    for _ in 0..3 {
        write().expect("the socket is open still");
        event_loop.sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(event_loop.statistics().events, events, "the loop was woken for a closed transport");
    assert!(seen.received.borrow().is_empty());
    other.write_all(b"its own").expect("written");
    until(event_loop, "its own", || *seen.received.borrow() == b"its own").await;
    next.handle().abort();
    until(event_loop, "the end", || seen.lost() == 1).await;
}

// Beyond asyncio.
#[test]
fn a_socket_that_others_share_is_out_of_the_poll_when_its_transport_is_closed() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        let mut shared = ours.try_clone()?;
        let seen = Seen::new();
        let client = event_loop.create_connection_on(seen.watcher(), ours).await?;
        client.handle().abort();
        until(&event_loop, "the end", || seen.lost() == 1).await;
        nothing_comes_of(&event_loop, || far.write_all(b"late")).await;
        // Whoever shares it goes on with it.
        shared.set_nonblocking(false)?;
        shared.set_read_timeout(Some(LIMIT))?;
        let mut received = [0; 12];
        shared.read_exact(&mut received)?;
        assert_eq!(&received, b"latelatelate");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_shared_socket_can_be_brought_again_under_the_same_number() {
    // Other tests have hundreds of descriptors now and then: what number is free depends on them.
    if !is_child() {
        let name = "a_shared_socket_can_be_brought_again_under_the_same_number";
        let output = run_in_child(&format!("create_connection::shared::{name}"));
        assert!(output.status.success(), "{output:?}");
        return;
    }
    run(async |event_loop| {
        let (original, mut far) = UnixStream::pair()?;
        let mut numbers = Vec::new();
        for round in 1..=2 {
            let socket: OwnedFd = original.try_clone()?.into();
            numbers.push(socket.as_raw_fd());
            let seen = Seen::new();
            let client = event_loop.connect_accepted_socket(seen.watcher(), socket).await?;
            far.write_all(b"hello")?;
            until(&event_loop, "a greeting", || *seen.received.borrow() == b"hello").await;
            client.handle().abort();
            until(&event_loop, "the end", || seen.lost() == 1).await;
            assert_eq!(event_loop.statistics().sources, 0, "round {round}");
        }
        assert_eq!(numbers[0], numbers[1]);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_shared_socket_that_is_refused_is_out_of_the_poll() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        let _shared = ours.try_clone()?;
        let refused = event_loop.create_connection_on(|| Echo, ours).receive_descriptors(1).await;
        assert!(refused.unwrap_err().is_unsupported());
        nothing_comes_of(&event_loop, || far.write_all(b"late")).await;
        Ok(())
    });
}

struct Ignores;

impl DatagramProtocol for Ignores {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

// Beyond asyncio.
#[test]
fn a_shared_datagram_socket_is_out_of_the_poll_when_its_endpoint_is_closed() {
    run(async |event_loop| {
        let ours = UdpSocket::bind("127.0.0.1:0")?;
        let shared = ours.try_clone()?;
        let far = UdpSocket::bind("127.0.0.1:0")?;
        let to = ours.local_addr()?;
        let endpoint = event_loop.create_datagram_endpoint(|| Ignores).socket(ours).await?;
        endpoint.handle().close();
        until(&event_loop, "the end", || event_loop.statistics().sources == 0).await;
        nothing_comes_of(&event_loop, || far.send_to(b"late", to).map(drop)).await;
        shared.set_nonblocking(false)?;
        shared.set_read_timeout(Some(LIMIT))?;
        assert_eq!(uninterrupted(|| shared.recv(&mut [0; 16]))?, 4);
        Ok(())
    });
}

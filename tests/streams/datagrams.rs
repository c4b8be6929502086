//! Datagrams for async code.

use wharf::testing::MemoryNetwork;
use wharf::{DatagramTransport as _, DropPolicy, EventLoop, Result};

use super::{poll_once, settle};

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

#[test]
fn datagrams_are_received_whole_and_in_order() {
    run(async |event_loop| {
        let mut server = event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").await?;
        let client = event_loop.open_datagram_endpoint().peer_address("10.0.0.1:7").await?;
        let mut buffer = [0; 16];
        assert!(poll_once(server.recv_from(&mut buffer)).await.is_none());
        for data in [&b"one"[..], b"", b"three"] {
            client.send(data).await?;
        }
        let (count, from) = server.recv_from(&mut buffer).await?;
        assert_eq!(&buffer[..count], b"one");
        assert_eq!(from, client.local_address()?);
        assert_eq!(server.recv_from(&mut buffer).await?.0, 0, "an empty one counts");
        let (data, _) = server.next().await.unwrap()?;
        assert_eq!(data, b"three");
        client.send(b"a long datagram").await?;
        assert_eq!(server.recv_from(&mut buffer[..6]).await?.0, 6, "the rest is cut off");
        assert_eq!(&buffer[..6], b"a long");
        server.send_to(b"answer", &from).await?;
        let mut client = client;
        assert_eq!(client.recv_from(&mut buffer).await?.0, 6);
        client.send(b"waits").await?;
        settle(&event_loop).await;
        server.close();
        settle(&event_loop).await;
        assert_eq!(server.next().await.unwrap()?.0, b"waits", "what was received can be taken");
        assert!(server.next().await.is_none());
        assert!(server.send_to(b"x", &from).await.is_err_and(|error| error.is_closed()));
        Ok(())
    });
}

#[test]
fn datagrams_that_find_no_room_wait_in_the_system_or_are_dropped_as_is_chosen() {
    run(async |event_loop| {
        let client = event_loop.open_datagram_endpoint().local_address("10.0.0.1:8").await?;
        for (policy, expected) in [
            (DropPolicy::Refuse, &[0, 1, 2, 3, 4, 5][..]),
            (DropPolicy::Newest, &[0, 1]),
            (DropPolicy::Oldest, &[4, 5]),
        ] {
            let mut server =
                event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").await?;
            // Room for two.
            server.set_receive_queue(2 * (100 + 64), policy);
            let to = server.local_address()?;
            for number in 0..6 {
                client.send_to(&[number; 100], &to).await?;
            }
            settle(&event_loop).await;
            for number in expected {
                assert_eq!(server.next().await.unwrap()?.0, [*number; 100], "{policy:?}");
            }
            assert!(poll_once(server.next()).await.is_none());
            assert_eq!(server.dropped(), 6 - expected.len() as u64);
            drop(server);
            settle(&event_loop).await;
        }
        Ok(())
    });
}

#[test]
fn a_queue_that_is_to_drop_datagrams_from_now_on_waits_for_nobody() {
    run(async |event_loop| {
        for (policy, expected) in [(DropPolicy::Newest, [0, 1]), (DropPolicy::Oldest, [4, 5])] {
            let client = event_loop.open_datagram_endpoint().local_address("10.0.0.1:8").await?;
            let mut server =
                event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").await?;
            // Room for two, and the third waits in the system.
            server.set_receive_queue(2 * (100 + 64), DropPolicy::Refuse);
            let to = server.local_address()?;
            for number in 0..3 {
                client.send_to(&[number; 100], &to).await?;
                settle(&event_loop).await;
            }
            server.set_receive_queue(2 * (100 + 64), policy);
            for number in 3..6 {
                client.send_to(&[number; 100], &to).await?;
            }
            settle(&event_loop).await;
            assert_eq!(server.dropped(), 4, "{policy:?}");
            for number in expected {
                assert_eq!(server.next().await.unwrap()?.0, [number; 100], "{policy:?}");
            }
            drop((client, server));
            settle(&event_loop).await;
        }
        Ok(())
    });
}

#[test]
fn a_send_waits_while_too_much_waits_to_be_sent() {
    EventLoop::new()
        .unwrap()
        .run(async |event_loop| {
            // A Unix socket whose reader reads nothing becomes full.
            let (near, far) = std::os::unix::net::UnixDatagram::pair()?;
            let near = event_loop.open_datagram_endpoint().socket(near).await?;
            let mut sent = 0;
            while poll_once(near.send(&[7; 1000])).await.transpose()?.is_some() {
                sent += 1;
                settle(&event_loop).await;
                assert!(sent < 100_000, "it never waits");
            }
            assert!(near.transport().write_buffer_size() > 0);
            let reading = std::thread::spawn(move || {
                let mut buffer = [0; 2000];
                for _ in 0..=sent {
                    assert_eq!(far.recv(&mut buffer).unwrap(), 1000);
                }
            });
            near.send(&[7; 1000]).await?;
            event_loop.run_in_executor(move || reading.join().unwrap()).await?;
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_the_network_says_to_a_datagram_is_an_error_and_the_endpoint_goes_on() {
    EventLoop::new()
        .unwrap()
        .run(async |event_loop| {
            let nobody = std::net::UdpSocket::bind("127.0.0.1:0")?;
            let address = nobody.local_addr()?;
            drop(nobody);
            let mut client = event_loop.open_datagram_endpoint().peer_address(address).await?;
            client.send(b"anybody?").await?;
            let mut buffer = [0; 10];
            let error = client.recv_from(&mut buffer).await.unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused), "{error:#}");
            let server = std::net::UdpSocket::bind(address)?;
            client.send(b"hello").await?;
            // It goes out at the end of the round, and the next call waits for it.
            settle(&event_loop).await;
            let (count, from) = server.recv_from(&mut buffer)?;
            server.send_to(&buffer[..count], from)?;
            assert_eq!(client.recv_from(&mut buffer).await?.0, 5);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_queue_without_room_takes_datagrams_one_by_one() {
    run(async |event_loop| {
        let client = event_loop.open_datagram_endpoint().local_address("10.0.0.1:8").await?;
        let mut server = event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").await?;
        server.set_receive_queue(0, DropPolicy::Refuse);
        let to = server.local_address()?;
        for number in 0..3 {
            client.send_to(&[number], &to).await?;
        }
        for number in 0..3 {
            settle(&event_loop).await;
            let taken = poll_once(server.next()).await.expect("it waits in the system");
            assert_eq!(taken.unwrap()?.0, [number]);
        }
        Ok(())
    });
}

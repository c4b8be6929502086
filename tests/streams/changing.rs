//! From a protocol to a stream and back.

use wharf::testing::{MemoryNetwork, Record, stream_pair};
use wharf::{ByteStream, Error, ItemSender, Protocol, Result, Transport};

use super::settle;

/// Leaves its connection to a stream after the first line.
struct Switch(std::rc::Rc<std::cell::Cell<Option<ByteStream>>>);

impl Protocol for Switch {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let end = data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |end| end + 1);
        self.0.set(Some(ByteStream::take_over(transport, data[end..].to_vec())));
        Ok(())
    }
}

#[test]
fn a_stream_takes_a_protocols_connection_over_with_what_is_left() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let taken = std::rc::Rc::default();
            let place = std::rc::Rc::clone(&taken);
            event_loop
                .create_server(move || Switch(std::rc::Rc::clone(&place)), "10.0.0.1:7")
                .await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
            writer.write(b"first\nrest of it");
            settle(&event_loop).await;
            let mut stream: ByteStream = taken.take().expect("it was made");
            writer.write(b", and more");
            assert_eq!(stream.reader().read_exactly(20).await?, b"rest of it, and more");
            stream.writer().write_all(b"answer").await?;
            assert_eq!(reader.read_chunk().await?, b"answer");
            drop(stream);
            assert_eq!(reader.read_chunk().await?, b"");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_protocol_takes_a_stream_over_with_what_it_holds() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let (mut near, far) = stream_pair(&event_loop, 64 * 1024)?;
            far.writer().write(b"line\nheld");
            assert_eq!(near.reader().read_line().await?, Some("line"));
            let record = Record::new();
            let connection = near.into_protocol(record.protocol())?;
            far.writer().write(b" and more");
            record.until(|record| record.received() == b"held and more").await;
            connection.write(b"answer");
            let mut far = far;
            assert_eq!(far.reader().read_chunk().await?, b"answer");
            far.writer().write_eof();
            record.connection_lost().await;
            Ok(())
        })
        .unwrap();
}

#[cfg(feature = "tls")]
#[test]
fn what_a_stream_holds_comes_before_what_waits_behind_it_to_be_delivered() {
    let outcome = MemoryNetwork::new().event_loop().run(async |event_loop| {
        let tls = wharf_test_support::encryption::Tls::new(wharf::TlsVersion::Tls13);
        let (mut near, mut far) = stream_pair(&event_loop, 1 << 20)?;
        // From now on the stream is received in pieces.
        near.writer().write(&[0; 200_000]);
        far.reader().read_exactly(200_000).await?;
        let client = near.start_tls(tls.client.server_name("localhost"));
        let (client, server) = futures_lite::future::zip(client, far.start_tls(&tls.server)).await;
        client.and(server)?;
        // The first piece pauses reading, and what was decrypted with it has to wait.
        far.reader().set_limit(100);
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        near.writer().write(&sent);
        assert_eq!(far.reader().read_exactly(100).await?, &sent[..100]);
        settle(&event_loop).await;
        let record = Record::new();
        let _connection = far.into_protocol(record.protocol())?;
        record.until(|record| record.received().len() == sent.len() - 100).await;
        assert!(record.received() == sent[100..], "it came in another order");
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_stream_whose_protocol_is_replaced_says_so() {
    super::joined(async |event_loop, mut near, far| {
        let record = Record::new();
        near.writer().transport().set_protocol(Box::new(record.protocol()), Default::default());
        settle(&event_loop).await;
        assert!(near.reader().read_chunk().await.is_err_and(|error| error.is_replaced()));
        far.writer().write(b"to the protocol");
        record.until(|record| record.received() == b"to the protocol").await;
        drop(near);
        far.writer().write(b", still");
        record.until(|record| record.received() == b"to the protocol, still").await;
        let other = ByteStream::join(far.split().0, stream_pair(&event_loop, 10)?.0.split().1);
        let refused = other.into_protocol(record.protocol());
        assert!(refused.is_err_and(|error| error.is_invalid()), "two connections");
        Ok(())
    });
}

/// Each byte is an item.
struct Numbers(ItemSender<u8>);

impl Protocol for Numbers {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        for number in data {
            self.0.send(transport, *number);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.end(error);
        Ok(())
    }
}

#[test]
fn items_of_a_protocol_are_taken_in_order_and_slow_the_peer_down() {
    super::joined(async |event_loop, mut near, far| {
        let (sender, mut items) = event_loop.items(4);
        let connection = far.into_protocol(Numbers(sender))?;
        near.writer().write(&[1, 2]);
        for number in [1, 2] {
            assert_eq!(items.next().await.unwrap()?, number);
        }
        assert!(super::poll_once(items.next()).await.is_none(), "dropped, it loses nothing");
        near.writer().write(&[3, 4, 5, 6, 7]);
        settle(&event_loop).await;
        assert!(!connection.is_reading());
        near.writer().write(&[8]);
        settle(&event_loop).await;
        assert_eq!(items.len(), 5, "what comes in one read is taken");
        for number in 3..=5 {
            assert_eq!(items.next().await.unwrap()?, number);
        }
        assert!(connection.is_reading(), "half of them are taken");
        for number in 6..=8 {
            assert_eq!(items.next().await.unwrap()?, number);
        }
        near.writer().write(&[9]);
        settle(&event_loop).await;
        connection.write(&[0; 300_000]);
        near.writer().abort();
        assert_eq!(items.next().await.unwrap()?, 9, "what came before the error");
        assert!(items.next().await.unwrap().is_err());
        assert!(items.next().await.is_none());
        let _ = near.reader().read_chunk().await;
        Ok(())
    });
}

#[test]
fn items_that_nobody_takes_are_dropped_and_reading_goes_on() {
    super::joined(async |event_loop, near, far| {
        let (sender, items) = event_loop.items(2);
        let connection = far.into_protocol(Numbers(sender))?;
        near.writer().write(&[1, 2, 3]);
        settle(&event_loop).await;
        assert!(!connection.is_reading());
        drop(items);
        assert!(connection.is_reading());
        near.writer().write(&[4]);
        settle(&event_loop).await;
        assert!(!connection.with(|protocol, _| protocol.0.is_wanted())?);
        Ok(())
    });
}

/// As [`Numbers`], of several connections that share the sender.
struct Shared(std::rc::Rc<ItemSender<u8>>);

impl Protocol for Shared {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        for number in data {
            self.0.send(transport, *number);
        }
        Ok(())
    }
}

#[test]
fn a_queue_of_items_that_connections_share_slows_all_of_them_down() {
    let event_loop = MemoryNetwork::new().event_loop();
    let outcome = event_loop.run(async |event_loop| {
        let (sender, mut items) = event_loop.items(2);
        let sender = std::rc::Rc::new(sender);
        let mut ends = Vec::new();
        for _ in 0..3 {
            let (near, far) = stream_pair(&event_loop, 64 * 1024)?;
            let far = far.into_protocol(Shared(std::rc::Rc::clone(&sender)))?;
            ends.push((near, far));
        }
        for round in 0..2 {
            for (near, far) in &mut ends {
                near.writer().write(&[7, 7, 7]);
                settle(&event_loop).await;
                assert!(!far.is_reading(), "the queue is full");
            }
            assert_eq!(items.len(), 9, "round {round}");
            while !items.is_empty() {
                items.next().await.unwrap()?;
            }
            assert!(ends.iter().all(|(_, far)| far.is_reading()), "half of them are taken");
        }
        Ok(())
    });
    outcome.unwrap();
}

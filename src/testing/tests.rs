//! The parts for tests, tested.

use std::time::Duration;

use super::{
    Call, LeakGuard, MemoryNetwork, Misbehaving, Pump, Record, Recorder, check_protocol, settle,
};
use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::protocol::Protocol;
use crate::transport::Transport;

const MS: Duration = Duration::from_millis(1);

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

#[test]
fn between_the_protocols_of_a_pump_bytes_move_by_hand() {
    let record = Record::new();
    let mut pump = Pump::new(record.protocol(), Echo).unwrap();
    assert_eq!(record.calls(), [Call::ConnectionMade]);
    pump.first().write(b"abc");
    pump.advance(1000 * MS).unwrap();
    assert_eq!((pump.back(9).unwrap(), record.received()), (0, vec![]));
    assert_eq!(pump.forward(1).unwrap(), 1);
    assert_eq!(pump.step().unwrap(), 3, "`bc` there, and `a` back");
    assert_eq!(record.received(), b"a");
    pump.first().write_eof();
    assert_eq!(pump.settle().unwrap(), 2);
    let data = Call::DataReceived(b"abc".to_vec());
    let calls = [Call::ConnectionMade, data, Call::EofReceived, Call::ConnectionLost];
    assert_eq!(record.calls(), calls);
    assert!(pump.second().handle().is_closing() && record.error().is_none());
}

#[test]
fn a_recorder_sees_the_end_and_the_reset_of_its_protocol() {
    let mut recorder = Recorder::new(|| Echo).unwrap();
    recorder.receive(b"abc").unwrap();
    recorder.connection().close();
    assert_eq!(recorder.take_sent(2).unwrap(), b"ab");
    assert!(!recorder.is_ended(), "something is left");
    assert_eq!(recorder.sent().unwrap(), b"c");
    assert!(recorder.is_ended() && !recorder.is_reset());

    // What is done with its connection by hand counts, too.
    let mut recorder = Recorder::new(|| Echo).unwrap();
    recorder.connection().write(b"by hand");
    assert_eq!(recorder.sent().unwrap(), b"by hand");
    recorder.connection().pause_reading();
    recorder.receive(b"unread").unwrap();
    recorder.connection().abort();
    assert_eq!(recorder.sent().unwrap(), b"");
    assert!(recorder.is_reset() && !recorder.is_ended());
}

#[test]
fn a_pump_holds_what_finds_no_room_and_cuts_where_it_is() {
    let (near, far) = (Record::new(), Record::new());
    let mut pump = Pump::with_capacity(10, near.protocol(), far.protocol()).unwrap();
    pump.second().pause_reading();
    pump.first().write(&[7; 25]);
    assert_eq!(pump.settle().unwrap(), 10, "no more finds room");
    pump.second().resume_reading();
    assert_eq!(pump.settle().unwrap(), 15);
    assert_eq!(far.received(), [7; 25]);
    pump.first().write(b"lost");
    pump.cut().unwrap();
    assert_eq!(far.received(), [7; 25]);
    for record in [near, far] {
        let kind = record.error().and_then(|error| error.io_kind());
        assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_protocol_that_depends_on_how_its_input_is_split_is_found() {
    struct Chunks(usize);
    impl Protocol for Chunks {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
            self.0 += 1;
            // Wrong, unless there is one.
            if data.contains(&b'!') {
                transport.write(&[b'0' + self.0 as u8]);
            }
            Ok(())
        }
    }
    assert_eq!(check_protocol(b"!", || Chunks(0)).sent, b"1");
    let wrong = std::panic::catch_unwind(|| check_protocol(b"a!", || Chunks(0))).unwrap_err();
    let text = wrong.downcast_ref::<String>().expect("a text");
    assert!(text.contains("split into"), "{text}");
    let exchange = check_protocol(&[b'x'; 5000], || Echo);
    assert_eq!((exchange.sent.len(), exchange.is_closed), (5000, true));
}

/// What a client saw of a server that misbehaves, which it sends five bytes.
async fn meet(
    event_loop: &EventLoop,
    peer: Misbehaving,
    at: &str,
    address: &str,
) -> Result<Record> {
    let server = event_loop.create_server(move || peer.clone(), at).await?;
    let address = match address {
        "" => server.local_address()?.to_string(),
        address => address.to_owned(),
    };
    let record = Record::new();
    let client = event_loop.create_connection(record.factory(), address).await?;
    client.write(b"hello");
    server.close();
    Ok(record)
}

async fn every_peer_misbehaves(event_loop: EventLoop) -> Result {
    let at = "127.0.0.1:0";
    let reset = meet(&event_loop, Misbehaving::new().resets_after(3), at, "").await?;
    let error = reset.connection_lost().await.and_then(|error| error.io_kind());
    assert_eq!(error, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(reset.received(), b"", "what makes it a reset is not sent");

    let early = meet(&event_loop, Misbehaving::new().closes_after(0), at, "").await?;
    early.connection_lost().await;
    assert_eq!(early.received(), b"");

    let flood = meet(&event_loop, Misbehaving::new().floods(300_000), at, "").await?;
    flood.until(|record| record.received().len() == 300_000).await;
    assert!(!flood.is_lost());

    let slow = meet(&event_loop, Misbehaving::new().dribbles(b"abc", MS), at, "").await?;
    slow.until(|record| record.received() == b"abc").await;
    Ok(())
}

#[test]
fn peers_misbehave_over_loopback_in_memory_and_in_a_simulation() {
    let loops = [EventLoop::new().unwrap(), MemoryNetwork::new().event_loop()];
    for event_loop in loops {
        event_loop.run(every_peer_misbehaves).unwrap();
    }
    #[cfg(feature = "sim")]
    crate::sim::Simulation::new(1).host("one").run(every_peer_misbehaves).unwrap();
}

#[test]
fn one_peer_never_reads_and_another_stays_when_its_side_is_alone() {
    let event_loop = MemoryNetwork::new().event_loop();
    event_loop
        .run(async |event_loop| {
            let deaf = || Misbehaving::new().never_reads();
            let server = event_loop.create_server(deaf, "10.0.0.1:7").await?;
            let record = Record::new();
            let client = event_loop.create_connection(record.factory(), "10.0.0.1:7").await?;
            client.write(&[0; 200_000]);
            event_loop.sleep(1000 * MS).await;
            assert!(client.write_buffer_size() > 100_000);
            assert_eq!(record.count(|call| *call == Call::PauseWriting), 1);
            client.abort();
            server.close();

            let stays = || Misbehaving::new().keeps_open();
            let server = event_loop.create_server(stays, "10.0.0.1:8").await?;
            let record = Record::new();
            let client = event_loop.create_connection(record.factory(), "10.0.0.1:8").await?;
            client.write_eof();
            event_loop.sleep(60_000 * MS).await;
            assert!(!record.is_lost() && server.connections() == 1);
            client.abort();
            server.close();
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_a_test_has_left_is_named() {
    let event_loop = MemoryNetwork::new().event_loop();
    let first = event_loop.create_task(event_loop.sleep(1000 * MS));
    // It has its timer now.
    settle(&event_loop).unwrap();
    let guard = LeakGuard::new(&event_loop);
    guard.assert_nothing_is_left();
    let left = event_loop.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let client = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        let task = event_loop.create_task(event_loop.sleep(5000 * MS)).named("forgotten");
        let endpoint = event_loop.open_datagram_endpoint().local_address("10.0.0.1:9").await?;
        crate::yield_now().await;
        Ok((server, client, task, endpoint))
    });
    let (server, client, task, endpoint) = left.unwrap();
    let leaks = guard.check().unwrap_err();
    let text = leaks.to_string();
    for name in [
        "to 10.0.0.1:7, of wharf::testing::tests::Echo",
        "the listener at 10.0.0.1:7",
        "the task `forgotten`, spawned at src/testing/tests.rs",
        "timer",
        "a source (an endpoint of datagrams",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    server.close();
    client.abort();
    drop((task, endpoint));
    let settled = guard.check();
    assert_eq!(settled, Ok(()));
    drop(first);
}

#[test]
fn a_descriptor_that_was_left_is_named() {
    let event_loop = MemoryNetwork::new().event_loop();
    let guard = LeakGuard::new(&event_loop).with_descriptors();
    let (reader, _writer) = std::io::pipe().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let leaks = guard.check().unwrap_err();
    let wanted = format!("the descriptor {number}, ");
    assert!(leaks.names().iter().any(|name| name.starts_with(&wanted)), "{leaks}");
}

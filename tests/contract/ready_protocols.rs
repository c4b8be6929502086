//! The protocols that wharf brings: one that only pauses, and one that records.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::{Call, Record, Recorder};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Datagrams, Eof, PausedProtocol, Protocol, Result,
    Transport, relay,
};

use crate::loops::memory_loop;
use crate::running::Reports;
use crate::serving::{Echo, run, run_in_memory};

#[test]
fn a_paused_protocol_leaves_every_byte_to_its_successor() {
    let mut recorder = Recorder::new(PausedProtocol::new).unwrap();
    assert_eq!(recorder.receive(b"hello").unwrap(), 5);
    let record = Record::new();
    let handle = recorder.connection().handle().clone();
    assert!(!handle.is_reading());
    handle.set_protocol(Box::new(record.protocol()), Bytes::new());
    handle.resume_reading();
    recorder.receive(b" world").unwrap();
    assert_eq!(record.received(), b"hello world");
}

#[test]
fn a_paused_protocol_that_is_resumed_too_early_loses_nothing() {
    let mut recorder = Recorder::new(PausedProtocol::new).unwrap();
    recorder.receive(b"hello").unwrap();
    recorder.connection().handle().resume_reading();
    recorder.receive(b" world").unwrap();
    assert!(!recorder.connection().handle().is_reading(), "it pauses again");
    let record = Record::new();
    let handle = recorder.connection().handle().clone();
    handle.set_protocol(Box::new(record.protocol()), Bytes::new());
    handle.resume_reading();
    recorder.receive(b"!").unwrap();
    assert_eq!(record.received(), b"hello world!");
}

#[test]
fn a_paused_protocol_calls_its_action_once_with_the_transport() {
    run_in_memory(async |event_loop| {
        event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let proxied = Rc::new(RefCell::new(Vec::new()));
        let clients = Rc::clone(&proxied);
        let proxy = move || {
            let clients = Rc::clone(&clients);
            PausedProtocol::calling(move |client| {
                clients.borrow_mut().push(client.id());
                let client = client.handle();
                let event_loop = client.event_loop();
                let joining = async move {
                    let connecting =
                        client.event_loop().create_connection(PausedProtocol::new, "10.0.0.1:7");
                    relay(&client, &connecting.await?).await
                };
                event_loop.create_task(joining).detach();
                Ok(())
            })
        };
        event_loop.create_server(proxy, "10.0.0.1:8").await?;
        let record = Record::new();
        let client = event_loop.create_connection(record.factory(), "10.0.0.1:8").await?;
        client.handle().write(b"through the proxy");
        record.until(|record| record.received() == b"through the proxy").await;
        client.handle().write_eof();
        assert!(record.connection_lost().await.is_none());
        assert_eq!(proxied.borrow().len(), 1);
        Ok(())
    });
}

#[test]
fn an_error_of_a_paused_protocols_action_aborts_the_connection() {
    let recorder = Recorder::new(|| PausedProtocol::calling(|_| Err("no".into()))).unwrap();
    assert!(recorder.is_closing());
}

#[test]
fn a_record_has_every_callback_in_order_and_data_as_one() {
    let record = Record::new();
    let mut recorder = Recorder::new(record.factory()).unwrap();
    recorder.with(|_, transport| transport.pause_reading()).unwrap();
    recorder.with(|_, transport| transport.write(&vec![0; 200_000])).unwrap();
    recorder.with(|_, transport| transport.resume_reading()).unwrap();
    recorder.sent().unwrap();
    recorder.receive(b"one").unwrap();
    recorder.receive(b"two").unwrap();
    recorder.receive_eof().unwrap();
    let data = Call::DataReceived(b"onetwo".to_vec());
    let calls = [
        Call::ConnectionMade,
        Call::PauseWriting,
        Call::ResumeWriting,
        data.clone(),
        Call::EofReceived,
        Call::ConnectionLost,
    ];
    assert_eq!(record.calls(), calls);
    assert_eq!(record.count(|call| *call == data), 1);
    assert_eq!(record.received(), b"onetwo");
    assert!(record.is_lost());
    assert!(record.error().is_none());
}

#[test]
fn a_record_keeps_the_error_of_connection_lost() {
    let record = Record::new();
    let mut recorder = Recorder::new(record.factory()).unwrap();
    assert!(!record.is_lost());
    recorder.receive_reset().unwrap();
    assert_eq!(record.calls(), [Call::ConnectionMade, Call::ConnectionLost]);
    let error = record.error().expect("a reset");
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_recording_protocol_passes_on_what_it_records() {
    /// Answers, keeps its side open, and fails when it has had enough.
    struct Answer;

    impl Protocol for Answer {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
            transport.write(data);
            if data == b"enough" { Err("enough".into()) } else { Ok(()) }
        }

        fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
            Ok(Eof::KeepOpen)
        }
    }

    let record = Record::new();
    let mut recorder = Recorder::new(|| record.around(Answer)).unwrap();
    recorder.event_loop().set_exception_handler(|_, _| {});
    recorder.receive(b"hello").unwrap();
    assert_eq!(recorder.sent().unwrap(), b"hello");
    recorder.receive_eof().unwrap();
    assert!(!recorder.is_closing(), "the answer of the protocol counts");

    let record = Record::new();
    let mut recorder = Recorder::new(|| record.around(Answer)).unwrap();
    recorder.event_loop().set_exception_handler(|_, _| {});
    recorder.receive(b"enough").unwrap();
    assert!(record.error().is_some_and(|error| error.is_application()));
}

#[test]
fn a_record_of_an_endpoint_has_its_datagrams() {
    run_in_memory(async |event_loop| {
        let (served, answered) = (Record::new(), Record::new());
        let server = event_loop
            .create_datagram_endpoint(served.factory())
            .local_address("10.0.0.1:7")
            .await?;
        let client = event_loop
            .create_datagram_endpoint(answered.factory())
            .local_address("10.0.0.2:7")
            .peer_address("10.0.0.1:7")
            .await?;
        use wharf::DatagramTransport as _;
        for word in ["one", "two"] {
            client.handle().send(word.as_bytes())?;
        }
        served.until(|record| record.datagrams().len() == 2).await;
        assert_eq!(served.datagrams(), [b"one", b"two"]);
        let Some(Call::DatagramReceived(_, from)) = served.calls().into_iter().nth(1) else {
            return Err(format!("{served:?}").into());
        };
        server.handle().send_to(b"three", &from)?;
        answered.until(|record| !record.datagrams().is_empty()).await;
        client.handle().close();
        assert!(answered.connection_lost().await.is_none());
        let address: std::net::SocketAddr = "10.0.0.1:7".parse()?;
        let three = Call::DatagramReceived(b"three".to_vec(), address.into());
        assert_eq!(answered.calls(), [Call::ConnectionMade, three, Call::ConnectionLost]);
        Ok(())
    });
}

/// Answers what comes in batches, and knows nothing else. It fails at the third datagram of all, and panics at
/// the fourth, having taken it.
struct Batches(usize);

impl DatagramProtocol for Batches {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Err("nothing comes alone".into())
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        for datagram in batch {
            self.0 += 1;
            match self.0 {
                3 => return Err("the third".into()),
                4 => panic!("the fourth"),
                _ => transport.send_to(datagram.data, datagram.from)?,
            };
        }
        Ok(())
    }
}

#[test]
fn a_recording_protocol_passes_batches_on_and_records_what_is_taken_of_them() {
    let (served, answered) = (Record::new(), Record::new());
    let event_loop = memory_loop();
    let reports = Reports::of(&event_loop);
    let around = served.around(Batches(0));
    let ran = event_loop.run(async |event_loop| {
        event_loop.create_datagram_endpoint(|| around).local_address("10.0.0.1:7").await?;
        let client = event_loop
            .create_datagram_endpoint(answered.factory())
            .peer_address("10.0.0.1:7")
            .await?;
        for word in ["1", "2", "3", "4", "5"] {
            client.send(word.as_bytes())?;
        }
        answered.until(|record| record.datagrams().len() == 3).await;
        Ok(())
    });
    ran.unwrap();
    assert_eq!(served.datagrams(), [b"1", b"2", b"3", b"4", b"5"]);
    assert_eq!(answered.datagrams(), [b"1", b"2", b"5"]);
    let told = reports.take();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("the third") && told[1].contains("the fourth"), "{told:?}");
}

#[test]
fn those_who_wait_for_a_record_are_woken_on_any_loop() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let record = Record::new();
        let address = server.addresses()[0].clone();
        let client = event_loop.create_connection(record.factory(), address).await?;
        let other = record.clone();
        let waiting = event_loop.create_task(async move { other.connection_lost().await });
        client.handle().write(b"hello");
        record.until(|record| record.received() == b"hello").await;
        event_loop.sleep(Duration::ZERO).await;
        assert!(!waiting.is_done());
        client.handle().close();
        assert!(waiting.await?.is_none());
        Ok(())
    });
}

/// A loop in memory says that nothing can happen any more, instead of waiting for ever.
#[test]
fn waiting_for_what_a_record_never_gets_is_an_error_in_memory() {
    let event_loop = memory_loop();
    let record = Record::new();
    let outcome = event_loop.run_until_complete(record.connection_lost());
    assert!(outcome.is_err_and(|error| error.is_deadlock()));
}

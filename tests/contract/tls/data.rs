//! Data under TLS.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Protocol, TlsVersion, Transport};

use super::{Stage, VERSIONS, logs, trusting};
use crate::loops::{network, settle};
use crate::probe::{Call, Log, Probe};

// 241: differs.
#[test]
fn a_pause_holds_the_peer_up_at_once() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    for _ in 0..64 {
        near.handle().write(&[7; 16 * 1024]);
    }
    settle(&stage.event_loop).unwrap();
    // The network holds 64 KiB; all else waits where it was written.
    assert!(near.handle().write_buffer_size() > 900 * 1024);
    assert_eq!(far.received_len(), 0);
    far.handle().resume_reading();
    stage.run_until("all of it", || far.received_len() == 64 * 16 * 1024);
}

// 242.
#[test]
fn resume_reading_delivers_later_and_never_from_inside() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(b"waiting");
    settle(&stage.event_loop).unwrap();
    far.handle().resume_reading();
    assert_eq!(far.received_len(), 0);
    stage.run_until("it", || far.received() == b"waiting");
}

// 243.
#[test]
fn records_that_came_together_are_delivered_together() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        stage.join(Probe::new(&near), Probe::new(&far).not_reading());
        for word in ["several ", "records ", "at ", "once"] {
            near.handle().write(word.as_bytes());
            settle(&stage.event_loop).unwrap();
        }
        far.handle().resume_reading();
        stage.run_until("all", || far.received() == b"several records at once");
        assert_eq!(far.chunks(), [23]);
    }
}

// 256.
#[test]
fn a_corrupt_record_is_connection_losts_error() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        let tampered = Rc::new(RefCell::new(false));
        let (client, server) = super::wire::join_by_wire(&stage, &near, &far, {
            let tampered = Rc::clone(&tampered);
            move |from_client, data| {
                if from_client && *tampered.borrow() {
                    let last = data.len() - 1;
                    data[last] ^= 1;
                }
            }
        });
        stage.run_until("both handshakes", || {
            near.count(Call::TlsEstablished) == 1 && far.count(Call::TlsEstablished) == 1
        });
        *tampered.borrow_mut() = true;
        near.handle().write(b"whatever");
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
        assert!(far.received().is_empty());
        assert!(far.cause().unwrap().is_tls && far.cause().unwrap().text.contains("corrupt"));
        assert!(near.cause().unwrap().text.contains("bad_record_mac"), "{:?}", near.cause());
        assert!(stage.reports.take().is_empty());
        drop((client, server));
    }
}

#[test]
fn what_one_callback_writes_shares_records() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(
        Probe::new(&near).on_data(|transport, _| {
            for _ in 0..1000 {
                transport.write(b"0123456789");
            }
            Ok(())
        }),
        Probe::new(&far),
    );
    settle(&stage.event_loop).unwrap();
    let before = stage.event_loop.statistics().bytes_sent;
    far.handle().write(b"go");
    stage.run_until("all", || far.received_len() == 10_000);
    let sent = stage.event_loop.statistics().bytes_sent - before;
    // One record each way: five bytes of header, one of type, sixteen of tag.
    assert_eq!(sent, 10_000 + 2 + 2 * 22);
}

#[test]
fn what_many_are_sent_is_shared_until_it_is_encrypted() {
    let stage = Stage::new();
    let text = wharf::bytes::Bytes::from(vec![3; 200 * 1024]);
    let members: Vec<(Log, Log)> = (0..3).map(|_| logs()).collect();
    for (near, far) in &members {
        stage.join(Probe::new(near), Probe::new(far).not_reading());
    }
    for (near, _) in &members {
        near.handle().write_bytes(text.clone());
    }
    settle(&stage.event_loop).unwrap();
    // Nobody holds a copy: what the network has not taken is the same memory still.
    assert!(!text.is_unique());
    for (_, far) in &members {
        far.handle().resume_reading();
    }
    stage.run_until("all", || members.iter().all(|(_, far)| far.received_len() == text.len()));
    settle(&stage.event_loop).unwrap();
    assert!(text.is_unique());
}

#[test]
fn bytes_of_any_size_arrive_in_order_whatever_the_network_holds() {
    for version in VERSIONS {
        for capacity in [1, 5, 100, 17_000] {
            let event_loop = network().capacity(capacity).event_loop();
            let stage = Stage { event_loop, ..Stage::with(version) };
            let (near, far) = logs();
            stage.join(Probe::new(&near), Probe::new(&far).echoing());
            let mut sent = Vec::new();
            let most = if capacity < 100 { 3000 } else { 70_000 };
            let mut len = 1;
            while len < most {
                let part: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
                near.handle().write(&part);
                sent.extend(part);
                len = len * 3 + 1;
            }
            stage.run_until("the echo", || near.received_len() == sent.len());
            assert!(near.received() == sent, "the bytes differ");
        }
    }
}

// 261.
#[test]
fn tls_inside_tls_works() {
    let stage = Stage::new();
    let inner = crate::encryption::Tls::new(TlsVersion::Tls12);
    let client = inner.client.clone().server_name("server.test");
    let (near, far) = logs();
    stage.join(
        Probe::new(&near).on_made(move |transport| {
            transport.start_tls((&client).into(), wharf::bytes::Bytes::new());
            transport.write(b"deep");
            Ok(())
        }),
        Probe::new(&far).echoing().on_made(move |transport| {
            transport.start_tls((&inner.server).into(), wharf::bytes::Bytes::new());
            Ok(())
        }),
    );
    stage.run_until("the echo", || near.received() == b"deep");
    assert_eq!(near.order(), [Call::Made, Call::TlsEstablished, Call::Data]);
    let info = near.handle().info();
    assert_eq!(info.tls().unwrap().version(), Some(TlsVersion::Tls12));
    assert_eq!(info.tls().unwrap().server_name(), Some("server.test"));
    let much = vec![5; 300 * 1024];
    near.handle().write(&much);
    stage.run_until("the echo", || near.received_len() == 4 + much.len());
    near.handle().close();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.cause(), far.cause()), (None, None));
    drop(trusting());
}

/// Greets, and notes what the loop has sent in all before.
struct Greeter {
    sent: Rc<Cell<u64>>,
}

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &dyn Transport) -> wharf::Result {
        assert_eq!(transport.write_buffer_size(), 0);
        self.sent.set(transport.event_loop().statistics().bytes_sent);
        transport.write(b"hello");
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}

#[test]
fn a_servers_tickets_go_out_with_its_first_words() {
    let stage = Stage::new();
    let (near, _) = logs();
    let before = Rc::new(Cell::new(0));
    let sent = Rc::clone(&before);
    let _server = stage.serve(move || Greeter { sent: Rc::clone(&sent) });
    let _connection = stage.connect(Probe::new(&near)).expect("a connection");
    stage.run_until("the greeting", || near.received() == b"hello");
    // A record of five bytes has 27; a ticket is a good deal longer.
    let after = stage.event_loop.statistics().bytes_sent - before.get();
    assert!(after > 27 + 100, "{after} bytes went out with or after the greeting");
}

#[test]
fn a_servers_tickets_go_out_also_when_it_has_nothing_to_say() {
    let stage = Stage::new();
    for is_resumed in [false, true, true] {
        let (near, far) = logs();
        stage.join(Probe::new(&near), Probe::new(&far));
        settle(&stage.event_loop).unwrap();
        let info = far.handle().info();
        assert_eq!(info.tls().expect("TLS").is_resumed(), is_resumed);
        near.handle().close();
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
    }
}

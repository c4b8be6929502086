//! Memory in proportion: what waits to be sent holds at most one and a half times what is counted.
//!
//! Counted are the bytes that the loop's thread has allocated and not freed.
#![forbid(unsafe_code)]

use allocation_counter::measure;
use wharf::testing::{MemoryNetwork, pair, settle, step};
use wharf::{
    Address, Connection, DatagramProtocol, DatagramTransport, DropPolicy, Endpoint, EventLoop,
    Protocol, Result, SendFile, Transport,
};
#[cfg(feature = "tls")]
use wharf_test_support::encryption;
use wharf_test_support::files;

/// The streams, the loop's lists, and a chunk, a record or a block of a file that is sent in part.
const CONSTANT: usize = 192 * 1024;

/// Small copies between shared chunks, large ones, and files, to a peer that takes nothing and then a
/// part.
#[test]
fn held_memory_is_at_most_one_and_a_half_times_the_write_buffer() {
    hold(Quiet, Quiet, CONSTANT);
}

/// As without TLS: under TLS 1.2 and 1.3, and under two layers.
#[cfg(feature = "tls")]
#[test]
fn held_memory_under_tls_is_at_most_one_and_a_half_times_the_write_buffer() {
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        let tls = encryption::Tls::new(version);
        let client: wharf::TlsUpgrade = tls.client.server_name("server.test").into();
        let server: wharf::TlsUpgrade = (&tls.server).into();
        for depth in [1, 2] {
            let end = |upgrade: &wharf::TlsUpgrade| Layered {
                upgrade: upgrade.clone().feed_leftover(),
                left: depth,
            };
            hold(end(&client), end(&server), CONSTANT);
        }
    }
}

#[test]
fn memory_of_waiting_datagrams_is_at_most_one_and_a_half_times_what_is_counted() {
    /// How long the datagram of a turn is.
    type Length = fn(usize) -> usize;
    let lengths: [(&str, Length); 4] = [
        ("empty", |_| 0),
        ("tiny", |turn| turn % 3),
        ("of one size", |_| 20),
        ("of all sizes", |turn| turn * 7919 % 2000),
    ];
    for (what, length) in lengths {
        for receivers in [1, 3, 300] {
            for connected in [true, false] {
                if !connected || receivers == 1 {
                    hold_datagrams(
                        &format!("{what}, {receivers}, {connected}"),
                        length,
                        receivers,
                        connected,
                    );
                }
            }
        }
    }
}

/// What was received from many is answered before the system was asked whether it takes it.
#[test]
fn memory_of_datagrams_to_many_names_is_at_most_one_and_a_half_times_what_is_counted() {
    let event_loop = MemoryNetwork::new().event_loop();
    let sender = event_loop.create_datagram_endpoint(|| Deaf).local_unix_address("/sender");
    let sender = event_loop.run_until_complete(sender.start()).unwrap().unwrap();
    sender.handle().set_queue_limit(usize::MAX, DropPolicy::Newest);
    let info = measure(|| {
        for number in 0..2_000 {
            let path = format!("/{number:0100}");
            let to = Address::Unix(wharf::UnixAddress::from_path(path));
            sender.handle().send_to(b"x", &to).unwrap();
        }
    });
    let counted = sender.handle().write_buffer_size();
    assert!(counted > 2_000 * 160);
    assert!(info.bytes_current <= (counted + counted / 2 + 4096) as i64, "{counted}: {info:?}");
}

/// A flood of tiny datagrams, of which the limit lets thousands wait.
#[test]
fn memory_of_received_datagrams_is_at_most_a_few_times_what_is_counted() {
    for length in [0, 1, 100, 1400] {
        let event_loop = MemoryNetwork::new().event_loop();
        let open = event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").start();
        let stream = event_loop.run_until_complete(open).unwrap().unwrap();
        let open = event_loop.open_datagram_endpoint().peer_address("10.0.0.1:7").start();
        let sender = event_loop.run_until_complete(open).unwrap().unwrap();
        // Once, so that the loop has its buffers.
        sender.transport().send(b"first").unwrap();
        settle(&event_loop).unwrap();
        let mut sent = 1;
        let held = measure(|| {
            while stream.transport().is_reading() {
                sender.transport().send(&vec![7; length]).unwrap();
                sent += 1;
                settle(&event_loop).unwrap();
            }
        });
        let counted = sent * (length as i64 + 64);
        assert!(counted >= 256 * 1024, "{length}: {sent}");
        assert!(held.bytes_current < 3 * counted, "{length}: {held:?}, {counted} counted");
    }
}

fn hold<P: Protocol + Clone>(near: P, far: P, constant: usize) {
    type Mix = (&'static str, fn(&dyn Transport, usize, &mut Vec<SendFile>));
    let mixes: [Mix; 7] = [
        ("a length and shared bytes", |transport, _, _| {
            transport.write(&600_u32.to_be_bytes());
            transport.write_bytes(vec![7; 600].into());
        }),
        ("lines", |transport, turn, _| {
            transport.write(&vec![7; 1 + turn % 100]);
        }),
        ("large copies", |transport, _, _| {
            transport.write(&[7; 20_000]);
        }),
        ("large and small", |transport, turn, _| {
            transport.write(&vec![7; if turn % 2 == 0 { 70_000 } else { 3 }]);
        }),
        ("all of it", |transport, turn, _| {
            let data = vec![7; 1 + turn * 7919 % 1_500];
            if turn % 3 == 0 {
                transport.write(&data)
            } else {
                transport.write_bytes(data.into())
            };
        }),
        ("files", |transport, _, files| {
            files.push(transport.send_file(files::file_with(&[7; 10_000]), 0, None));
        }),
        ("lines and files", |transport, turn, files| {
            transport.write(&vec![7; 1 + turn * 31 % 2_000]);
            if turn % 16 == 0 {
                files.push(transport.send_file(files::file_with(&[7; 10_000]), 0, None));
            }
        }),
    ];
    for (what, write) in mixes {
        let event_loop = MemoryNetwork::new().event_loop();
        let (near, far) = pair(&event_loop, 4096, near.clone(), far.clone()).expect("a pair");
        settle(&event_loop).expect("handshakes");
        far.handle().pause_reading();
        let mut files = Vec::with_capacity(1_000);
        let waiting = || near.handle().write_buffer_size();
        let filled = measure(|| {
            for turn in 0..4_000 {
                near.with(|_, transport| write(transport, turn, &mut files)).expect("it is open");
                if turn % 100 == 0 {
                    settle(&event_loop).expect("a loop in memory");
                }
                if waiting() > 400_000 {
                    break;
                }
            }
            settle(&event_loop).expect("a loop in memory");
        });
        let most = || (waiting() + waiting() / 2 + constant) as i64;
        assert!(waiting() > 100_000, "{what}: {}", waiting());
        assert!(filled.bytes_current <= most(), "{what}: {} counted, {filled:?}", waiting());
        let mut held = filled.bytes_current;
        for part in [2, 4, 16] {
            let goal = waiting() / part;
            held += measure(|| take_until(&event_loop, &far, || waiting() <= goal)).bytes_current;
            assert!(held <= most(), "{what}: {held} held, {} counted", waiting());
        }
    }
}

/// Has the peer read until enough is gone.
fn take_until<P: Protocol>(
    event_loop: &EventLoop,
    far: &Connection<P>,
    mut enough: impl FnMut() -> bool,
) {
    far.handle().resume_reading();
    for _ in 0..100_000 {
        if enough() {
            far.handle().pause_reading();
            return;
        }
        step(event_loop).expect("the loop runs");
    }
    panic!("the peer takes nothing");
}

/// Datagrams for receivers that take nothing and then a part.
fn hold_datagrams(what: &str, length: fn(usize) -> usize, receivers: usize, connected: bool) {
    // What the loop's lists and the endpoint hold.
    const CONSTANT: usize = 16 * 1024;
    let event_loop = MemoryNetwork::new().datagram_capacity(1).event_loop();
    let open = |builder: wharf::DatagramEndpointBuilder<Deaf>| {
        event_loop.run_until_complete(builder.start()).unwrap().unwrap()
    };
    let endpoint = || event_loop.create_datagram_endpoint(|| Deaf);
    let receivers: Vec<Endpoint<Deaf>> = (0..receivers)
        .map(|number| open(endpoint().local_unix_address(format!("/{number:080}"))))
        .collect();
    let addresses: Vec<Address> =
        receivers.iter().map(|one| one.handle().local_address().unwrap()).collect();
    let sender = match connected {
        true => open(endpoint().peer_unix_address(addresses[0].as_unix_path().unwrap())),
        false => open(endpoint().local_unix_address("/sender")),
    };
    sender.handle().set_queue_limit(usize::MAX, DropPolicy::Oldest);
    let send = |turn: usize| {
        let data = vec![7; length(turn)];
        let to = &addresses[turn % addresses.len()];
        // Each way into the queue.
        match turn / 100 % 2 {
            0 => sender.handle().send_to(&data, to).unwrap(),
            _ => sender.with(|_, transport| transport.send_to(&data, to)).unwrap().unwrap(),
        };
    };
    // The loop's own memory for receiving and gathering is there from then on.
    (0..200).for_each(send);
    settle(&event_loop).unwrap();
    for (turn, receiver) in receivers.iter().enumerate() {
        receiver.handle().pause_reading();
        send(turn);
    }
    settle(&event_loop).unwrap();
    let counted = || sender.handle().write_buffer_size();
    let check = |step: &str, held: i64| {
        let counted = counted();
        let most = (counted + counted / 2 + CONSTANT) as i64;
        assert!(held <= most, "{what}, {step}: {held} held, {counted} counted");
    };
    let mut held = 0;
    held += measure(|| (0..1_500).for_each(send)).bytes_current;
    check("sent", held);
    held += measure(|| settle(&event_loop).unwrap()).bytes_current;
    check("refused", held);
    let all = counted();
    assert!(all >= 1_500 * 64, "{what}: {all}");
    // The oldest make room.
    held += measure(|| {
        sender.handle().set_queue_limit(all / 2, DropPolicy::Oldest);
        send(0);
        settle(&event_loop).unwrap();
    })
    .bytes_current;
    assert!(counted() <= all / 2, "{what}: {} of {all}", counted());
    check("dropped", held);
    held += measure(|| {
        receivers[0].handle().resume_reading();
        settle(&event_loop).unwrap();
    })
    .bytes_current;
    check("received in part", held);
    held += measure(|| {
        receivers.iter().for_each(|receiver| receiver.handle().resume_reading());
        settle(&event_loop).unwrap();
    })
    .bytes_current;
    assert_eq!(counted(), 0, "{what}");
    check("received", held);
}

/// Says nothing.
#[derive(Clone)]
struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Says nothing, under so many layers of TLS.
#[cfg(feature = "tls")]
#[derive(Clone)]
struct Layered {
    upgrade: wharf::TlsUpgrade,
    left: usize,
}

#[cfg(feature = "tls")]
impl Protocol for Layered {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.tls_established(transport)
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            transport.start_tls(self.upgrade.clone(), wharf::bytes::Bytes::new());
        }
        Ok(())
    }
}

/// Hears nothing.
struct Deaf;

impl DatagramProtocol for Deaf {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

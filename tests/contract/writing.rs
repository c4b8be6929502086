//! Section E: what is not the same over every transport, and what needs no real one.

use std::io;
use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{Buffered, EventLoop, Protocol, Transport, WriteStatus};

use crate::loops::{memory_loop, settle};
use crate::probe::{Log, Probe};
use crate::running::run_until;

const MIB: usize = 1024 * 1024;

// 138: differs.
#[test]
fn server_connections_have_a_write_cap_and_client_connections_have_none() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let logs = far.clone();
    event_loop
        .run(async |event_loop| {
            let server = event_loop
                .create_server(move || Probe::new(&logs).not_reading(), "10.0.0.1:7")
                .await?;
            let client = Probe::new(&near).not_reading();
            event_loop.create_connection(move || client, "10.0.0.1:7").await?;
            server.close();
            Ok(())
        })
        .unwrap();
    run_until(&event_loop, "the server's end", || far.is_made());
    for log in [&near, &far] {
        log.handle().write(&vec![0; 17 * MIB]);
    }
    assert_eq!(near.handle().write(b"more"), WriteStatus::AboveHighWater);
    assert_eq!(far.handle().write(b"more"), WriteStatus::Closed);
    settle(&event_loop).unwrap();
    assert!(far.cause().unwrap().is_write_cap);
}

// 108, 110.
#[test]
fn close_after_a_failed_write_tells_the_error() {
    // The write fails while input still waits, and the protocol closes at the next of it: what it
    // wrote is lost, and `connection_lost(None)` would say it was sent.
    let (event_loop, near) = meets_a_dead_peer(|log| {
        let seen = log.clone();
        Buffered(Probe::new(log).buffer_of(4).on_data(move |transport, _| {
            transport.write(b"to nobody");
            if seen.received_len() == 8 {
                transport.close();
            }
            Ok(())
        }))
    });
    run_until(&event_loop, "connection_lost", || near.is_lost());
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
}

// 95, 108.
#[test]
fn pausing_after_a_failed_write_keeps_the_error_waiting_for_some_time() {
    let (event_loop, near) = meets_a_dead_peer(|log| {
        let seen = log.clone();
        Buffered(Probe::new(log).buffer_of(4).on_data(move |transport, _| {
            transport.write(b"to nobody");
            if seen.received_len() == 8 {
                transport.pause_reading();
            }
            Ok(())
        }))
    });
    settle(&event_loop).unwrap();
    assert!(!near.is_lost(), "the rest has to come first");
    advance(&event_loop, Duration::from_secs(31)).unwrap();
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
    assert_eq!(near.received_len(), 8);
}

/// A protocol whose peer sends sixteen bytes and is gone.
fn meets_a_dead_peer<P: Protocol>(near: impl FnOnce(&Log) -> P) -> (EventLoop, Log) {
    let event_loop = memory_loop();
    let (log, far) = (Log::new(), Log::new());
    pair(&event_loop, 64, near(&log), Probe::new(&far)).unwrap();
    // Nothing of it is read before the peer is gone.
    log.handle().pause_reading();
    far.handle().write(b"sixteen bytes...");
    settle(&event_loop).unwrap();
    far.handle().abort();
    settle(&event_loop).unwrap();
    log.handle().resume_reading();
    (event_loop, log)
}

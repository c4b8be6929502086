//! Callbacks, and what reaches a protocol from outside.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use wharf::{DatagramTransport, SendStatus};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{Stage, address};

// 139.
pub(crate) fn connection_made_comes_first_and_connection_lost_last_each_once(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    assert_eq!(log.events(), [Event::Made], "when the future completes");
    let sender = stage.bound(Probe::new(&Log::default()));
    sender.handle().send_to(b"x", &address(&endpoint)).unwrap();
    stage.run_until_received(&log, 1);
    endpoint.handle().close();
    stage.run_until("the end", || log.lost() == 1);
    stage.rest();
    let from = address(&sender);
    let expected = [Event::Made, Event::Received(b"x".to_vec(), from), Event::Lost(None)];
    assert_eq!(log.events(), expected);
}

// 140, 146.
pub(crate) fn datagrams_keep_their_boundaries_and_empty_ones_are_delivered(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let sender = stage.bound(Probe::new(&Log::default()));
    let sent: Vec<Vec<u8>> =
        [0, 1, 0, 0, 3, 1400, 1400, 1400, 9, 0].map(|len| vec![len as u8; len]).to_vec();
    for data in &sent {
        let status = sender.handle().send_to(data, &address(&endpoint)).unwrap();
        assert_eq!(status, SendStatus::Accepted);
    }
    stage.run_until_received(&log, sent.len());
    stage.rest();
    assert_eq!(log.received(), sent);
}

// 143.
pub(crate) fn failing_callbacks_are_reported_and_the_endpoint_goes_on(stage: &Stage) {
    goes_on(stage, |event| match event {
        Event::Received(data, _) => Err(format!("failed on {data:?}").into()),
        _ => Ok(()),
    });
}

// 143.
pub(crate) fn panicking_callbacks_are_reported_and_the_endpoint_goes_on(stage: &Stage) {
    goes_on(stage, |event| match event {
        Event::Received(data, _) => panic!("failed on {data:?}"),
        _ => Ok(()),
    });
}

fn goes_on(stage: &Stage, mut reaction: impl FnMut(&Event) -> wharf::Result + 'static) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log).reacting(move |event, _| reaction(event)));
    let sender = stage.bound(Probe::new(&Log::default()));
    let to = address(&endpoint);
    sender.handle().send_many_to(&[(b"1", &to), (b"2", &to), (b"3", &to)]).unwrap();
    stage.run_until_received(&log, 3);
    stage.rest();
    assert_eq!(log.received(), [b"1", b"2", b"3"]);
    let reports = stage.reports.take();
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert!(reports[0].contains(" in datagrams_received: "), "{reports:?}");
    assert!(reports[2].contains("failed on [51]"), "{reports:?}");
    assert!(!endpoint.handle().is_closing());
    assert_eq!(endpoint.handle().statistics().received, 3);
}

pub(crate) fn failing_connection_made_aborts_the_endpoint(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log).reacting(|event, _| match event {
        Event::Made => Err("no".into()),
        _ => Ok(()),
    }));
    stage.run_until("the end", || log.lost() == 1);
    assert_eq!(log.events(), [Event::Made, Event::Lost(Some("no".into()))]);
    assert!(endpoint.handle().is_closing());
    assert_eq!(stage.reports.take().len(), 1);
}

pub(crate) fn endpoint_with_reaches_the_protocol_and_is_busy_inside_it(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let to = address(&endpoint);
    let inner = endpoint.clone();
    let status = endpoint
        .with(|_, transport| {
            assert!(inner.with(|_, _| ()).unwrap_err().is_busy());
            transport.send_to(b"to itself", &to).unwrap()
        })
        .unwrap();
    assert_eq!(status, SendStatus::Accepted);
    stage.run_until_received(&log, 1);
    endpoint.handle().abort();
    assert!(endpoint.with(|_, _| ()).unwrap_err().is_closed());
    stage.rest();
    assert!(endpoint.with(|_, _| ()).unwrap_err().is_closed());
}

pub(crate) fn endpoint_with_panic_goes_on_in_the_caller_and_so_does_the_endpoint(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let panic = catch_unwind(AssertUnwindSafe(|| endpoint.with(|_, _| panic!("mine"))));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
    endpoint.handle().send_to(b"x", &address(&endpoint)).unwrap();
    stage.run_until_received(&log, 1);
    assert!(stage.reports.take().is_empty());
}

pub(crate) fn endpoint_post_runs_in_a_later_round(stage: &Stage) {
    let endpoint = stage.bound(Probe::new(&Log::default()));
    let ran = Rc::new(Cell::new(0));
    let count = Rc::clone(&ran);
    let inner = endpoint.clone();
    endpoint
        .with(|_, _| {
            let again = Rc::clone(&count);
            inner.post(move |_, _| again.set(again.get() + 1));
            assert_eq!(count.get(), 0);
        })
        .unwrap();
    stage.run_until("the post", || ran.get() == 1);
    endpoint.handle().abort();
    let count = Rc::clone(&ran);
    endpoint.post(move |_, _| count.set(100));
    stage.rest();
    assert_eq!(ran.get(), 1);
}

pub(crate) fn stale_handles_are_harmless(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let handle = endpoint.handle().clone();
    let (id, to) = (handle.id(), address(&endpoint));
    assert_eq!(stage.event_loop().datagram_transport(id).as_ref(), Some(&handle));
    handle.abort();
    stage.run_until("the end", || log.lost() == 1);
    stage.rest();
    // Another takes its place.
    let successor = stage.bound(Probe::new(&Log::default()));
    assert!(stage.event_loop().datagram_transport(id).is_none());
    assert_eq!(handle.send_to(b"x", &to).unwrap(), SendStatus::Closed);
    assert_eq!(handle.send(b"x").unwrap(), SendStatus::Closed);
    handle.close();
    handle.abort();
    handle.pause_reading();
    handle.resume_reading();
    assert!(handle.is_closing() && !handle.is_reading());
    assert!(handle.set_broadcast(true).unwrap_err().is_closed());
    stage.rest();
    assert!(!successor.handle().is_closing());
    assert_ne!(successor.handle().id(), id);
}

pub(crate) fn endpoints_know_their_addresses_and_identities(stage: &Stage) {
    let server = stage.bound(Probe::new(&Log::default()));
    let client = stage.connected(Probe::new(&Log::default()), &address(&server));
    let handle = client.handle();
    assert_eq!(handle.peer_address(), Some(address(&server)));
    assert_eq!(handle.info().peer_address(), Some(&address(&server)));
    assert_eq!(handle.info().local_address(), handle.local_address().ok().as_ref());
    assert_eq!(server.handle().peer_address(), None);
    assert_ne!(handle.id(), server.handle().id());
    if let Some(port) = address(&server).port() {
        assert_ne!(port, 0);
    }
}

pub(crate) fn statistics_count_endpoints_and_bytes(stage: &Stage) {
    let before = stage.event_loop().statistics();
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    endpoint.handle().send_to(&[7; 100], &address(&endpoint)).unwrap();
    stage.run_until_received(&log, 1);
    let after = stage.event_loop().statistics();
    assert_eq!(after.connections_open, before.connections_open + 1);
    assert_eq!(after.bytes_sent - before.bytes_sent, 100);
    assert_eq!(after.bytes_received - before.bytes_received, 100);
    assert_eq!(after.sources, before.sources + 1);
}

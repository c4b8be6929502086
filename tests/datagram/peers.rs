//! Peers that are not there, and those that are not meant.

use std::io::ErrorKind;

use wharf::{Address, DatagramTransport, SendStatus};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{Stage, address};

// 141.
pub(crate) fn dead_peer_is_told_as_an_error_and_the_endpoint_goes_on(stage: &Stage) {
    let log = Log::default();
    let server = stage.apart(Probe::new(&Log::default()));
    let client = stage.connected(Probe::new(&log), &address(&server));
    server.handle().abort();
    stage.rest();
    // The path of a Unix socket is gone with it.
    let kinds = [ErrorKind::ConnectionRefused, ErrorKind::NotFound];
    let refused = |event: &Event| kinds.map(|kind| Event::Error(Some(kind))).contains(event);
    for round in 1..=3 {
        assert_eq!(client.handle().send(b"anybody?").unwrap(), SendStatus::Accepted);
        stage.run_until("the error", || log.count(refused) >= round);
    }
    assert_eq!(log.lost(), 0);
    assert!(!client.handle().is_closing() && client.handle().is_reading());
    assert!(stage.reports.take().is_empty());
}

// 155.
pub(crate) fn dead_peer_does_not_stop_an_endpoint_from_serving_others(stage: &Stage) {
    let log = Log::default();
    let server = stage.bound(Probe::echo(&log));
    let dead = stage.deserted();
    let client_log = Log::default();
    let client = stage.bound(Probe::new(&client_log));
    for _ in 0..3 {
        server.handle().send_to(b"anybody?", &dead).unwrap();
        client.handle().send_to(b"hello", &address(&server)).unwrap();
    }
    stage.run_until_received(&client_log, 3);
    assert_eq!(client_log.received(), [b"hello"; 3]);
    assert_eq!(log.lost(), 0);
    let statistics = server.handle().statistics();
    assert_eq!(statistics.sent + statistics.send_errors, 6);
    assert_eq!(statistics.send_errors + statistics.errors_received, log.errors() as u64);
}

pub(crate) fn connected_endpoint_hears_its_peer_alone(stage: &Stage) {
    let server = stage.bound(Probe::new(&Log::default()));
    let log = Log::default();
    let client = stage.connected(Probe::new(&log), &address(&server));
    let stranger_log = Log::default();
    let stranger = stage.bound(Probe::new(&stranger_log));
    stranger.handle().send_to(b"spam", &address(&client)).unwrap();
    server.handle().send_to(b"hello", &address(&client)).unwrap();
    stage.run_until_received(&log, 1);
    stage.rest();
    assert_eq!(log.received(), [b"hello"]);
    assert_eq!(stranger_log.lost(), 0);
}

pub(crate) fn peer_that_comes_back_is_heard_again(stage: &Stage) {
    let server = stage.apart(Probe::new(&Log::default()));
    let place = address(&server);
    let log = Log::default();
    let client = stage.connected(Probe::new(&log), &place);
    server.handle().abort();
    stage.rest();
    for round in 1..=2 {
        client.handle().send(b"anybody?").unwrap();
        stage.run_until("the error", || log.errors() == round);
    }
    let server = Probe::echo(&Log::default());
    let builder = stage.event_loop().create_datagram_endpoint(|| server);
    let _server = stage.open(match place {
        Address::Ip(place) => builder.local_address(place),
        place => builder.local_unix_address(place.as_unix_path().unwrap()),
    });
    client.handle().send(b"hello").unwrap();
    stage.run_until_received(&log, 1);
    assert_eq!(log.received(), [b"hello"]);
}

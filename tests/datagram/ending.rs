//! The end of an endpoint.

use wharf::{DatagramTransport, SendStatus};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{Stage, address, datagrams};

// 152.
pub(crate) fn close_sends_what_is_queued_first(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender_log = Log::default();
    let sender = stage.bound(Probe::new(&sender_log));
    let handle = sender.handle();
    for data in datagrams(10, 100) {
        handle.send_to(&data, &to).unwrap();
    }
    assert_eq!(handle.statistics().queued, 10);
    handle.close();
    assert!(handle.is_closing());
    stage.run_until("the end", || sender_log.lost() == 1);
    stage.run_until_received(&log, 10);
    assert_eq!(sender_log.events(), [Event::Made, Event::Lost(None)]);
}

// 152.
pub(crate) fn abort_discards_what_is_queued(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender_log = Log::default();
    let discarded = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = std::rc::Rc::clone(&discarded);
    let sender = stage.bound(Probe::new(&sender_log).reacting(move |event, transport| {
        if let Event::Lost(_) = event {
            seen.set(transport.statistics().discarded);
        }
        Ok(())
    }));
    for _ in 0..10 {
        sender.handle().send_to(b"x", &to).unwrap();
    }
    sender.handle().abort();
    stage.run_until("the end", || sender_log.lost() == 1);
    stage.rest();
    assert!(log.received().is_empty());
    assert_eq!(discarded.get(), 10);
    assert_eq!(sender_log.events(), [Event::Made, Event::Lost(None)]);
}

pub(crate) fn closing_and_aborting_are_idempotent(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    endpoint.handle().close();
    endpoint.handle().close();
    endpoint.handle().abort();
    endpoint.handle().abort();
    endpoint.handle().close();
    stage.run_until("the end", || log.lost() == 1);
    stage.rest();
    assert_eq!(log.events(), [Event::Made, Event::Lost(None)]);
}

// 153.
pub(crate) fn sends_after_the_end_say_closed(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender_log = Log::default();
    let inner = to.clone();
    let sender = stage.bound(Probe::new(&sender_log).reacting(move |event, transport| {
        if let Event::Lost(_) = event {
            assert_eq!(transport.send_to(b"late", &inner).unwrap(), SendStatus::Closed);
        }
        Ok(())
    }));
    sender.handle().close();
    assert_eq!(sender.handle().send_to(b"late", &to).unwrap(), SendStatus::Closed);
    stage.run_until("the end", || sender_log.lost() == 1);
    assert_eq!(sender.handle().send_to(b"late", &to).unwrap(), SendStatus::Closed);
    assert_eq!(sender.handle().send_many_to(&[(b"late", &to)]).unwrap(), 0);
    stage.rest();
    assert!(log.received().is_empty());
    assert!(stage.reports.take().is_empty());
}

// 153.
pub(crate) fn more_of_the_same_after_the_end_says_closed(stage: &Stage) {
    for abort in [false, true] {
        let log = Log::default();
        let receiver = stage.bound(Probe::new(&log));
        let to = address(&receiver);
        let sender = stage.bound(Probe::new(&Log::default()));
        sender
            .with(|_, transport| {
                for _ in 0..3 {
                    assert_eq!(transport.send_to(b"same", &to).unwrap(), SendStatus::Accepted);
                }
                if abort {
                    transport.abort();
                } else {
                    transport.close();
                }
                assert_eq!(transport.send_to(b"same", &to).unwrap(), SendStatus::Closed);
                assert_eq!(
                    transport.send_segments(b"same", 4, Some(&to)).unwrap(),
                    SendStatus::Closed
                );
            })
            .unwrap();
        if !abort {
            stage.run_until_received(&log, 3);
        }
        stage.rest();
        assert_eq!(log.received().len(), if abort { 0 } else { 3 });
    }
}

pub(crate) fn close_and_abort_never_call_back_from_inside(stage: &Stage) {
    for abort in [false, true] {
        let log = Log::default();
        let inner = log.clone();
        let endpoint = stage.bound(Probe::new(&log).reacting(move |event, transport| {
            if let Event::Received(..) = event {
                if abort {
                    transport.abort();
                } else {
                    transport.close();
                }
                assert_eq!(inner.lost(), 0);
            }
            Ok(())
        }));
        endpoint.handle().send_to(b"x", &address(&endpoint)).unwrap();
        stage.run_until("the end", || log.lost() == 1);
    }
    assert!(stage.reports.take().is_empty());
}

pub(crate) fn dropping_the_loop_delivers_connection_lost(stage: &Stage) {
    let event_loop = wharf::testing::MemoryNetwork::new().event_loop();
    let log = Log::default();
    let probe = Probe::new(&log);
    let builder = event_loop.create_datagram_endpoint(|| probe).local_address("192.0.2.1:0");
    let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
    drop(event_loop);
    assert_eq!(log.events(), [Event::Made, Event::Lost(None)]);
    assert!(endpoint.handle().is_closing());
    // That of the stage is dropped with endpoints open, and its statistics looked at.
    stage.bound(Probe::new(&Log::default()));
}

pub(crate) fn dropping_handles_closes_nothing(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let to = address(&endpoint);
    drop(endpoint);
    let sender = stage.bound(Probe::new(&Log::default()));
    sender.handle().send_to(b"x", &to).unwrap();
    stage.run_until_received(&log, 1);
    assert_eq!(log.lost(), 0);
}

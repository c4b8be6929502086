//! Receiving many at once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Endpoint, Result};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{Stage, address};

/// Has `count` datagrams wait at an endpoint that is paused: each is its number.
fn waiting(stage: &Stage, probe: Probe, count: u8) -> Endpoint<Probe> {
    let endpoint = stage.bound(probe);
    endpoint.handle().pause_reading();
    let sender = stage.bound(Probe::new(&Log::default()));
    let to = address(&endpoint);
    for number in 0..count {
        sender.handle().send_to(&[number], &to).unwrap();
    }
    stage.rest();
    assert_eq!(sender.handle().statistics().sent, u64::from(count));
    endpoint
}

fn numbers(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number]).collect()
}

pub(crate) fn waiting_datagrams_come_in_batches(stage: &Stage) {
    let log = Log::default();
    // A Unix socket holds no more.
    let count = if stage.is_unix() { 10 } else { 40 };
    let endpoint = waiting(stage, Probe::new(&log).with_batches(), count);
    assert!(log.received().is_empty());
    endpoint.handle().resume_reading();
    stage.run_until_received(&log, count.into());
    assert_eq!(log.received(), numbers(count));
    let largest = log.events().into_iter().filter_map(|event| match event {
        Event::Batch(count) => Some(count),
        _ => None,
    });
    assert!(largest.max().unwrap() >= 6, "{:?}", log.events());
}

pub(crate) fn what_a_failing_batch_has_not_taken_is_delivered(stage: &Stage) {
    let log = Log::default();
    let probe = Probe::new(&log).reacting(|event, _| match event {
        Event::Received(data, _) if data[0] % 3 == 0 => Err("a third fails".into()),
        _ => Ok(()),
    });
    let endpoint = waiting(stage, probe, 10);
    endpoint.handle().resume_reading();
    stage.run_until_received(&log, 10);
    assert_eq!(log.received(), numbers(10));
    assert_eq!(stage.reports.take().len(), 4);
}

/// Fails before it takes anything.
struct Refuses(Rc<Cell<u32>>);

impl DatagramProtocol for Refuses {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }

    fn datagrams_received(&mut self, _: &dyn DatagramTransport, _: &mut Datagrams<'_>) -> Result {
        self.0.set(self.0.get() + 1);
        Err("never".into())
    }
}

pub(crate) fn batch_that_always_fails_does_not_keep_the_loop(stage: &Stage) {
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let log = Log::default();
    let sender = stage.bound(Probe::new(&log));
    let builder = stage.event_loop().create_datagram_endpoint(|| Refuses(count));
    let builder = match address(&sender) {
        Address::Ip(own) => builder.local_address((own.ip(), 0)),
        own => builder.local_unix_address(own.as_unix_path().unwrap().with_extension("refuses")),
    };
    let endpoint = stage.event_loop().run_until_complete(builder.start()).unwrap().unwrap();
    let to = endpoint.handle().local_address().unwrap();
    for _ in 0..3 {
        sender.handle().send_to(b"x", &to).unwrap();
    }
    stage.run_until("all calls", || calls.get() == 3);
    stage.rest();
    assert_eq!(calls.get(), 3);
    assert_eq!(stage.reports.take().len(), 3);
    assert_eq!(endpoint.handle().statistics().received, 3);
}

pub(crate) fn what_a_batch_leaves_is_let_go_of(stage: &Stage) {
    /// Takes the first of each batch.
    struct First(Rc<RefCell<Vec<u8>>>);
    impl DatagramProtocol for First {
        fn datagram_received(
            &mut self,
            _: &dyn DatagramTransport,
            _: &[u8],
            _: &Address,
        ) -> Result {
            Ok(())
        }
        fn datagrams_received(
            &mut self,
            _: &dyn DatagramTransport,
            batch: &mut Datagrams<'_>,
        ) -> Result {
            self.0.borrow_mut().extend(batch.next().map(|datagram| datagram.data[0]));
            Ok(())
        }
    }
    let taken = Rc::new(RefCell::new(Vec::new()));
    let first = First(Rc::clone(&taken));
    let sender = stage.bound(Probe::new(&Log::default()));
    let builder = stage.event_loop().create_datagram_endpoint(|| first);
    let builder = match address(&sender) {
        Address::Ip(own) => builder.local_address((own.ip(), 0)),
        own => builder.local_unix_address(own.as_unix_path().unwrap().with_extension("first")),
    };
    let endpoint = stage.event_loop().run_until_complete(builder.start()).unwrap().unwrap();
    let to = endpoint.handle().local_address().unwrap();
    endpoint.handle().pause_reading();
    for number in 0..20 {
        sender.handle().send_to(&[number], &to).unwrap();
    }
    stage.rest();
    endpoint.handle().resume_reading();
    stage.run_until("all batches", || endpoint.handle().statistics().received == 20);
    let taken = taken.borrow();
    assert!(taken.len() < 20 && taken[0] == 0, "{taken:?}");
}

pub(crate) fn pausing_in_a_batch_keeps_the_rest_until_the_resume(stage: &Stage) {
    let log = Log::default();
    let probe = Probe::new(&log).reacting(|event, transport| {
        if let Event::Received(data, _) = event
            && data[0] % 4 == 0
        {
            transport.pause_reading();
            assert!(!transport.is_reading());
        }
        Ok(())
    });
    let endpoint = waiting(stage, probe, 10);
    for expected in [1, 5, 9, 10] {
        endpoint.handle().resume_reading();
        stage.run_until_received(&log, expected);
        stage.rest();
        assert_eq!(log.received(), numbers(expected as u8), "and not one more");
        assert_eq!(endpoint.handle().statistics().received, expected as u64);
    }
}

pub(crate) fn closing_in_a_batch_counts_the_rest(stage: &Stage) {
    let log = Log::default();
    let counts = Rc::new(Cell::new(0));
    let seen = Rc::clone(&counts);
    let probe = Probe::new(&log).reacting(move |event, transport| {
        match event {
            Event::Received(data, _) if data[0] == 1 => transport.close(),
            Event::Lost(_) => {
                let statistics = transport.statistics();
                seen.set(statistics.received + statistics.discarded_unread);
            }
            _ => {}
        }
        Ok(())
    });
    let endpoint = waiting(stage, probe, 4);
    endpoint.handle().resume_reading();
    stage.run_until("the end", || log.lost() == 1);
    assert_eq!(log.received(), numbers(2));
    assert_eq!(counts.get(), 4);
}

pub(crate) fn pausing_and_resuming_are_idempotent(stage: &Stage) {
    let log = Log::default();
    let endpoint = waiting(stage, Probe::new(&log), 3);
    let handle = endpoint.handle();
    handle.pause_reading();
    assert!(!handle.is_reading());
    handle.resume_reading();
    handle.resume_reading();
    assert!(handle.is_reading());
    handle.pause_reading();
    stage.rest();
    assert!(log.received().is_empty(), "paused again before its turn came");
    handle.resume_reading();
    stage.run_until_received(&log, 3);
    assert_eq!(log.received(), numbers(3));
}

pub(crate) fn no_endpoint_keeps_the_loop_to_itself(stage: &Stage) {
    // It sends to itself for ever.
    let rounds = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&rounds);
    let busy = stage.bound(Probe::new(&Log::default()).reacting(move |event, transport| {
        if let Event::Received(data, from) = event {
            count.set(count.get() + 1);
            transport.send_to(data, from)?;
        }
        Ok(())
    }));
    for _ in 0..10 {
        busy.handle().send_to(b"x", &address(&busy)).unwrap();
    }
    let event_loop = stage.event_loop().clone();
    let turns = async {
        for _ in 0..5 {
            event_loop.sleep(std::time::Duration::ZERO).await;
        }
    };
    event_loop.run_until_complete(turns).unwrap();
    // A turn has 64 rounds, and a round of an endpoint 4 batches of up to 32.
    assert!(rounds.get() > 0 && rounds.get() <= 6 * 64 * 4 * 32, "{}", rounds.get());
}

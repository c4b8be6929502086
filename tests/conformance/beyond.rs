//! Section X: what goes beyond asyncio.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{
    Buffered, Connection, Eof, Protocol, Result, Timeout, Transport, TransportHandle, WaterMarks,
    WriteStatus,
};

use crate::probe::{Call, Inside, Log, Probe};
use crate::reading::pattern;
use crate::stage::{CAPACITY, Link, MUCH, Stage};

pub(crate) fn close_never_destroys_the_last_reply<L: Link>(stage: &mut Stage<L>) {
    // The request is larger than what the server reads of it: closing then would be a reset, which
    // could destroy the reply on its way.
    let (near, far) = (Log::new(), Log::new());
    let server = Probe::new(&far).buffer_of(1000).on_data(|transport, _| {
        transport.write(b"413 too large");
        transport.close();
        Ok(())
    });
    let server = Buffered(server);
    stage.join(Probe::new(&near).half_open(), server);
    near.handle().write(&pattern(4 * MUCH));
    stage.run_until_received(&near, 13);
    stage.run_until("the end", || near.count(Call::Eof) == 1 || near.is_lost());
    near.handle().close();
    stage.run_until_lost(&far);
    stage.run_until_lost(&near);
    assert_eq!(near.received(), b"413 too large");
    stage.assert_talker_ended_well(&near);
    assert_eq!(far.cause(), None);
}

pub(crate) fn input_after_close_is_discarded_and_not_delivered<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let server = Probe::new(&far).not_reading();
    stage.join(Probe::new(&near).half_open(), server);
    near.handle().write(&pattern(CAPACITY / 2));
    stage.rest();
    far.handle().close();
    stage.run_until("eof_received", || near.count(Call::Eof) == 1);
    stage.run_until_lost(&far);
    // Pipes know no reset, and close at once.
    let lingering = u64::from(stage.can().reset);
    assert_eq!(stage.lingering(), lingering, "closed with input pending");
    near.handle().write(&pattern(MUCH));
    near.handle().close();
    stage.run_until_lost(&far);
    stage.run_until_lost(&near);
    assert_eq!((far.received_len(), far.cause()), (0, None));
    stage.assert_talker_ended_well(&near);
}

pub(crate) fn connection_with_reaches_the_protocol<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    let calls = connection
        .with(|probe, transport| {
            transport.write(b"from ");
            transport.write(b"outside");
            probe.log().calls()
        })
        .unwrap();
    assert_eq!(calls, [Call::Made]);
    stage.run_until_received(&far, 12);
    assert_eq!(far.chunks(), [12], "gathered as in a callback");
    connection.with(|_, transport| transport.close()).unwrap();
    stage.run_until_lost(&near);
}

pub(crate) fn connection_with_is_busy_inside_the_protocols_callbacks<L: Link>(
    stage: &mut Stage<L>,
) {
    let place: Rc<RefCell<Option<Connection<Probe>>>> = Rc::default();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (own, results) = (Rc::clone(&place), Rc::clone(&seen));
    let (near, other, far) = (Log::new(), Log::new(), Log::new());
    let elsewhere = stage.join(Probe::new(&other), Probe::new(&Log::new()));
    let probe = Probe::new(&near).on_data(move |_, _| {
        let own = own.borrow().clone().expect("connected");
        let busy = own.with(|_, _| ()).is_err_and(|error| error.is_busy());
        // Another connection's protocol can be reached; what it writes is queued.
        let free = elsewhere.with(|_, transport| transport.write(b"x"));
        results.borrow_mut().push((busy, free.ok()));
        Ok(())
    });
    let connection = stage.join(probe, Probe::new(&far));
    *place.borrow_mut() = Some(connection);
    far.handle().write(b"go");
    stage.run_until_received(&near, 2);
    assert_eq!(*seen.borrow(), [(true, Some(WriteStatus::Accepted))]);
    // Inside the closure itself, too.
    let connection = place.borrow().clone().expect("connected");
    let inner = connection.clone();
    let nested = connection.with(|_, _| inner.with(|_, _| ())).unwrap();
    assert!(nested.unwrap_err().is_busy());
    place.take();
}

pub(crate) fn connection_with_says_closed_and_replaced<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    near.handle().set_protocol(Box::new(Silent), Bytes::new());
    stage.rest();
    assert!(connection.with(|_, _| ()).unwrap_err().is_replaced());
    near.handle().set_protocol(Box::new(Probe::new(&Log::successor())), Bytes::new());
    stage.rest();
    connection.with(|_, _| ()).expect("a probe again");
    near.handle().abort();
    assert!(connection.with(|_, _| ()).unwrap_err().is_closed());
    stage.rest();
    assert!(connection.with(|_, _| ()).unwrap_err().is_closed());
}

pub(crate) fn connection_with_panic_aborts_and_goes_on_in_the_caller<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    let panic =
        catch_unwind(AssertUnwindSafe(|| connection.with(|_, _| -> () { panic!("outside") })))
            .unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"outside"));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert!(near.cause().unwrap().is_panic);
}

pub(crate) fn connection_post_runs_in_a_later_round<L: Link>(stage: &mut Stage<L>) {
    let place: Rc<RefCell<Option<Connection<Probe>>>> = Rc::default();
    let posted = Rc::new(Cell::new(0));
    let (own, count) = (Rc::clone(&place), Rc::clone(&posted));
    let (near, far) = (Log::new(), Log::new());
    let probe = Probe::new(&near).on_data(move |_, _| {
        let (count, before) = (Rc::clone(&count), count.get());
        let inner = Rc::clone(&count);
        own.borrow().as_ref().expect("connected").post(move |_, transport| {
            let _inside = Inside::enter("post");
            transport.write(b"posted");
            inner.set(inner.get() + 1);
        });
        assert_eq!(count.get(), before, "called from inside");
        Ok(())
    });
    let connection = stage.join(probe, Probe::new(&far));
    *place.borrow_mut() = Some(connection.clone());
    far.handle().write(b"go");
    stage.run_until_received(&far, 6);
    assert_eq!(posted.get(), 1);
    // To a connection that is gone: dropped.
    near.handle().abort();
    let dropped = Rc::new(());
    let held = Rc::clone(&dropped);
    connection.post(move |_, _| drop(held));
    stage.run_until_lost(&near);
    stage.rest();
    assert_eq!((posted.get(), Rc::strong_count(&dropped)), (1, 1));
    place.take();
}

pub(crate) fn stale_handles_are_harmless<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    let stale = near.handle();
    let known = stale.info().peer_address().cloned();
    stale.abort();
    stage.run_until_lost(&near);
    stage.rest();
    // The next connection takes the same place in the loop.
    let (next, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&next), Probe::new(&far));
    assert_ne!(stale.id(), next.handle().id());
    assert_ne!(stale, next.handle());
    assert_eq!(stale.write(b"stray"), WriteStatus::Closed);
    assert_eq!(stale.write_bytes(Bytes::from_static(b"stray")), WriteStatus::Closed);
    stale.write_eof();
    stale.pause_reading();
    stale.resume_reading();
    stale.hold_reading();
    stale.set_write_buffer_cap(Some(0));
    stale.set_write_buffer_limits(WaterMarks::from_high(0)).unwrap();
    stale.set_timeout(Timeout::Idle, Some(Duration::from_nanos(1)));
    stale.set_protocol(Box::new(Silent), Bytes::from_static(b"stray"));
    stale.close();
    stale.abort();
    assert!(stale.is_closing() && !stale.is_reading());
    assert_eq!(stale.write_buffer_size(), 0);
    assert_eq!(stale.info().peer_address().cloned(), known, "what it was, not what is there now");
    far.handle().write(b"unharmed");
    stage.run_until_received(&next, 8);
    assert_eq!(next.calls(), [Call::Made, Call::Data]);
    assert_eq!(
        (far.calls(), next.handle().write_buffer_limits().high),
        (vec![Call::Made], 64 * 1024)
    );
}

pub(crate) fn callbacks_never_run_inside_others<L: Link>(stage: &mut Stage<L>) {
    // Everything that leads to callbacks, done from a callback: the probes count their depth.
    let (near, other) = (Log::new(), Log::new());
    let other_far = stage.join_to_probe(Probe::new(&other).echoing());
    let elsewhere = [other.handle(), other_far.handle()];
    let probe = Probe::new(&near).on_data(move |transport, _| {
        transport.set_write_buffer_limits(WaterMarks::from_high(0))?;
        transport.write(&vec![0; MUCH]);
        transport.handle().write(&vec![0; MUCH]);
        for handle in &elsewhere {
            handle.set_write_buffer_limits(WaterMarks::from_high(0))?;
            handle.write(&vec![0; MUCH]);
            handle.set_write_buffer_limits(WaterMarks::default())?;
        }
        elsewhere[0].write_eof();
        elsewhere[0].close();
        transport.close();
        transport.abort();
        Ok(())
    });
    let far = stage.join_to_probe(probe);
    far.handle().write(b"go");
    for log in [&near, &far, &other, &other_far] {
        stage.run_until_lost(log);
    }
}

pub(crate) fn drop_code_of_a_protocol_may_write_and_close<L: Link>(stage: &mut Stage<L>) {
    struct Last {
        others: Vec<TransportHandle>,
        own: Option<TransportHandle>,
    }

    impl Protocol for Last {
        fn connection_made(&mut self, transport: &dyn Transport) -> Result {
            self.own = Some(transport.handle());
            Ok(())
        }

        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
            let data = Bytes::copy_from_slice(data);
            transport.set_protocol(Box::new(Silent), data.clone());
            // Dropped unused, inside a callback.
            let unused = Self { others: self.others.clone(), own: None };
            transport.set_protocol(Box::new(unused), data.clone());
            transport.set_protocol(Box::new(Silent), data);
            Ok(())
        }
    }

    impl Drop for Last {
        fn drop(&mut self) {
            for other in &self.others {
                other.write(b"farewell");
            }
            if let Some(own) = &self.own {
                own.write(b"farewell");
                own.close();
            }
        }
    }

    let (other, far) = (Log::new(), Log::new());
    let other_far = stage.join_to_probe(Probe::new(&other));
    let last = || Last { others: vec![other.handle()], own: None };
    stage.join(last(), Probe::new(&far));
    far.handle().write(b"go");
    stage.run_until_received(&far, 8);
    stage.run_until_lost(&far);
    stage.run_until_received(&other_far, 16);

    // At the end of the connection, and at that of the loop.
    let far = Log::new();
    stage.join(last(), Probe::new(&far));
    far.handle().close();
    stage.run_until_received(&other_far, 24);
    stage.join(last(), Probe::new(&Log::new()));
}

/// Answers nothing and keeps its side open.
#[derive(Default)]
struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::KeepOpen)
    }
}

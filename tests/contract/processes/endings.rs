//! Callbacks of process protocols that fail, and reaching the protocol from outside.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use wharf::{ChildFd, ProcessTransport};

use crate::children::{Event, Log, killed_by};
use crate::serving::{collect_reports, run, until};

// XS.
#[test]
fn a_callback_that_fails_closes_the_process_and_only_connection_lost_follows() {
    run(async |event_loop| {
        let reports = collect_reports(&event_loop);
        for panics in [false, true] {
            let log = Log::reacting(move |event, _| match event {
                Event::Data(_) if panics => panic!("this is wrong"),
                Event::Data(_) => Err("this is wrong".into()),
                _ => Ok(()),
            });
            let process =
                event_loop.subprocess_shell(log.factory(), "echo x; exec sleep 100").await?;
            assert_eq!(process.wait().await?, killed_by(9));
            until(&event_loop, "the end", || log.is_lost()).await;
            let lost = Event::Lost(Some("this is wrong".to_owned()));
            assert_eq!(log.events(), [Event::Made, Event::Data(ChildFd::STDOUT), lost]);
            assert_eq!(log.drops(), 1);
            let reports = reports.take();
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert!(reports[0].contains("pipe_data_received"), "{reports:?}");
        }
        Ok(())
    });
}

// XS.
#[test]
fn a_connection_made_that_fails_ends_the_child_as_well() {
    run(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let log = Log::reacting(|event, _| match event {
            Event::Made => Err("not like this".into()),
            _ => Ok(()),
        });
        let process = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").await?;
        assert_eq!(process.wait().await?, killed_by(9));
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.events(), [Event::Made, Event::Lost(Some("not like this".to_owned()))]);
        assert_eq!(reports.borrow().len(), 1);
        Ok(())
    });
}

// XS.
#[test]
fn a_failure_in_connection_lost_is_reported() {
    run(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let log = Log::reacting(|event, _| match event {
            Event::Lost(_) => Err("too late".into()),
            _ => Ok(()),
        });
        let _process = event_loop.subprocess_exec(log.factory(), "true").await?;
        until(&event_loop, "the end", || log.drops() == 1).await;
        assert_eq!(reports.borrow().len(), 1);
        assert!(reports.borrow()[0].contains("too late"), "{reports:?}");
        Ok(())
    });
}

// XS.
#[test]
fn with_reaches_the_protocol_and_is_busy_inside_its_callbacks_and_closed_later() {
    run(async |event_loop| {
        let seen = Rc::new(Cell::new(None));
        let slot: Rc<Cell<Option<wharf::Process<crate::children::Observer>>>> = Rc::default();
        let (inner_seen, inner_slot) = (Rc::clone(&seen), Rc::clone(&slot));
        let log = Log::reacting(move |event, _| {
            if let (Event::Data(_), Some(process)) = (event, inner_slot.take()) {
                let outcome = process.with(|_, _| ());
                inner_seen.set(Some(outcome.is_err_and(|error| error.is_busy())));
                process.detach();
            }
            Ok(())
        });
        let process = event_loop.subprocess_exec(log.factory(), "cat").await?;
        slot.set(Some(process.clone()));
        let pid = process.with(|_, process| {
            process.write(b"x");
            process.pid()
        })?;
        assert_eq!(pid, process.handle().pid());
        until(&event_loop, "the inner call", || seen.get().is_some()).await;
        assert_eq!(seen.get(), Some(true));
        process.post(|_, process| process.write_eof());
        until(&event_loop, "the end", || log.is_lost()).await;
        assert!(process.with(|_, _| ()).is_err_and(|error| error.is_closed()));
        process.post(|_, _| unreachable!("it is gone"));
        Ok(())
    });
}

// XS.
#[test]
fn a_panic_in_with_closes_the_process_and_goes_on_in_the_caller() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "cat").await?;
        let outcome = catch_unwind(AssertUnwindSafe(|| process.with(|_, _| panic!("oh"))));
        assert!(outcome.is_err());
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.events(), [Event::Made, Event::Lost(Some("oh".to_owned()))]);
        Ok(())
    });
}

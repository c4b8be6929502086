//! Shutting down: every protocol is told, and has until a deadline.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Protocol, Result, Server, Transport};

use crate::loops::{memory_loop, settle};
use crate::serving::{Echo, Seen, collect_reports, run_in_memory, until};

use super::MUCH;

// Beyond asyncio.
#[test]
fn shutdown_tells_every_protocol_and_waits_until_what_they_wrote_is_sent() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let server = event_loop.create_server(served.watcher(), "10.0.0.1:7").await?;
        for _ in 0..3 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 3).await;
        let slow = seen.handles.borrow()[0].clone();
        slow.pause_reading();
        served.handles.borrow()[0].write(&vec![7; MUCH]);
        event_loop.call_later(Duration::from_secs(2), move || slow.resume_reading());

        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(20)).await?, 0);
        assert_eq!((event_loop.time() - began).as_secs(), 2);
        assert_eq!(served.told_to_shut_down.get(), 3);
        assert_eq!(*served.lost.borrow(), [None, None, None]);
        until(&event_loop, "all that was written", || seen.lost() == 3).await;
        assert_eq!(seen.received.borrow().len(), MUCH);
        assert!(seen.lost_cleanly());
        assert!(server.is_closed());
        Ok(())
    });
}

/// Does not close when it is asked to, or only after a while.
struct Stubborn {
    seen: Rc<Seen>,
    closes_after: Option<Duration>,
}

impl Protocol for Stubborn {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.seen.told_to_shut_down.set(self.seen.told_to_shut_down.get() + 1);
        if let Some(after) = self.closes_after {
            let handle = transport.handle();
            transport.event_loop().call_later(after, move || {
                handle.write(b"good-bye");
                handle.close();
            });
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.seen.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

// Beyond asyncio.
#[test]
fn shutdown_aborts_at_its_deadline_who_is_left_and_counts_them() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let own = Rc::clone(&served);
        let mut after = [None, None, Some(Duration::from_secs(1))].into_iter().cycle();
        let factory = move || Stubborn {
            seen: Rc::clone(&own),
            closes_after: after.next().expect("for ever"),
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        for _ in 0..3 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 3).await;
        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(5)).await?, 2);
        assert_eq!((event_loop.time() - began).as_millis(), 5000);
        assert_eq!(served.told_to_shut_down.get(), 3);
        assert_eq!(*served.lost.borrow(), [None, None, None]);
        until(&event_loop, "three ends", || seen.lost() == 3).await;
        assert_eq!(*seen.received.borrow(), b"good-bye");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn shutdown_is_over_at_once_without_connections_and_repeatable_with_another_deadline() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 0);
        assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 0);
        assert_eq!(event_loop.time(), began);

        let served = Seen::new();
        let own = Rc::clone(&served);
        let factory = move || Stubborn { seen: Rc::clone(&own), closes_after: None };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let patient = server.shutdown(Duration::from_secs(60));
        assert_eq!(server.shutdown(Duration::ZERO).await?, 1);
        assert_eq!(patient.await?, 0, "it had nobody to abort");
        Ok(())
    });
}

/// Shuts its server down from inside a callback.
struct ShuttingDown {
    server: Rc<RefCell<Option<Server>>>,
    trace: Rc<RefCell<Vec<&'static str>>>,
}

impl Protocol for ShuttingDown {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        self.trace.borrow_mut().push("data");
        let server = self.server.borrow().clone().expect("a server");
        server.shutdown(Duration::from_secs(1)).detach();
        transport.write(b"good-bye");
        self.trace.borrow_mut().push("data done");
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.trace.borrow_mut().push("shutting down");
        transport.close();
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.trace.borrow_mut().push("lost");
        Ok(())
    }
}

// Beyond asyncio.
#[test]
fn shutdown_from_inside_a_callback_calls_nobody_before_it_returns() {
    run_in_memory(async |event_loop| {
        let (place, trace) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(Vec::new())));
        let (server, list) = (Rc::clone(&place), Rc::clone(&trace));
        let factory = move || ShuttingDown { server: Rc::clone(&server), trace: Rc::clone(&list) };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        *place.borrow_mut() = Some(server.clone());
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        client.with(|_, transport| transport.write(b"stop"))?;
        server.wait_closed().await?;
        assert_eq!(*trace.borrow(), ["data", "data done", "shutting down", "lost"]);
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(*seen.received.borrow(), b"good-bye");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_loop_that_closes_ends_a_pending_shutdown_and_its_connections() {
    let event_loop = memory_loop();
    let served = Seen::new();
    let own = Rc::clone(&served);
    let ending = event_loop
        .run(async |event_loop| {
            let factory = move || Stubborn { seen: Rc::clone(&own), closes_after: None };
            let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
            until(&event_loop, "a connection", || server.connections() == 1).await;
            Ok(server.shutdown(Duration::from_secs(60)))
        })
        .unwrap();
    settle(&event_loop).unwrap();
    assert!(!ending.is_done());
    drop(event_loop);
    assert_eq!(*served.lost.borrow(), [None]);
    assert!(ending.is_cancelled());
}

// Beyond asyncio.
#[test]
fn a_protocol_that_fails_in_shutting_down_loses_its_own_connection_only() {
    struct Failing(Rc<Seen>, bool);

    impl Protocol for Failing {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
            assert!(!self.1, "not now");
            transport.close();
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.0.lost.borrow_mut().push(error.map(ToString::to_string));
            Ok(())
        }
    }

    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let served = Seen::new();
        let own = Rc::clone(&served);
        let mut fails = [true, false].into_iter().cycle();
        let factory = move || Failing(Rc::clone(&own), fails.next().expect("for ever"));
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        for _ in 0..2 {
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 2).await;
        assert_eq!(server.shutdown(Duration::from_secs(9)).await?, 0);
        assert_eq!(*served.lost.borrow(), [Some("not now".into()), None]);
        assert_eq!(reports.borrow().len(), 1);
        Ok(())
    });
}

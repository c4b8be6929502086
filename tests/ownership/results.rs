//! Results that nobody takes, and results that somebody has.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::testing::{MemoryNetwork, settle};
use wharf::{
    Connection, DatagramProtocol, DatagramTransport, EventLoop, LoopFuture, Protocol, Result,
    Server, Transport, TransportHandle,
};

use crate::serving::{Echo, Seen};

fn with_server() -> (EventLoop, Server, Rc<Seen>) {
    let event_loop = MemoryNetwork::new().event_loop();
    let seen = Seen::new();
    let server = event_loop.create_server(seen.watcher(), "10.0.0.1:7").start();
    let server = event_loop.run_until_complete(server).expect("the loop runs").expect("a server");
    (event_loop, server, seen)
}

fn connecting(event_loop: &EventLoop) -> LoopFuture<Connection<Echo>> {
    event_loop.create_connection(|| Echo, "10.0.0.1:7").start()
}

/// How many connections are open after the loop has come to rest.
fn open(event_loop: &EventLoop) -> u64 {
    settle(event_loop).expect("the loop runs");
    event_loop.statistics().connections_open / 2
}

#[test]
fn a_connection_that_nobody_took_is_closed_in_order() {
    struct Speaks;
    impl Protocol for Speaks {
        fn connection_made(&mut self, transport: &dyn Transport) -> Result {
            transport.write(b"hello");
            Ok(())
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let (event_loop, _server, seen) = with_server();
    let made = event_loop.create_connection(|| Speaks, "10.0.0.1:7").start();
    assert_eq!(open(&event_loop), 1);
    assert!(made.is_done());
    drop(made);
    assert_eq!(open(&event_loop), 0);
    assert_eq!(*seen.received.borrow(), b"hello", "what it had written arrives");
    assert!(seen.lost_cleanly());
}

#[test]
fn a_connection_that_somebody_took_stays_when_it_is_dropped() {
    let (event_loop, _server, _) = with_server();
    let connection = event_loop.run_until_complete(connecting(&event_loop)).expect("the loop runs");
    drop(connection);
    assert_eq!(open(&event_loop), 1, "awaited");
    let made = connecting(&event_loop);
    assert_eq!(open(&event_loop), 2);
    drop(made.take_result());
    drop(made);
    assert_eq!(open(&event_loop), 2, "taken");
    connecting(&event_loop).detach();
    assert_eq!(open(&event_loop), 3, "detached");
    let made = connecting(&event_loop);
    open(&event_loop);
    made.detach();
    assert_eq!(open(&event_loop), 4, "detached when it was done");
    let task = event_loop.create_task(connecting(&event_loop));
    open(&event_loop);
    task.detach();
    assert_eq!(open(&event_loop), 5, "detached as a task");
}

#[test]
fn a_result_that_a_done_callback_saw_stays_open() {
    let (event_loop, _server, _) = with_server();
    let made = connecting(&event_loop);
    let kept = Rc::new(RefCell::new(None));
    let place = Rc::clone(&kept);
    made.add_done_callback(move |result| {
        let handle = result.as_ref().ok().map(|made| made.handle().clone());
        *place.borrow_mut() = handle;
    });
    drop(made);
    assert_eq!(open(&event_loop), 1);
    kept.borrow().as_ref().expect("a handle").close();
    assert_eq!(open(&event_loop), 0);
}

#[test]
fn taking_back_the_last_callback_of_a_dropped_future_cancels_and_of_a_kept_one_does_not() {
    let (event_loop, _server, _) = with_server();
    let made = connecting(&event_loop);
    let handle = made.add_done_callback(|_| {});
    handle.cancel();
    assert!(handle.is_cancelled());
    assert_eq!(open(&event_loop), 1, "the future still waits");
    drop(made);
    assert_eq!(open(&event_loop), 0, "and without it nobody does");

    let made = connecting(&event_loop);
    let (one, two) = (made.add_done_callback(|_| {}), made.add_done_callback(|_| {}));
    drop(made);
    one.cancel();
    assert_eq!(event_loop.statistics().tasks, 1, "one is left");
    two.cancel();
    assert_eq!(open(&event_loop), 0);

    let made = connecting(&event_loop);
    made.add_done_callback(|_| {}).cancel();
    drop(made);
    assert_eq!(open(&event_loop), 0, "there was nobody who kept it");
}

#[test]
fn a_result_is_closed_wherever_it_is_in_the_output_of_a_task() {
    #[allow(dead_code, reason = "it is dropped with what is in it")]
    enum Made {
        Both(Box<Connection<Echo>>, Vec<Option<Connection<Echo>>>),
    }
    let (event_loop, _server, _) = with_server();
    let (one, two) = (connecting(&event_loop), connecting(&event_loop));
    let task = event_loop.create_task(async move {
        Ok::<_, wharf::Error>(Rc::new(Made::Both(Box::new(one.await?), vec![Some(two.await?)])))
    });
    assert_eq!(open(&event_loop), 2);
    assert!(task.is_done());
    drop(task);
    assert_eq!(open(&event_loop), 0);
}

#[test]
fn a_result_that_has_a_clone_elsewhere_stays_open() {
    let (event_loop, _server, _) = with_server();
    let registry = Rc::new(RefCell::new(Vec::new()));
    let (made, list) = (connecting(&event_loop), Rc::clone(&registry));
    let task = event_loop.create_task(async move {
        let made = made.await?;
        list.borrow_mut().push(made.clone());
        Ok::<_, wharf::Error>(made)
    });
    open(&event_loop);
    drop(task);
    assert_eq!(open(&event_loop), 1);
    registry.take();
    assert_eq!(open(&event_loop), 1, "somebody had it");
}

#[test]
fn cancelling_inside_connection_made_is_in_time() {
    /// Cancels what it is the result of.
    struct Cancels(Rc<RefCell<Option<LoopFuture<Connection<Cancels>>>>>, Rc<Cell<bool>>);
    impl Protocol for Cancels {
        fn connection_made(&mut self, _: &dyn Transport) -> Result {
            let connecting = self.0.borrow();
            self.1.set(connecting.as_ref().is_some_and(LoopFuture::cancel));
            Ok(())
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let (event_loop, _server, _) = with_server();
    let (place, was_in_time) = (Rc::default(), Rc::default());
    let protocol = Cancels(Rc::clone(&place), Rc::clone(&was_in_time));
    let connecting = event_loop.create_connection(|| protocol, "10.0.0.1:7").start();
    place.borrow_mut().replace(connecting);
    assert_eq!(open(&event_loop), 0);
    assert!(was_in_time.get());
    drop(place.take());
}

#[cfg(feature = "tls")]
#[test]
fn cancelling_inside_connection_made_is_in_time_under_tls() {
    struct Cancels(Rc<RefCell<Option<wharf::Task<Connected>>>>, Rc<Cell<bool>>);
    type Connected = std::result::Result<Connection<Cancels>, wharf::Error>;
    impl Protocol for Cancels {
        fn connection_made(&mut self, _: &dyn Transport) -> Result {
            let connecting = self.0.borrow();
            self.1.set(connecting.as_ref().is_some_and(|connecting| connecting.cancel()));
            Ok(())
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        let tls = crate::encryption::Tls::new(version);
        let event_loop = MemoryNetwork::new().event_loop();
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").tls(&tls.server).start();
        let server = event_loop.run_until_complete(server).expect("the loop runs");
        server.expect("a server");
        let (place, was_in_time) = (Rc::default(), Rc::default());
        let protocol = Cancels(Rc::clone(&place), Rc::clone(&was_in_time));
        let connecting =
            event_loop.create_connection(|| protocol, "10.0.0.1:7").tls(&tls.client).start();
        place.borrow_mut().replace(event_loop.create_task(connecting));
        assert_eq!(open(&event_loop), 0);
        assert!(was_in_time.get());
        drop(place.take());
    }
}

#[test]
fn a_server_that_nobody_took_is_closed_with_its_connections() {
    let event_loop = MemoryNetwork::new().event_loop();
    let server = event_loop.create_server(|| Echo, "10.0.0.1:7").start();
    settle(&event_loop).expect("the loop runs");
    assert!(server.is_done());
    connecting(&event_loop).detach();
    assert_eq!(open(&event_loop), 1);
    drop(server);
    assert_eq!(open(&event_loop), 0);
    let refused = event_loop.run_until_complete(connecting(&event_loop)).expect("the loop runs");
    assert!(refused.unwrap_err().is_connect());
    assert_eq!(event_loop.statistics().sources, 0);
}

#[test]
fn a_closed_servers_factory_keeps_what_it_was_given() {
    let (event_loop, _server, _) = with_server();
    let upstream = event_loop.run_until_complete(connecting(&event_loop)).expect("the loop runs");
    let upstream = upstream.expect("a connection");
    let factory = move || {
        let _ = &upstream;
        Echo
    };
    let server = event_loop.create_server(factory, "10.0.0.1:8").start();
    settle(&event_loop).expect("the loop runs");
    drop(server);
    assert_eq!(open(&event_loop), 1, "it was taken, and then dropped with the factory");
}

#[test]
fn an_endpoint_that_nobody_took_is_closed() {
    struct Lost(Rc<Cell<u32>>);
    impl DatagramProtocol for Lost {
        fn datagram_received(
            &mut self,
            _: &dyn DatagramTransport,
            _: &[u8],
            _: &wharf::Address,
        ) -> Result {
            Ok(())
        }
        fn connection_lost(
            &mut self,
            _: &dyn DatagramTransport,
            _: Option<&wharf::Error>,
        ) -> Result {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }
    let event_loop = MemoryNetwork::new().event_loop();
    let lost = Rc::new(Cell::new(0));
    let open = |lost: &Rc<Cell<u32>>| {
        let protocol = Lost(Rc::clone(lost));
        event_loop.create_datagram_endpoint(|| protocol).local_address("10.0.0.1:7").start()
    };
    let endpoint = open(&lost);
    settle(&event_loop).expect("the loop runs");
    drop(endpoint);
    settle(&event_loop).expect("the loop runs");
    assert_eq!((lost.get(), event_loop.statistics().sources), (1, 0));
    let endpoint = event_loop.run_until_complete(open(&lost)).expect("the loop runs");
    drop(endpoint.expect("an endpoint"));
    settle(&event_loop).expect("the loop runs");
    assert_eq!((lost.get(), event_loop.statistics().sources), (1, 1), "that one was taken");
}

/// A value that a promise's owner is given back is not closed: its owner decides.
#[test]
fn a_promise_gives_a_refused_value_back_as_it_is() {
    let (event_loop, _server, _) = with_server();
    let made = event_loop.run_until_complete(connecting(&event_loop)).expect("the loop runs");
    let (promise, future) = event_loop.create_future();
    future.cancel();
    let refused = promise.set_result(made.expect("a connection"));
    assert!(refused.is_err());
    drop(refused);
    assert_eq!(open(&event_loop), 1);

    let made = event_loop.run_until_complete(connecting(&event_loop)).expect("the loop runs");
    let handle: TransportHandle = made.as_ref().expect("a connection").handle().clone();
    let (promise, future) = event_loop.create_future();
    assert!(promise.set_result(made).is_ok());
    drop(future);
    assert!(handle.is_closing(), "nobody took it from the future");
    assert_eq!(open(&event_loop), 1);
}

//! Cases that once went wrong, as they were found.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::testing::{MemoryNetwork, pair, settle};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Error, EventLoop, Protocol, Result, Transport,
    TransportHandle,
};

use crate::stage::{alone, descriptors};

fn memory_loop() -> (EventLoop, Rc<RefCell<Vec<String>>>) {
    let event_loop = MemoryNetwork::new().event_loop();
    let reports: Rc<RefCell<Vec<String>>> = Rc::default();
    let told = Rc::clone(&reports);
    event_loop.set_exception_handler(move |_, exception| {
        told.borrow_mut().push(exception.to_string());
    });
    (event_loop, reports)
}

#[test]
fn a_cancel_action_is_called_after_the_callback_that_cancels() {
    let (event_loop, reports) = memory_loop();
    let order: Rc<RefCell<Vec<&str>>> = Rc::default();
    let (promise, future) = event_loop.create_future::<()>();
    let noted = Rc::clone(&order);
    promise.on_cancel(move || noted.borrow_mut().push("action"));
    let noted = Rc::clone(&order);
    event_loop.call_soon(move || {
        drop(future);
        noted.borrow_mut().push("callback");
    });
    settle(&event_loop).unwrap();
    assert_eq!(*order.borrow(), ["callback", "action"]);
    assert!(promise.is_cancelled());
    assert!(reports.borrow().is_empty());
}

#[test]
fn a_cancel_action_that_comes_after_the_cancel_is_called() {
    let (event_loop, _) = memory_loop();
    let called = Rc::new(Cell::new(0));
    let (promise, future) = event_loop.create_future::<()>();
    future.cancel();
    let count = Rc::clone(&called);
    promise.on_cancel(move || count.set(count.get() + 1));
    assert_eq!(called.get(), 1);
    let count = Rc::clone(&called);
    event_loop.call_soon(move || promise.on_cancel(move || count.set(count.get() + 1)));
    settle(&event_loop).unwrap();
    assert_eq!(called.get(), 2);
}

#[test]
fn a_cancel_action_is_called_when_the_loop_closes_first() {
    let (event_loop, _) = memory_loop();
    let called = Rc::new(Cell::new(0));
    let (promise, future) = event_loop.create_future::<()>();
    let count = Rc::clone(&called);
    promise.on_cancel(move || count.set(count.get() + 1));
    let held = event_loop.create_task(future);
    settle(&event_loop).unwrap();
    held.detach();
    event_loop.close().unwrap();
    assert_eq!(called.get(), 1);
    // And after it.
    let (promise, future) = event_loop.create_future::<()>();
    let count = Rc::clone(&called);
    promise.on_cancel(move || count.set(count.get() + 1));
    drop(future);
    assert_eq!(called.get(), 2);
}

#[test]
fn taking_back_the_only_done_callback_lets_a_drop_cancel_again() {
    let (event_loop, _) = memory_loop();
    // Taken back first, then dropped.
    let (promise, future) = event_loop.create_future::<()>();
    future.add_done_callback(|_| {}).cancel();
    drop(future);
    assert!(promise.is_cancelled());
    // Dropped first: nobody is left when it is taken back.
    let (promise, future) = event_loop.create_future::<()>();
    let handle = future.add_done_callback(|_| {});
    drop(future);
    assert!(!promise.is_cancelled());
    handle.cancel();
    assert!(promise.is_cancelled());
    // Another one is still there; and one that is detached needs none.
    let (promise, future) = event_loop.create_future::<()>();
    let handle = future.add_done_callback(|_| {});
    future.add_done_callback(|_| {});
    drop(future);
    handle.cancel();
    assert!(!promise.is_cancelled());
    let (promise, future) = event_loop.create_future::<()>();
    let handle = future.add_done_callback(|_| {});
    future.detach();
    handle.cancel();
    assert!(!promise.is_cancelled());
}

#[test]
fn a_closed_loop_keeps_no_exception_handler() {
    let _alone = alone();
    let before = descriptors();
    for _ in 0..20 {
        let event_loop = EventLoop::new().unwrap();
        event_loop.close().unwrap();
        let own = event_loop.clone();
        event_loop.set_exception_handler(move |_, _| drop(own.clone()));
        // One that closes the loop while it runs, and one that is set while all is dropped.
        let event_loop = EventLoop::new().unwrap();
        let own = event_loop.clone();
        event_loop.set_exception_handler(move |event_loop, _| {
            let _ = own.close();
            let own = event_loop.clone();
            event_loop.set_exception_handler(move |_, _| drop(own.clone()));
        });
        event_loop.call_exception_handler("something", None);
        assert!(event_loop.is_closed());
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_failing_datagram_received_is_called_by_its_name() {
    struct Fails(bool);
    impl DatagramProtocol for Fails {
        fn datagram_received(
            &mut self,
            _: &dyn DatagramTransport,
            _: &[u8],
            _: &Address,
        ) -> Result {
            assert!(!self.0, "on purpose");
            Err("bad".into())
        }
    }
    crate::keep_quiet();
    let (event_loop, reports) = memory_loop();
    for panics in [false, true] {
        let run = |builder: wharf::DatagramEndpointBuilder<Fails>| {
            event_loop.run_until_complete(builder.start()).unwrap().unwrap()
        };
        let receiver = event_loop.create_datagram_endpoint(move || Fails(panics));
        let receiver = run(receiver.local_address("10.0.0.1:7"));
        let sender =
            run(event_loop.create_datagram_endpoint(|| Fails(false)).local_address("10.0.0.2:7"));
        let to = "10.0.0.1:7".parse::<std::net::SocketAddr>().unwrap();
        sender.handle().send_to(b"x", &to.into()).unwrap();
        settle(&event_loop).unwrap();
        let told = reports.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(" in datagram_received: "), "{told:?}");
        receiver.handle().abort();
        sender.handle().abort();
        settle(&event_loop).unwrap();
    }
}

#[test]
fn a_loop_in_memory_says_that_it_does_not_wait_for_other_threads() {
    let (event_loop, _) = memory_loop();
    let waiting = event_loop.run_until_complete(std::future::pending::<()>());
    let error = waiting.unwrap_err();
    assert!(error.is_deadlock());
    assert!(format!("{error:#}").contains("another thread"), "{error}");
}

thread_local! {
    static OWN: RefCell<Option<TransportHandle>> = const { RefCell::new(None) };
}

/// Bytes whose owner uses the connection that they were given to.
struct Meddles(&'static [u8]);

impl AsRef<[u8]> for Meddles {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Meddles {
    fn drop(&mut self) {
        let own = OWN.with_borrow(Clone::clone);
        if let Some(own) = own {
            let _ = own.info();
            own.set_read_limit(Some(wharf::RateLimit::bytes_per_second(1_000_000)));
            own.write(b"!");
        }
    }
}

/// Notes what it receives.
struct Notes(Rc<RefCell<Vec<u8>>>, u32);

impl Protocol for Notes {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        if self.1 > 0 {
            OWN.set(Some(transport.handle()));
            for text in [&b"one "[..], b"two ", b"three "] {
                let next = Notes(Rc::clone(&self.0), self.1 - 1);
                transport.set_protocol(Box::new(next), Bytes::from_owner(Meddles(text)));
            }
        }
        Ok(())
    }
}

#[test]
fn the_drop_of_bytes_left_over_may_use_their_connection() {
    let (event_loop, reports) = memory_loop();
    let received: Rc<RefCell<Vec<u8>>> = Rc::default();
    let answer: Rc<RefCell<Vec<u8>>> = Rc::default();
    let (near, far) = (Notes(Rc::clone(&received), 1), Notes(Rc::clone(&answer), 0));
    let (_, far) = pair(&event_loop, 1 << 16, near, far).unwrap();
    far.handle().write(b"zero ");
    settle(&event_loop).unwrap();
    assert_eq!(received.borrow().as_slice(), b"zero one two three ");
    assert_eq!(answer.borrow().as_slice(), b"!!!");
    assert!(reports.borrow().is_empty(), "{:?}", reports.borrow());
    OWN.set(None);
}

#[test]
fn an_error_whose_text_panics_is_reported_by_the_default_handler() {
    struct Fails;
    #[derive(Debug)]
    struct NoText;
    impl std::fmt::Display for NoText {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    impl std::error::Error for NoText {}
    impl Protocol for Fails {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
            // A file that waits is told the error, too.
            let file = Rc::new(std::fs::File::open("Cargo.toml")?);
            transport.send_file(file, 0, None).detach();
            Err(NoText.into())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
            assert!(error.is_some_and(Error::is_application));
            Ok(())
        }
    }
    crate::keep_quiet();
    let event_loop = MemoryNetwork::new().event_loop();
    let (near, far) = (Fails, Notes(Rc::default(), 0));
    let (_, far) = pair(&event_loop, 64, near, far).unwrap();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.connections_open, statistics.sources, statistics.exceptions), (0, 0, 1));
}

/// A resolver that unwraps the client's server name, and a client that sends none.
#[cfg(feature = "tls")]
#[test]
fn a_client_without_a_name_cannot_stop_a_server_whose_resolver_unwraps_it() {
    use std::sync::Arc;

    use wharf::interop::rustls::server::{ClientHello, ResolvesServerCert};
    use wharf::interop::rustls::sign::CertifiedKey;

    use crate::points::tls::{client_config, quiet, server_config};

    #[derive(Debug)]
    struct Unwraps(Arc<dyn ResolvesServerCert>);
    impl ResolvesServerCert for Unwraps {
        fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            hello.server_name().expect("a name, or a panic on purpose");
            self.0.resolve(hello)
        }
    }
    struct Idle;
    impl Protocol for Idle {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    crate::keep_quiet();
    let (event_loop, reports) = memory_loop();
    let config = server_config(Arc::new(Unwraps(quiet())));
    let failed = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&failed);
    let server = event_loop
        .create_server(|| Idle, "10.0.0.1:7")
        .tls(wharf::interop::tls_server(config))
        .on_accept_error(move |error| told.borrow_mut().push(format!("{error:#}")));
    let server = event_loop.run_until_complete(server.start()).unwrap().unwrap();
    for name in ["10.0.0.1", "localhost", "10.0.0.1", "localhost"] {
        let client = wharf::interop::tls_client(client_config()).server_name(name);
        let connecting = event_loop.create_connection(|| Idle, "10.0.0.1:7").tls(client).start();
        let connected = event_loop.run_until_complete(connecting).unwrap();
        assert_eq!(connected.is_ok(), name == "localhost", "{name}: {connected:?}");
        if let Ok(connection) = connected {
            connection.handle().abort();
        }
        settle(&event_loop).unwrap();
    }
    assert_eq!(failed.borrow().len(), 2, "{:?}", failed.borrow());
    assert_eq!(reports.borrow().len(), 2, "{:?}", reports.borrow());
    assert!(reports.borrow()[0].contains("on purpose"));
    assert_eq!(server.connections(), 0);
}

/// One way leads into foreign code.
#[test]
fn only_the_fence_catches_panics() {
    fn look(directory: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // Unit tests come last in a file.
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let name = path.display().to_string();
                let is_test = name.contains("/tests") || name.ends_with("fence.rs");
                if text.contains("catch_unwind") && !is_test {
                    found.push(name);
                }
            }
        }
    }
    let mut found = Vec::new();
    look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "catch_unwind outside the fence: {found:?}");
}

#[test]
fn an_error_of_whoever_aborted_itself_is_dropped_behind_the_fence() {
    use crate::bomb::{Bomb, DropError};
    struct Aborts(Bomb);
    impl DatagramProtocol for Aborts {
        fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
            transport.abort();
            Err(wharf::Failure::new(DropError(self.0.on_drop())))
        }
        fn datagram_received(
            &mut self,
            _: &dyn DatagramTransport,
            _: &[u8],
            _: &Address,
        ) -> Result {
            Ok(())
        }
    }
    impl Protocol for Aborts {
        fn connection_made(&mut self, transport: &dyn Transport) -> Result {
            transport.abort();
            Err(wharf::Failure::new(DropError(self.0.on_drop())))
        }
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    impl wharf::ProcessProtocol for Aborts {
        fn connection_made(&mut self, process: &dyn wharf::ProcessTransport) -> Result {
            process.close();
            Err(wharf::Failure::new(DropError(self.0.on_drop())))
        }
    }
    crate::keep_quiet();
    let (event_loop, reports) = memory_loop();
    let system = EventLoop::new().unwrap();
    let told = Rc::clone(&reports);
    system.set_exception_handler(move |_, exception| {
        told.borrow_mut().push(exception.to_string());
    });
    let check = |bomb: &Bomb| {
        assert!(bomb.has_gone_off());
        let told = reports.take();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].starts_with("dropping a user's error panicked"), "{told:?}");
        assert_eq!(wharf::testing::unfenced_panics(), 0, "{told:?}");
    };
    let bomb = Bomb::new(1);
    let own = bomb.clone();
    let endpoint = event_loop.create_datagram_endpoint(move || Aborts(own));
    let endpoint = event_loop.run_until_complete(endpoint.local_address("10.0.0.1:7").start());
    settle(&event_loop).unwrap();
    drop(endpoint);
    check(&bomb);
    let bomb = Bomb::new(1);
    pair(&event_loop, 64, Aborts(bomb.clone()), Notes(Rc::default(), 0)).unwrap();
    settle(&event_loop).unwrap();
    check(&bomb);
    let bomb = Bomb::new(1);
    let own = bomb.clone();
    let process = system.subprocess_exec(move || Aborts(own), "true");
    let process = system.run_until_complete(process.start()).unwrap().unwrap();
    system.run_until_complete(process.wait()).unwrap().unwrap();
    settle(&system).unwrap();
    drop(process);
    check(&bomb);
}

//! Something unwinds through a tick on purpose, which nothing should: the loop is whole afterwards.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::drop_failed;
use crate::event_loop::EventLoop;
use crate::fence::{Trip, tripping};
use crate::testing::{MemoryNetwork, pair, settle, step};
use crate::{
    Address, DatagramProtocol, DatagramTransport, Endpoint, Error, Protocol, Result, Transport,
};

/// What became of one protocol.
#[derive(Default)]
struct Seen {
    made: Cell<u32>,
    lost: Cell<u32>,
    dropped: Cell<u32>,
    error: RefCell<Option<String>>,
    received: RefCell<Vec<u8>>,
}

struct Probe {
    seen: Rc<Seen>,
    echoes: bool,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.seen.dropped.set(self.seen.dropped.get() + 1);
    }
}

impl Probe {
    fn new(seen: &Rc<Seen>, echoes: bool) -> Self {
        Self { seen: Rc::clone(seen), echoes }
    }

    fn lose(&self, error: Option<&Error>) {
        self.seen.lost.set(self.seen.lost.get() + 1);
        *self.seen.error.borrow_mut() = error.map(ToString::to_string);
    }
}

impl Protocol for Probe {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.seen.made.set(self.seen.made.get() + 1);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.seen.received.borrow_mut().extend_from_slice(data);
        if self.echoes {
            transport.write(data);
        }
        if data == b"end" {
            return Err("the end".into());
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.lose(error);
        Ok(())
    }
}

impl DatagramProtocol for Probe {
    fn connection_made(&mut self, _: &dyn DatagramTransport) -> Result {
        self.seen.made.set(self.seen.made.get() + 1);
        Ok(())
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        self.seen.received.borrow_mut().extend_from_slice(data);
        if self.echoes {
            transport.send_to(data, from)?;
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn DatagramTransport, error: Option<&Error>) -> Result {
        self.lose(error);
        Ok(())
    }
}

/// A loop, and what it reports.
struct Stage {
    event_loop: EventLoop,
    reports: Rc<RefCell<Vec<String>>>,
    probes: RefCell<Vec<Rc<Seen>>>,
}

impl Stage {
    fn new(event_loop: EventLoop) -> Self {
        let reports: Rc<RefCell<Vec<String>>> = Rc::default();
        let told = Rc::clone(&reports);
        event_loop.set_exception_handler(move |_, exception| {
            told.borrow_mut().push(exception.to_string());
        });
        Self { event_loop, reports, probes: RefCell::default() }
    }

    fn probe(&self, echoes: bool) -> (Probe, Rc<Seen>) {
        let seen = Rc::new(Seen::default());
        self.probes.borrow_mut().push(Rc::clone(&seen));
        (Probe::new(&seen, echoes), seen)
    }

    /// Two ends in memory, the second of which echoes.
    fn join(&self) -> (crate::Connection<Probe>, Rc<Seen>, crate::Connection<Probe>, Rc<Seen>) {
        let ((near, near_seen), (far, far_seen)) = (self.probe(false), self.probe(true));
        let (near, far) = pair(&self.event_loop, 1 << 16, near, far).unwrap();
        (near, near_seen, far, far_seen)
    }

    fn endpoint(&self, address: &str, echoes: bool) -> (Endpoint<Probe>, Rc<Seen>) {
        let (probe, seen) = self.probe(echoes);
        let opening =
            self.event_loop.create_datagram_endpoint(|| probe).local_address(address).start();
        (self.event_loop.run_until_complete(opening).unwrap().unwrap(), seen)
    }

    /// Has something unwind at `at`, the `later`-th time it comes there from now on.
    fn arm(&self, at: Trip, later: u32) {
        tripping::arm(at, later);
    }

    /// What was armed has unwound, was reported once, and went no further.
    #[track_caller]
    fn expect_tripped(&self) {
        settle(&self.event_loop).unwrap();
        assert!(!tripping::disarm(), "it did not come there");
        let reports = self.reports.take();
        let unfenced = |text: &&String| text.contains("passed through the event loop");
        assert_eq!(reports.iter().filter(unfenced).count(), 1, "{reports:?}");
    }

    /// A new connection is served, with nothing of what others wrote.
    #[track_caller]
    fn expect_serves(&self) {
        let (near, near_seen, ..) = self.join();
        near.handle().write(b"ping");
        settle(&self.event_loop).unwrap();
        assert_eq!(near_seen.received.borrow().as_slice(), b"ping");
        near.handle().close();
        settle(&self.event_loop).unwrap();
    }

    /// Every protocol was told its end once, and nothing is left.
    #[track_caller]
    fn expect_clean(self) {
        settle(&self.event_loop).unwrap();
        for (number, seen) in self.probes.borrow().iter().enumerate() {
            let counts = (seen.made.get(), seen.lost.get(), seen.dropped.get());
            assert_eq!(counts, (1, 1, 1), "made, lost and dropped: protocol {number}");
        }
        let statistics = self.event_loop.statistics();
        let left =
            (statistics.connections_open, statistics.sources, statistics.timers, statistics.ready);
        assert_eq!(left, (0, 0, 0, 0), "{statistics:?}");
        assert!(self.reports.borrow().is_empty(), "{:?}", self.reports.borrow());
    }
}

fn loops() -> [EventLoop; 2] {
    [MemoryNetwork::new().event_loop(), EventLoop::new().unwrap()]
}

#[test]
fn what_unwinds_before_a_connection_has_its_turn_costs_it_no_input() {
    for event_loop in loops() {
        let stage = Stage::new(event_loop);
        let (near, near_seen, ..) = stage.join();
        let (other, other_seen, ..) = stage.join();
        for (connection, seen) in [(&near, &near_seen), (&other, &other_seen)] {
            stage.arm(Trip::Dispatch, 0);
            connection.handle().write(b"hello");
            stage.expect_tripped();
            assert_eq!(seen.received.borrow().as_slice(), b"hello");
        }
        stage.arm(Trip::Update, 0);
        near.handle().write(b"!");
        other.handle().write(b"?");
        stage.expect_tripped();
        assert_eq!(near_seen.received.borrow().as_slice(), b"hello!");
        assert_eq!(other_seen.received.borrow().as_slice(), b"hello?");
        stage.expect_serves();
        near.handle().close();
        other.handle().close();
        stage.expect_clean();
    }
}

#[test]
fn what_unwinds_at_the_end_of_a_callback_ends_its_connection_alone() {
    for event_loop in loops() {
        let stage = Stage::new(event_loop);
        let (near, near_seen, _, far_seen) = stage.join();
        let (other, other_seen, ..) = stage.join();
        near.handle().write(b"secret");
        other.handle().write(b"mine");
        // The far end's `data_received`: what it has echoed waits to be sent.
        stage.arm(Trip::EndOfCallback, 0);
        stage.expect_tripped();
        assert_eq!(other_seen.received.borrow().as_slice(), b"mine", "the other one goes on");
        assert!(near_seen.received.borrow().is_empty());
        assert_eq!(far_seen.lost.get(), 1);
        let error = far_seen.error.borrow().clone().unwrap();
        assert!(error.contains("tripped"), "{error}");
        stage.expect_serves();
        other.handle().close();
        stage.expect_clean();
    }
}

#[test]
fn what_unwinds_while_connections_are_finished_is_made_up_for() {
    for at in [Trip::Finish, Trip::EndOfCallback, Trip::LetGo] {
        for event_loop in loops() {
            for fails in [false, true] {
                let stage = Stage::new(event_loop.clone());
                let (near, near_seen, _, far_seen) = stage.join();
                let (other, other_seen, ..) = stage.join();
                if fails {
                    near.handle().write(b"end");
                    while far_seen.received.borrow().is_empty() {
                        // Its callback has returned, its end is told in the same tick: one step before.
                        stage.arm(at, u32::from(at == Trip::EndOfCallback));
                        step(&event_loop).unwrap();
                    }
                } else {
                    stage.arm(at, 0);
                    near.handle().abort();
                    other.handle().abort();
                }
                stage.expect_tripped();
                assert_eq!((near_seen.lost.get(), far_seen.lost.get()), (1, 1), "{at:?}");
                if fails {
                    let error = far_seen.error.borrow().clone();
                    assert_eq!(error.as_deref(), Some("the end"), "{at:?}: told as it was");
                    other.handle().close();
                    settle(&event_loop).unwrap();
                    stage.reports.take();
                }
                assert_eq!(other_seen.lost.get(), 1);
                stage.expect_serves();
                stage.expect_clean();
            }
        }
    }
}

#[test]
fn what_unwinds_in_a_datagram_endpoint_leaves_the_others_and_the_lists_whole() {
    let to = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
    for at in [Trip::Dispatch, Trip::EndOfCallback, Trip::Finish, Trip::LetGo] {
        let stage = Stage::new(MemoryNetwork::new().event_loop());
        let (server, server_seen) = stage.endpoint("10.0.0.1:7", true);
        let (client, client_seen) = stage.endpoint("10.0.0.2:7", false);
        let (other, other_seen) = stage.endpoint("10.0.0.3:7", true);
        settle(&stage.event_loop).unwrap();
        let ends = matches!(at, Trip::Finish | Trip::LetGo);
        stage.arm(at, 0);
        if ends {
            server.handle().abort();
            other.handle().abort();
        } else {
            client.handle().send_to(b"one", &to("10.0.0.1:7")).unwrap();
        }
        stage.expect_tripped();
        if ends {
            assert_eq!((server_seen.lost.get(), other_seen.lost.get()), (1, 1), "{at:?}");
        } else {
            // What the interrupted callback sent is nobody's.
            client.handle().send_to(b"two", &to("10.0.0.3:7")).unwrap();
            settle(&stage.event_loop).unwrap();
            let expected: &[u8] = if at == Trip::Dispatch { b"onetwo" } else { b"two" };
            assert_eq!(client_seen.received.borrow().as_slice(), expected, "{at:?}");
            assert_eq!(server_seen.received.borrow().as_slice(), b"one");
            server.handle().abort();
            other.handle().abort();
        }
        client.handle().abort();
        stage.expect_serves();
        stage.expect_clean();
    }
}

/// The poll tells of a client that waits once.
#[test]
fn what_unwinds_in_a_server_costs_no_client() {
    for (event_loop, address) in loops().into_iter().zip(["10.0.0.1:0", "127.0.0.1:0"]) {
        let stage = Stage::new(event_loop.clone());
        let served: Rc<RefCell<Vec<Rc<Seen>>>> = Rc::default();
        let noted = Rc::clone(&served);
        let factory = move || {
            let seen = Rc::new(Seen::default());
            noted.borrow_mut().push(Rc::clone(&seen));
            Probe::new(&seen, true)
        };
        let server = event_loop.create_server(factory, address).start();
        let server = event_loop.run_until_complete(server).unwrap().unwrap();
        let (client, client_seen) = stage.probe(false);
        let to = server.addresses()[0].to_string();
        // The connect itself is a source, too; the server may come first or second.
        stage.arm(Trip::Source, 0);
        let client = event_loop.create_connection(|| client, to).start();
        let client = event_loop.run_until_complete(client).unwrap().unwrap();
        client.handle().write(b"ping");
        let limit = event_loop.time() + Duration::from_secs(30);
        while client_seen.received.borrow().is_empty() {
            assert!(event_loop.time() < limit, "the server has not answered");
            event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(1))).unwrap();
        }
        stage.expect_tripped();
        server.close();
        client.handle().close();
        while event_loop.statistics().connections_open > 0 {
            assert!(event_loop.time() < limit, "the connections have not ended");
            event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(1))).unwrap();
        }
        assert_eq!(served.borrow().len(), 1);
        assert_eq!(served.borrow()[0].lost.get(), 1);
    }
}

#[test]
fn a_report_of_a_drop_has_the_right_article() {
    assert_eq!(drop_failed("timer"), "dropping a timer failed");
    assert_eq!(drop_failed("exception handler"), "dropping an exception handler failed");
    assert_eq!(drop_failed("user's error"), "dropping a user's error failed");
}

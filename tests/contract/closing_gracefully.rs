//! Programs that end in good order.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use wharf::testing::Record;
use wharf::{EventLoop, PausedProtocol, Protocol, Transport};

use crate::executor::gated;
use crate::loops::{memory_loop, network, settle};
use crate::probes::{Log, PATIENCE, complete, panics_on_drop, reports};

const GRACE: Duration = Duration::from_secs(60);

/// Writes so many bytes when it is connected, and neither reads nor closes.
struct Writes {
    bytes: usize,
    log: Log,
}

impl Protocol for Writes {
    fn connection_made(&mut self, transport: &dyn Transport) -> wharf::Result {
        transport.write(&vec![7; self.bytes]);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }

    fn connection_lost(
        &mut self,
        _: &dyn Transport,
        error: Option<&wharf::Error>,
    ) -> wharf::Result {
        self.log.add(format!("lost: {error:?}"));
        Ok(())
    }
}

/// A loop whose server has written `bytes` to a client on another loop of its network.
fn written_to(bytes: usize, client: impl Protocol) -> (EventLoop, EventLoop, Log) {
    let network = network();
    let (own, other) = (network.event_loop(), network.event_loop());
    let log = Log::default();
    let told = log.clone();
    complete(&own, async {
        let made = move || Writes { bytes, log: told.clone() };
        let server = own.create_server(made, "10.0.0.1:7").await.unwrap();
        other.create_connection(|| client, "10.0.0.1:7").start().detach();
        while server.connections() == 0 {
            wharf::sleep(Duration::from_millis(1)).await;
        }
    });
    (own, other, log)
}

// 325.
#[test]
fn what_was_written_is_sent_before_the_loop_closes_and_connections_end_without_an_error() {
    let record = Record::new();
    let (own, other, log) = written_to(5_000_000, record.around(Late));
    assert_eq!(record.received().len(), 0);
    assert_eq!(own.close_gracefully(GRACE).unwrap(), 0);
    assert!(own.is_closed());
    assert_eq!(log.entries(), ["lost: None"]);
    settle(&other).unwrap();
    assert_eq!(record.received().len(), 5_000_000);
    assert!(record.is_lost() && record.error().is_none());
}

/// Reads only after a second.
struct Late;

impl Protocol for Late {
    fn connection_made(&mut self, transport: &dyn Transport) -> wharf::Result {
        transport.pause_reading();
        let own = transport.handle();
        let event_loop = transport.event_loop();
        event_loop.call_later(Duration::from_secs(1), move || own.resume_reading());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}

// 325.
#[test]
fn a_peer_that_does_not_read_is_cut_off_when_the_grace_is_over() {
    let (own, _other, log) = written_to(5_000_000, PausedProtocol::new());
    let began = own.time();
    let grace = Duration::from_secs(3);
    assert_eq!(own.close_gracefully(grace).unwrap(), 1);
    assert_eq!(own.time() - began, grace);
    assert_eq!(log.len(), 1);
    // However long the grace, the deadlines of closing connections hold.
    let (own, _other, log) = written_to(5_000_000, PausedProtocol::new());
    assert_eq!(own.close_gracefully(Duration::MAX).unwrap(), 0);
    assert_eq!(log.len(), 1);
}

// 325.
#[test]
fn without_any_grace_it_is_a_close() {
    let (own, _other, log) = written_to(5_000_000, PausedProtocol::new());
    let began = own.time();
    let task = own.create_task(pending::<()>());
    assert_eq!(own.close_gracefully(Duration::ZERO).unwrap(), 1);
    assert_eq!(own.time(), began);
    assert_eq!(log.len(), 1);
    assert!(task.is_cancelled());
}

// 325.
#[test]
fn a_program_that_ends_at_once_sends_what_it_has_written_to_a_real_peer() {
    const BYTES: usize = 8 << 20;
    let (address, addresses) = mpsc::channel::<String>();
    let (connected, has_connected) = mpsc::channel();
    let reader = thread::spawn(move || {
        let address = addresses.recv_timeout(PATIENCE).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        connected.send(()).unwrap();
        let mut input = Vec::new();
        stream.read_to_end(&mut input).map(|_| input.len())
    });
    let log = Log::default();
    let told = log.clone();
    let program = EventLoop::builder().exit_grace(GRACE);
    let output = program.run(async |event_loop| {
        let made = move || Writes { bytes: BYTES, log: told.clone() };
        let server = event_loop.create_server(made, "127.0.0.1:0").await?;
        address.send(server.local_address()?.to_string())?;
        while server.connections() == 0 {
            wharf::sleep(Duration::from_millis(1)).await;
        }
        has_connected.recv_timeout(PATIENCE)?;
        Ok("done")
    });
    assert_eq!(output.unwrap(), "done");
    assert_eq!(reader.join().unwrap().unwrap(), BYTES);
    assert_eq!(log.entries(), ["lost: None"]);
}

// 325.
#[test]
fn tasks_that_are_left_are_cancelled_and_driven_to_their_end_and_their_failures_reported() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let (guard, again) = (log.adds_on_drop("first dropped"), log.adds_on_drop("second dropped"));
    let spawner = crate::probes::on_drop(move || {
        // It may start others: they end, too.
        wharf::spawn(async move {
            let _again = again;
            pending::<()>().await;
        })
        .detach();
    });
    let outcome = event_loop.run(async |_| {
        wharf::spawn(async move {
            let _held = (guard, spawner);
            pending::<()>().await;
        })
        .detach();
        let panics = panics_on_drop("in its drop");
        wharf::spawn(async move {
            let _panics = panics;
            pending::<()>().await;
        })
        .detach();
        wharf::spawn(async { Err::<(), wharf::Failure>("no luck".into()) }).detach();
        wharf::yield_now().await;
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(event_loop.close_gracefully(GRACE).unwrap(), 0);
    assert_eq!(log.entries(), ["first dropped", "second dropped"]);
    let mut told = reports.take();
    told.sort();
    assert!(told[0].starts_with("a detached task (") && told[0].ends_with(") failed: no luck"));
    assert_eq!(told[1..], ["dropping a task panicked: in its drop"]);
}

/// Stops the loop when its connection ends, and connects again.
struct ConnectsAgain(Rc<Cell<u32>>);

impl Protocol for ConnectsAgain {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }

    fn connection_lost(
        &mut self,
        transport: &dyn Transport,
        _: Option<&wharf::Error>,
    ) -> wharf::Result {
        self.0.set(self.0.get() + 1);
        let event_loop = transport.event_loop();
        event_loop.stop();
        let next = Self(Rc::clone(&self.0));
        event_loop.create_connection(|| next, "10.0.0.1:7").start().detach();
        Ok(())
    }
}

// 325.
#[test]
fn a_task_that_spawns_another_whenever_it_is_dropped_does_not_keep_a_loop_from_its_end() {
    struct Again(EventLoop, Rc<Cell<u32>>);

    impl Drop for Again {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            let next = Again(self.0.clone(), Rc::clone(&self.1));
            if self.0.is_closed() {
                std::mem::forget(next);
                return;
            }
            let task = self.0.create_task(async move {
                pending::<()>().await;
                drop(next);
            });
            task.detach();
        }
    }

    let event_loop = memory_loop();
    let dropped = Rc::new(Cell::new(0));
    drop(Again(event_loop.clone(), Rc::clone(&dropped)));
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.close_gracefully(GRACE).unwrap(), 0);
    assert!(event_loop.is_closed());
    assert!(dropped.get() > 1);
}

#[test]
fn a_stop_does_not_shorten_the_end_and_what_begins_meanwhile_is_not_waited_for() {
    let network = network();
    let (own, other) = (network.event_loop(), network.event_loop());
    let record = Record::new();
    let lost = Rc::new(Cell::new(0));
    complete(&other, async {
        let server = other.create_server(record.factory(), "10.0.0.1:7").await.unwrap();
        let client = ConnectsAgain(Rc::clone(&lost));
        own.create_connection(|| client, "10.0.0.1:7").start().detach();
        let log = Log::default();
        let writes = Writes { bytes: 3_000_000, log };
        own.create_connection(|| writes, "10.0.0.1:7").start().detach();
        while server.connections() < 2 {
            wharf::sleep(Duration::from_millis(1)).await;
        }
    });
    let began = own.time();
    assert_eq!(own.close_gracefully(GRACE).unwrap(), 0);
    assert!(own.time() - began < GRACE);
    assert!(lost.get() >= 1);
    settle(&other).unwrap();
    assert_eq!(record.received().len(), 3_000_000);
}

// 325.
#[test]
fn servers_stop_listening_and_endpoints_send_what_they_have() {
    struct Datagrams;
    impl wharf::DatagramProtocol for Datagrams {
        fn datagram_received(
            &mut self,
            _: &dyn wharf::DatagramTransport,
            _: &[u8],
            _: &wharf::Address,
        ) -> wharf::Result {
            Ok(())
        }
    }
    let network = network();
    let (own, other) = (network.event_loop(), network.event_loop());
    complete(&own, async {
        own.create_server(PausedProtocol::new, "10.0.0.1:7").await.unwrap();
        let endpoint = own.create_datagram_endpoint(|| Datagrams).local_address("10.0.0.1:8");
        endpoint.await.unwrap();
    });
    assert_eq!(own.statistics().sources, 2);
    assert_eq!(own.close_gracefully(GRACE).unwrap(), 0);
    let refused = other.create_connection(PausedProtocol::new, "10.0.0.1:7");
    assert!(complete(&other, refused.into_future()).unwrap_err().is_connect());
}

// 325.
#[test]
fn jobs_that_run_are_told_and_waited_for_and_others_are_dropped() {
    let event_loop = EventLoop::builder().executor_threads(2).build().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = mpsc::channel();
    let noted = Arc::clone(&ended);
    let told = event_loop.create_job(move |flag| {
        begun.send(()).unwrap();
        while !flag.is_cancelled() {
            thread::yield_now();
        }
        noted.store(true, Ordering::SeqCst);
    });
    told.start().detach();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let (has_begun, end, job) = gated();
    event_loop.run_in_executor(job).detach();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&ran);
    event_loop.run_in_executor(move || noted.store(true, Ordering::SeqCst)).detach();
    let ender = thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            while !ended.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            end.send(()).unwrap();
        }
    });
    assert_eq!(event_loop.close_gracefully(GRACE).unwrap(), 0);
    assert!(ended.load(Ordering::SeqCst) && !ran.load(Ordering::SeqCst));
    ender.join().unwrap();
}

// 325, 327.
#[test]
fn closing_in_good_order_is_refused_where_closing_is_and_done_once() {
    let event_loop = memory_loop();
    let inner = event_loop.clone();
    let refused = complete(&event_loop, async move { inner.close_gracefully(GRACE) }).unwrap_err();
    assert!(refused.is_invalid());
    assert!(!event_loop.is_closed());
    let other = memory_loop();
    let idle = other.clone();
    let refused = complete(&event_loop, async move { idle.close_gracefully(GRACE) }).unwrap_err();
    assert!(refused.is_invalid() && !other.is_closed(), "another one runs");
    assert_eq!(event_loop.close_gracefully(GRACE).unwrap(), 0);
    assert_eq!(event_loop.close_gracefully(GRACE).unwrap(), 0);
    assert!(event_loop.run(async |_| Ok(())).is_err());
    let zero = EventLoop::builder().exit_grace(Duration::ZERO).build().unwrap_err();
    assert!(zero.is_invalid());
}

// 325.
#[test]
fn an_owner_that_is_dropped_at_the_end_closes_the_loop_at_once() {
    struct Drops(Option<EventLoop>);
    impl Protocol for Drops {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
            Ok(())
        }
        fn connection_lost(
            &mut self,
            _: &dyn Transport,
            _: Option<&wharf::Error>,
        ) -> wharf::Result {
            self.0.take();
            Ok(())
        }
    }
    let network = network();
    let (own, other) = (network.event_loop(), network.event_loop());
    let clone = own.clone();
    complete(&other, async {
        let server = other.create_server(PausedProtocol::new, "10.0.0.1:7").await.unwrap();
        let client = Drops(Some(own));
        let stays = Writes { bytes: 5_000_000, log: Log::default() };
        clone.create_connection(|| client, "10.0.0.1:7").start().detach();
        clone.create_connection(|| stays, "10.0.0.1:7").start().detach();
        while server.connections() < 2 {
            wharf::sleep(Duration::from_millis(1)).await;
        }
    });
    let began = clone.time();
    assert_eq!(clone.close_gracefully(GRACE).unwrap(), 1);
    assert!(clone.is_closed());
    assert_eq!(clone.time(), began);
}

// 325, 327.
#[test]
fn run_gives_what_main_gives_closes_its_loop_and_refuses_to_be_nested() {
    let kept = Rc::new(RefCell::new(None));
    let output = wharf::run(async |event_loop| {
        *kept.borrow_mut() = Some(event_loop.clone());
        let nested = wharf::run(async |_| Ok(())).unwrap_err();
        assert!(wharf::Error::from(nested).is_invalid());
        Ok(event_loop.run_in_executor(|| 6 * 7).await?)
    });
    assert_eq!(output.unwrap(), 42);
    assert!(kept.take().unwrap().is_closed());
    let error = wharf::run(async |event_loop| -> wharf::Result {
        *kept.borrow_mut() = Some(event_loop);
        Err("no luck".into())
    });
    assert_eq!(error.unwrap_err().to_string(), "no luck");
    assert!(kept.take().unwrap().is_closed());
    // A second one on the same thread.
    let panic = std::panic::catch_unwind(|| {
        wharf::run(async |_| -> wharf::Result { panic!("on purpose") })
    });
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
    wharf::run(async |_| Ok(())).unwrap();
}

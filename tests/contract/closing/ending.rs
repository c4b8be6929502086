//! What closing does to everything that the loop has.

use std::cell::Cell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing;
use wharf::{Protocol, Transport, WriteStatus};

use super::Idle;
use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, Noting, complete, holding, keeping, on_drop, panics_on_drop, reports};

// 26.
#[test]
fn closing_drops_what_is_queued_without_calling_it() {
    let event_loop = system_loop();
    let log = Log::default();
    let called = Rc::new(Cell::new(false));
    let call = |name: &'static str| {
        let (guard, called) = (log.adds_on_drop(name), Rc::clone(&called));
        move || {
            called.set(true);
            drop(guard);
        }
    };
    let soon = event_loop.call_soon(call("soon"));
    event_loop.call_later(Duration::from_secs(5), call("later"));
    event_loop.call_later(Duration::ZERO, call("due"));
    let (promise, future) = event_loop.create_future();
    let done = call("done callback");
    future.add_done_callback(move |_: &Result<(), _>| done());
    promise.set_result(()).unwrap();
    drop(future);
    event_loop.close().unwrap();
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["done callback", "due", "later", "soon"]);
    assert!(!called.get());
    assert!(soon.is_cancelled());
}

// 26.
#[test]
fn closing_aborts_every_transport_and_delivers_every_connection_lost() {
    let event_loop = system_loop();
    let log = Log::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (log_of_server, log_of_client) = (log.clone(), log.clone());
    let served_at = format!("{}:0", crate::serving::own_host());
    let server = complete(
        &event_loop,
        event_loop.create_server(move || Noting::new("served", &log_of_server), served_at).start(),
    )
    .unwrap();
    let served_address = server.local_address().unwrap();
    let client = complete(
        &event_loop,
        event_loop
            .create_connection(move || Noting::new("client", &log_of_client), address)
            .start(),
    )
    .unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut served = TcpStream::connect(&served_address).unwrap();
    crate::probes::step_until(&event_loop, || log.len() == 2);
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    testing::pair(&event_loop, 64, first, second).unwrap();
    log.take();

    // More than the peer takes: closing does not wait for it.
    assert_ne!(client.handle().write(&vec![0; 8 << 20]), WriteStatus::Closed);
    drop(event_loop);
    let mut lost = log.take();
    lost.sort();
    assert_eq!(lost, ["client lost", "first lost", "second lost", "served lost"]);
    assert!(client.handle().is_closing());
    assert!(client.with(|_, _| ()).unwrap_err().is_closed());
    assert!(server.is_closed());
    assert!(TcpStream::connect(served_address).is_err(), "nobody listens any more");
    // Both peers see the end, which is a reset where something was not sent.
    peer.set_read_timeout(Some(crate::probes::PATIENCE)).unwrap();
    served.set_read_timeout(Some(crate::probes::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let reset = peer.read_to_end(&mut rest).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(rest.len() < 8 << 20);
    let _ = served.read(&mut [0; 8]);
}

// 26.
#[test]
fn closing_cancels_every_task() {
    let event_loop = memory_loop();
    let log = Log::default();
    let sleeping = event_loop.create_task({
        let (guard, event_loop) = (log.adds_on_drop("sleeping"), event_loop.clone());
        async move {
            let _guard = guard;
            event_loop.sleep(Duration::from_secs(1)).await;
        }
    });
    settle(&event_loop).unwrap();
    let never_begun = event_loop.create_task({
        let (guard, log) = (log.adds_on_drop("never begun"), log.clone());
        async move {
            let _guard = guard;
            log.add("the body ran");
        }
    });
    event_loop.close().unwrap();
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["never begun", "sleeping"]);
    assert!(sleeping.is_cancelled() && never_begun.is_cancelled());
    assert!(never_begun.take_result().unwrap().unwrap_err().is_cancelled());
    assert_eq!((event_loop.statistics().tasks, event_loop.statistics().timers), (0, 0));
}

// 26.
#[test]
fn what_is_dropped_by_closing_may_use_the_loop() {
    let event_loop = system_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let meddle = |name: &'static str| {
        let (event_loop, log) = (event_loop.clone(), log.clone());
        on_drop(move || {
            event_loop.call_soon(holding(log.adds_on_drop(name)));
            event_loop.call_later(Duration::ZERO, || {}).cancel();
            let task = event_loop.create_task(async {}).take_result().unwrap();
            assert!(task.unwrap_err().is_closed());
            let job = event_loop.run_in_executor(|| ()).take_result().unwrap();
            assert!(job.unwrap_err().is_closed());
            let (promise, future) = event_loop.create_future::<()>();
            future.add_done_callback(|_| {});
            drop(promise);
            drop(future);
            event_loop.close().unwrap();
            event_loop.stop();
        })
    };
    event_loop.call_soon(holding(meddle("callback")));
    event_loop.call_later(Duration::from_secs(9), holding(meddle("timer")));
    let guard = meddle("task");
    event_loop
        .create_task(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        })
        .detach();
    let (watched, _peer) = UnixStream::pair().unwrap();
    let guard = meddle("reader");
    event_loop.add_reader(watched, keeping(guard)).unwrap();
    let (promise, future) = event_loop.create_future::<()>();
    let guard = meddle("done callback");
    future.add_done_callback(move |_| drop(guard));
    promise.set_result(()).unwrap();
    let protocol = Meddling(meddle("protocol"));
    testing::pair(&event_loop, 64, protocol, Idle).unwrap();
    event_loop.close().unwrap();
    let mut dropped = log.entries();
    dropped.sort();
    assert_eq!(dropped, ["callback", "done callback", "protocol", "reader", "task", "timer"]);
    assert_eq!(reports.len(), 0);
    drop(future);
}

struct Meddling(#[expect(dead_code, reason = "it is there to be dropped")] crate::probes::OnDrop);

impl Protocol for Meddling {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}

// 26.
#[test]
fn panics_while_closing_are_reported_and_closing_goes_on() {
    let event_loop = system_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    for _ in 0..2 {
        event_loop.call_soon(holding(panics_on_drop("callback")));
        event_loop.call_later(Duration::from_secs(9), holding(panics_on_drop("timer")));
        let guard = panics_on_drop("task");
        event_loop
            .create_task(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            })
            .detach();
        let guard = panics_on_drop("protocol");
        testing::pair(&event_loop, 64, Meddling(guard), Noting::new("peer", &log)).unwrap();
    }
    let (watched, _peer) = UnixStream::pair().unwrap();
    let watched = Rc::new(watched);
    let (reader, writer) = (panics_on_drop("reader"), panics_on_drop("writer"));
    event_loop.add_reader(Rc::clone(&watched), keeping(reader)).unwrap();
    event_loop.add_writer(Rc::clone(&watched), keeping(writer)).unwrap();
    event_loop.close().unwrap();
    let mut told = reports.entries();
    told.sort();
    assert_eq!(
        told,
        [
            "dropping a callback panicked: callback",
            "dropping a callback panicked: callback",
            "dropping a descriptor's callback panicked: reader",
            "dropping a descriptor's callback panicked: writer",
            "dropping a protocol panicked: protocol",
            "dropping a protocol panicked: protocol",
            "dropping a task panicked: task",
            "dropping a task panicked: task",
            "dropping a timer panicked: timer",
            "dropping a timer panicked: timer",
        ]
    );
    assert_eq!(log.entries(), ["peer made", "peer made", "peer lost", "peer lost"]);
    assert_eq!(Rc::strong_count(&watched), 1);
}

// 26.
#[test]
fn connection_lost_may_use_the_loop_that_closes() {
    struct Talkative {
        peer: Option<wharf::TransportHandle>,
        log: Log,
    }
    impl Protocol for Talkative {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
            Ok(())
        }
        fn connection_lost(
            &mut self,
            transport: &dyn Transport,
            _: Option<&wharf::Error>,
        ) -> wharf::Result {
            assert_eq!(transport.write(b"too late"), WriteStatus::Closed);
            let event_loop = transport.event_loop();
            assert!(event_loop.is_closed());
            assert!(event_loop.call_soon(|| {}).is_cancelled());
            let peer = self.peer.as_ref().unwrap();
            peer.write(b"good-bye");
            peer.abort();
            self.log.add("lost");
            Ok(())
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let talkative = || Talkative { peer: None, log: log.clone() };
    let (first, second) = testing::pair(&event_loop, 64, talkative(), talkative()).unwrap();
    let handles = (first.handle().clone(), second.handle().clone());
    first.with(|protocol, _| protocol.peer = Some(handles.1)).unwrap();
    second.with(|protocol, _| protocol.peer = Some(handles.0)).unwrap();
    settle(&event_loop).unwrap();
    drop(event_loop);
    assert_eq!(log.entries(), ["lost", "lost"]);
    assert_eq!(reports.len(), 0);
}

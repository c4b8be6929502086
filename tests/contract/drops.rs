//! A user's `Drop` is a callback too: it may use the loop that drops it.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::{self, advance};
use wharf::{EventLoop, Protocol, Transport, TransportHandle};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, Noting, OnDrop, holding, on_drop, panics_on_drop, reports, step_until};

/// A value that, when it is dropped, asks of the loop all that can be asked, and counts.
fn meddler(event_loop: &EventLoop, count: &Rc<Cell<u32>>) -> OnDrop {
    let (event_loop, count) = (event_loop.clone(), Rc::clone(count));
    on_drop(move || {
        count.set(count.get() + 1);
        let soon = event_loop.call_soon(|| {});
        let later = event_loop.call_later(Duration::from_millis(1), || {});
        event_loop.call_later(Duration::ZERO, || {});
        soon.cancel();
        later.cancel();
        event_loop.create_task(async {}).detach();
        event_loop.create_task(async {}).cancel();
        let (promise, future) = event_loop.create_future();
        future.add_done_callback(|_| {});
        promise.set_result(()).unwrap();
        drop(event_loop.create_future::<()>());
        event_loop.call_exception_handler("dropped", None);
        let _ = event_loop.statistics();
    })
}

/// Checks that dropping what `plant` puts into a loop runs `drops` meddlers and harms nothing.
fn check(event_loop: &EventLoop, drops: u32, plant: impl FnOnce(&dyn Fn() -> OnDrop)) {
    let reports = reports(event_loop);
    let count = Rc::new(Cell::new(0));
    plant(&|| meddler(event_loop, &count));
    settle(event_loop).unwrap();
    assert_eq!(count.get(), drops);
    assert_eq!(reports.entries(), vec!["dropped"; drops as usize]);
    assert_eq!(event_loop.statistics().tasks, 0);
}

#[test]
fn a_callbacks_drop_may_use_the_loop() {
    let event_loop = memory_loop();
    check(&event_loop, 5, |meddler| {
        event_loop.call_soon(holding(meddler()));
        event_loop.call_soon(holding(meddler())).cancel();
        event_loop.call_later(Duration::ZERO, holding(meddler()));
        event_loop.call_later(Duration::from_secs(5), holding(meddler())).cancel();
        let due = event_loop.call_later(Duration::ZERO, holding(meddler()));
        event_loop.call_soon(move || due.cancel());
    });
}

#[test]
fn a_tasks_drop_and_its_outputs_may_use_the_loop() {
    let event_loop = memory_loop();
    check(&event_loop, 5, |meddler| {
        // Its future when it is done, its output when nobody takes it.
        let guard = meddler();
        let output = meddler();
        event_loop
            .create_task(async move {
                let _guard = guard;
                output
            })
            .detach();
        // Its future when it is cancelled, before and after it began.
        let guard = meddler();
        drop(event_loop.create_task(async move { drop(guard) }));
        let guard = meddler();
        let sleeping = event_loop.create_task(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        settle(&event_loop).unwrap();
        sleeping.cancel();
        // Its output when it is cancelled too late to notice.
        let output = meddler();
        let task = event_loop.create_task(async move { output });
        settle(&event_loop).unwrap();
        assert!(!task.cancel());
        drop(task);
    });
}

#[test]
fn a_futures_values_callbacks_and_actions_may_use_the_loop_when_dropped() {
    let event_loop = memory_loop();
    check(&event_loop, 6, |meddler| {
        let (promise, future) = event_loop.create_future();
        let guard = meddler();
        future.add_done_callback(move |_| drop(guard));
        let guard = meddler();
        future.add_done_callback(move |_| drop(guard)).cancel();
        let guard = meddler();
        promise.on_cancel(move || drop(guard));
        let guard = meddler();
        promise.on_cancel(move || drop(guard));
        assert!(promise.set_result(meddler()).is_ok());
        drop(future);
        let (promise, future) = event_loop.create_future::<()>();
        let guard = meddler();
        future.add_done_callback(move |_| drop(guard));
        drop((promise, future));
    });
}

#[test]
fn a_wakers_drop_may_use_the_loop() {
    thread_local! { static MEDDLER: RefCell<Option<OnDrop>> = const { RefCell::new(None) }; }
    struct Meddling;
    impl Wake for Meddling {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Meddling {
        fn drop(&mut self) {
            drop(MEDDLER.take());
        }
    }
    fn poll(future: &mut (impl Future + Unpin), meddler: OnDrop) {
        MEDDLER.set(Some(meddler));
        let waker = Waker::from(Arc::new(Meddling));
        assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert!(MEDDLER.with_borrow(Option::is_some), "the waker is kept");
    }
    let event_loop = memory_loop();
    let quiet = &mut Context::from_waker(Waker::noop());
    check(&event_loop, 6, |meddler| {
        // Replaced by another, with its future, and when it was used.
        let (_promise, mut future) = event_loop.create_future::<()>();
        poll(&mut future, meddler());
        assert!(Pin::new(&mut future).poll(quiet).is_pending());
        let (_promise, mut future) = event_loop.create_future::<()>();
        poll(&mut future, meddler());
        drop(future);
        let (promise, mut future) = event_loop.create_future::<()>();
        poll(&mut future, meddler());
        promise.set_result(()).unwrap();

        let mut sleep = event_loop.sleep(Duration::from_secs(1));
        poll(&mut sleep, meddler());
        assert!(Pin::new(&mut sleep).poll(quiet).is_pending());
        let mut sleep = event_loop.sleep(Duration::from_secs(1));
        poll(&mut sleep, meddler());
        drop(sleep);
        let mut sleep = event_loop.sleep(Duration::from_secs(1));
        poll(&mut sleep, meddler());
        advance(&event_loop, Duration::from_secs(1)).unwrap();
    });
}

#[test]
fn a_watchers_drop_may_use_the_loop() {
    let event_loop = system_loop();
    let reports = reports(&event_loop);
    let count = Rc::new(Cell::new(0));
    let (watched, _peer) = UnixStream::pair().unwrap();
    let watched = Rc::new(watched);
    let callback = |calls: &Rc<Cell<u32>>| {
        let (guard, calls) = (meddler(&event_loop, &count), Rc::clone(calls));
        move || {
            let _ = &guard;
            calls.set(calls.get() + 1);
        }
    };
    let calls = Rc::new(Cell::new(0));
    event_loop.add_writer(Rc::clone(&watched), callback(&calls)).unwrap();
    event_loop.add_writer(Rc::clone(&watched), callback(&calls)).unwrap();
    assert_eq!(count.get(), 1, "replaced");
    step_until(&event_loop, || calls.get() > 0);
    event_loop.remove_writer(&watched);
    assert_eq!(count.get(), 2, "removed");

    // Removed and replaced by itself: dropped when it has returned.
    let guard = meddler(&event_loop, &count);
    let (inner, fd, dropped) = (event_loop.clone(), Rc::clone(&watched), Rc::clone(&count));
    let ran = Rc::clone(&calls);
    calls.set(0);
    event_loop
        .add_writer(Rc::clone(&watched), move || {
            let _ = &guard;
            inner.remove_writer(&fd);
            assert_eq!(dropped.get(), 2, "not while it runs");
            ran.set(ran.get() + 1);
        })
        .unwrap();
    step_until(&event_loop, || count.get() == 3);
    settle(&event_loop).unwrap();
    assert_eq!(calls.get(), 1);
    assert_eq!(reports.entries(), ["dropped"; 3]);
    assert_eq!(event_loop.statistics().sources, 0);
}

#[test]
fn an_exception_handlers_drop_may_use_the_loop() {
    let event_loop = memory_loop();
    let log = Log::default();
    let handler = |name: &'static str| {
        let (log, event_loop) = (log.clone(), event_loop.clone());
        let guard = on_drop({
            let log = log.clone();
            move || event_loop.call_exception_handler(&format!("{name} dropped"), log_entry(&log))
        });
        move |_: &EventLoop, exception: &wharf::Exception<'_>| {
            let _ = &guard;
            log.add(format!("{name} told: {exception}"));
        }
    };
    event_loop.set_exception_handler(handler("first"));
    event_loop.set_exception_handler(handler("second"));
    assert_eq!(log.entries(), ["dropping", "second told: first dropped"]);
}

fn log_entry(log: &Log) -> Option<&'static wharf::Error> {
    log.add("dropping");
    None
}

/// Bytes whose owner does something when it is dropped. It has to be `Send`, so that it finds the
/// loop through its thread.
struct Owner(fn());

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &[7; 4096]
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn the_drop_of_sent_bytes_may_use_the_loop_and_their_connection() {
    thread_local! { static HANDLE: RefCell<Option<TransportHandle>> = const { RefCell::new(None) }; }
    let event_loop = memory_loop();
    let log = Log::default();
    let (near, far) = (Noting::new("near", &log), Noting::new("far", &log));
    let (near, _) = testing::pair(&event_loop, 1 << 20, near, far).unwrap();
    HANDLE.set(Some(near.handle().clone()));
    log.take();
    for _ in 0..2 {
        near.handle().write_bytes(Bytes::from_owner(Owner(|| {
            HANDLE.with_borrow(|handle| {
                let handle = handle.as_ref().unwrap();
                handle.write(b"from a drop");
                handle.event_loop().call_soon(|| {});
            });
        })));
    }
    settle(&event_loop).unwrap();
    let text = log.take().concat();
    assert_eq!(text.matches("from a drop").count(), 2);
    assert_eq!(event_loop.statistics().bytes_sent, 2 * (4096 + 11));
    HANDLE.set(None);
}

#[test]
fn a_panic_in_the_drop_of_sent_bytes_is_reported_and_the_loop_goes_on() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let (near, far) = (Noting::new("near", &log), Noting::new("far", &log));
    let (near, far) = testing::pair(&event_loop, 1 << 20, near, far).unwrap();
    for handle in [near.handle(), far.handle()] {
        for _ in 0..2 {
            handle.write_bytes(Bytes::from_owner(Owner(|| panic!("bytes"))));
        }
    }
    settle(&event_loop).unwrap();
    assert_eq!(reports.entries(), ["dropping a buffer panicked: bytes"; 4]);
    assert_eq!(event_loop.statistics().bytes_received, 4 * 4096);
    assert_eq!(event_loop.statistics().connections_open, 2);
}

#[test]
fn everything_that_a_connection_ends_with_may_panic_when_dropped() {
    /// Fails with an error, and leaves a next protocol and bytes behind, all of which panic.
    struct Explosive(#[expect(dead_code, reason = "it is there to be dropped")] OnDrop);
    struct Failure;
    impl std::fmt::Debug for Failure {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("the failure")
        }
    }
    impl std::fmt::Display for Failure {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("the failure")
        }
    }
    impl std::error::Error for Failure {}
    impl Drop for Failure {
        fn drop(&mut self) {
            panic!("error");
        }
    }
    impl Protocol for Explosive {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> wharf::Result {
            let next = Box::new(Explosive(panics_on_drop("next protocol")));
            transport.set_protocol(next, Bytes::from_owner(Owner(|| panic!("leftover"))));
            Err(Failure.into())
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let first = Explosive(panics_on_drop("protocol"));
    let (_, peer) = testing::pair(&event_loop, 64, first, Noting::new("peer", &log)).unwrap();
    peer.handle().write(b"go");
    settle(&event_loop).unwrap();
    let told = reports.entries();
    assert!(told[0].contains(" failed in data_received: "), "{told:?}");
    assert_eq!(
        told[1..],
        [
            "dropping a protocol panicked: protocol",
            "dropping a protocol panicked: next protocol",
            "dropping a buffer panicked: leftover",
            "dropping a user's error panicked: error",
        ]
    );
    assert_eq!(log.entries(), ["peer made", "peer lost"]);
    assert_eq!(event_loop.statistics().sources, 0);
}

#[test]
fn a_protocols_drop_may_use_the_loop_and_other_connections() {
    struct Meddling {
        _guard: OnDrop,
    }
    impl Protocol for Meddling {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> wharf::Result {
            transport.abort();
            Ok(())
        }
    }
    let event_loop = memory_loop();
    let log = Log::default();
    let (other, peer) = (Noting::new("other", &log), Noting::new("peer", &log));
    let (other, _) = testing::pair(&event_loop, 64, other, peer).unwrap();
    log.take();
    check(&event_loop, 1, |meddler| {
        let inner = meddler();
        let handle = other.handle().clone();
        let guard = on_drop(move || {
            handle.write(b"from a drop");
            handle.close();
            drop(inner);
        });
        let (_, sender) =
            testing::pair(&event_loop, 64, Meddling { _guard: guard }, Noting::new("sender", &log))
                .unwrap();
        sender.handle().write(b"go");
    });
    let (mut expected, mut entries) = (
        ["sender made", "sender lost", "peer data from a drop", "other lost", "peer lost"],
        log.entries(),
    );
    expected.sort_unstable();
    entries.sort_unstable();
    assert_eq!(entries, expected);
}

#[test]
fn a_drop_that_the_loop_runs_cannot_run_the_loop() {
    let event_loop = memory_loop();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let value = || {
        let (own, list) = (event_loop.clone(), Rc::clone(&seen));
        on_drop(move || {
            list.borrow_mut().push(own.run_until_complete(async {}).unwrap_err().is_invalid());
            list.borrow_mut().push(own.run_forever().unwrap_err().is_invalid());
            list.borrow_mut().push(settle(&own).is_err());
        })
    };
    // A closure, a result that nobody took, the state of a task, each while the loop does not run.
    let held = value();
    event_loop.call_later(Duration::from_secs(1), move || drop(held)).cancel();
    let (promise, future) = event_loop.create_future();
    assert!(promise.set_result(value()).is_ok());
    drop(future);
    assert_eq!(*seen.borrow(), [true; 6]);
    event_loop.run_until_complete(async {}).unwrap();
}

//! What goes wrong in callbacks, and who is told.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::rc::Rc;
use std::time::Duration;

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{
    Log, PATIENCE, is_child, panics_on_drop, reports, run_in_child, run_in_child_with, step_until,
};
use crate::sockets::uninterrupted;

// 27.
#[test]
fn a_panic_in_any_callback_is_reported_and_the_loop_goes_on() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    event_loop.call_soon(|| panic!("soon"));
    event_loop.call_later(Duration::ZERO, || panic!("later"));
    event_loop.remote().call_soon_threadsafe(|_| panic!("from {}", "afar")).unwrap();
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(|_| panic!("done"));
    future.add_done_callback({
        let after = log.adds("the next done callback");
        move |_| after()
    });
    promise.set_result(()).unwrap();
    event_loop.call_soon(log.adds("after"));
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["the next done callback", "after"]);
    assert_eq!(
        reports.entries(),
        [
            "a callback panicked: soon",
            "a done callback panicked: done",
            "a callback panicked: from afar",
            "a callback panicked: later",
        ]
    );
    assert_eq!(event_loop.statistics().exceptions, 4);
}

// 27.
#[test]
fn a_panic_in_a_descriptors_callback_is_reported_and_it_is_called_again() {
    let event_loop = system_loop();
    let reports = reports(&event_loop);
    let (watched, _peer) = UnixStream::pair().unwrap();
    let calls = Rc::new(Cell::new(0));
    let watched = Rc::new(watched);
    event_loop
        .add_writer(Rc::clone(&watched), {
            let calls = Rc::clone(&calls);
            move || {
                calls.set(calls.get() + 1);
                panic!("call {}", calls.get());
            }
        })
        .unwrap();
    step_until(&event_loop, || calls.get() >= 2);
    assert!(event_loop.remove_writer(&watched));
    assert_eq!(
        reports.entries()[..2],
        ["a descriptor's callback panicked: call 1", "a descriptor's callback panicked: call 2"]
    );
}

// 27.
#[test]
fn a_panic_in_a_task_is_its_result_and_reported_only_if_nobody_takes_it() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let taken = event_loop.create_task(async { panic!("taken") });
    let error = event_loop.run_until_complete(taken).unwrap().unwrap_err();
    assert!(error.is_panic());
    assert_eq!(format!("{error:#}"), "taken");
    assert_eq!(reports.len(), 0);

    let line = line!() + 1;
    event_loop.create_task(async { panic!("no one asks") }).detach();
    settle(&event_loop).unwrap();
    let place = format!("{}:{line}:16", file!());
    assert_eq!(reports.take(), [format!("a detached task ({place}) panicked: no one asks")]);

    let line = line!() + 1;
    let dropped = event_loop.create_task(async { panic!("dropped when it was done") });
    settle(&event_loop).unwrap();
    assert_eq!(reports.len(), 0);
    drop(dropped);
    let place = format!("{}:{line}:30", file!());
    assert_eq!(reports.entries(), [format!("a task ({place}) panicked: dropped when it was done")]);
}

// 27.
#[test]
fn an_error_that_a_callback_drops_is_reported_after_it() {
    let event_loop = memory_loop();
    let log = Log::default();
    let told = log.clone();
    event_loop.set_exception_handler(move |_, exception| told.add(exception.to_string()));
    let failed = |text: &'static str| {
        let (promise, future) = event_loop.create_future::<()>();
        promise.set_error(wharf::Error::from(std::io::Error::other(text))).unwrap();
        future
    };
    let (first, ends) = (failed("first"), log.adds("the end of the callback"));
    event_loop.call_soon(move || {
        drop(first);
        ends();
    });
    settle(&event_loop).unwrap();
    let report = |text| format!("an error of a future was never retrieved: {text}");
    assert_eq!(log.take(), ["the end of the callback".to_owned(), report("first")]);

    // And when the loop closes before it comes to that.
    let (last, stopper) = (failed("last"), event_loop.clone());
    event_loop.call_soon(move || {
        drop(last);
        stopper.stop();
    });
    event_loop.run_forever().unwrap();
    drop(event_loop);
    assert_eq!(log.take(), [report("last")]);
}

// 27.
#[test]
fn a_panic_in_drop_is_reported_and_the_loop_goes_on() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();

    let guard = panics_on_drop("closure");
    event_loop.call_soon(move || drop(guard));

    // The value of a future that nobody holds any more when its callbacks have been called.
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(|_| {});
    drop(future);
    assert!(promise.set_result(panics_on_drop("value")).is_ok());

    // What a task holds when it is cancelled.
    let guard = panics_on_drop("task");
    let task = event_loop.create_task(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    settle(&event_loop).unwrap();
    assert_eq!(
        reports.take(),
        ["a callback panicked: closure", "dropping a result panicked: value"]
    );
    assert_eq!(event_loop.statistics().tasks, 1);
    task.cancel();
    event_loop.call_soon(log.adds("after"));
    settle(&event_loop).unwrap();
    assert_eq!(reports.take(), ["dropping a task panicked: task"]);
    assert_eq!(event_loop.statistics().tasks, 0);
    assert_eq!(log.entries(), ["after"]);
    event_loop.close().unwrap();
}

// 27.
#[test]
fn a_panic_whose_own_value_panics_when_it_is_dropped_is_reported_once() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    event_loop.call_soon(|| std::panic::panic_any(Payload));
    event_loop.call_soon(log.adds("after"));
    settle(&event_loop).unwrap();
    let task = event_loop.create_task(async { std::panic::panic_any(Payload) });
    let job = event_loop.run_in_executor(|| std::panic::panic_any(Payload));
    let (task, job): (wharf::Task<()>, wharf::LoopFuture<()>) = (task, job);
    assert!(event_loop.run_until_complete(task).unwrap().unwrap_err().is_panic());
    assert!(event_loop.run_until_complete(job).unwrap().unwrap_err().is_panic());
    assert_eq!(log.entries(), ["after"]);
    assert_eq!(reports.entries(), ["a callback panicked: a panic whose payload is not text"]);
}

// 27.
#[test]
fn a_panic_in_a_waker_is_reported_and_the_loop_goes_on() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("waker");
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
    let mut context = std::task::Context::from_waker(&waker);

    let mut sleep = Box::pin(event_loop.sleep(Duration::ZERO));
    assert!(sleep.as_mut().poll(&mut context).is_pending());
    let (promise, mut future) = event_loop.create_future();
    assert!(std::pin::Pin::new(&mut future).poll(&mut context).is_pending());
    future.add_done_callback(|_| {});
    promise.set_result(()).unwrap();
    let mut task = event_loop.create_task(async { 42 });
    assert!(std::pin::Pin::new(&mut task).poll(&mut context).is_pending());
    settle(&event_loop).unwrap();
    assert_eq!(reports.entries(), ["a waker panicked: waker"; 3]);
    assert!(future.take_result().is_some());
    assert_eq!(task.take_result().unwrap().unwrap(), 42);
}

// 29.
#[test]
fn a_panic_in_the_exception_handler_falls_back_to_the_default() {
    if !is_child() {
        let output =
            run_in_child("exceptions::a_panic_in_the_exception_handler_falls_back_to_the_default");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("wharf: ")).collect();
        assert_eq!(
            lines,
            [
                "wharf: unhandled error in the exception handler: broken handler",
                "wharf: a callback panicked: original",
                "wharf: nested",
                "wharf: unhandled error in the exception handler: broken handler",
                "wharf: a callback panicked: second",
                "wharf: by the default handler",
            ]
        );
        return;
    }
    let event_loop = memory_loop();
    let calls = Rc::new(Cell::new(0));
    event_loop.set_exception_handler({
        let calls = Rc::clone(&calls);
        move |event_loop, _| {
            calls.set(calls.get() + 1);
            if calls.get() == 2 {
                // Inside the handler it is the default that is told.
                event_loop.call_exception_handler("nested", None);
            }
            panic!("broken handler");
        }
    });
    event_loop.call_soon(|| panic!("original"));
    settle(&event_loop).unwrap();
    event_loop.call_soon(|| panic!("second"));
    settle(&event_loop).unwrap();
    assert_eq!(calls.get(), 2, "a handler that panicked is kept");
    event_loop.reset_exception_handler();
    event_loop.call_exception_handler("by the default handler", None);
}

/// Other processes, children among them, may write to the same place.
#[test]
fn a_report_on_standard_error_is_one_line_and_one_write() {
    const NAME: &str = "exceptions::a_report_on_standard_error_is_one_line_and_one_write";
    if is_child() {
        let event_loop = memory_loop();
        let error = wharf::Error::from("second\nline");
        event_loop.call_exception_handler("first\nwharf: forged", Some(&error));
        event_loop.call_exception_handler("short", None);
        return;
    }
    // Each write is a datagram.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let output = run_in_child_with(NAME, OwnedFd::from(theirs).into());
    assert!(output.status.success(), "{output:?}");
    let write = || {
        let mut buffer = [0; 1000];
        let count = uninterrupted(|| ours.recv(&mut buffer)).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let first = std::iter::repeat_with(write).find(|text| text.starts_with("wharf: ")).unwrap();
    assert_eq!(first, "wharf: first\\nwharf: forged: second\\nline\n");
    assert_eq!(write(), "wharf: short\n");
}

// 29.
#[test]
fn the_exception_handler_can_put_another_in_its_place_or_take_itself_away() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.set_exception_handler({
        let log = log.clone();
        let mut guard = Some(log.adds_on_drop("first dropped"));
        move |event_loop, exception| {
            assert!(guard.is_some());
            log.add(format!("first: {exception}"));
            let log = log.clone();
            event_loop.set_exception_handler(move |_, exception| {
                log.add(format!("second: {exception}"));
            });
            guard = guard.take();
        }
    });
    event_loop.call_exception_handler("one", None);
    event_loop.call_exception_handler("two", None);
    assert_eq!(log.take(), ["first: one", "first dropped", "second: two"]);

    event_loop.set_exception_handler({
        let log = log.clone();
        move |event_loop, exception| {
            log.add(exception.to_string());
            event_loop.reset_exception_handler();
        }
    });
    event_loop.call_exception_handler("three", None);
    event_loop.call_exception_handler("four, for the default handler", None);
    assert_eq!(log.entries(), ["three"]);
    assert_eq!(event_loop.statistics().exceptions, 4);
}

#[test]
fn the_exception_handler_may_use_the_loop() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.set_exception_handler({
        let log = log.clone();
        move |event_loop, _| {
            assert!(event_loop.is_running());
            event_loop.call_soon(log.adds("from the handler"));
            event_loop.stop();
        }
    });
    event_loop.call_soon(|| panic!("on purpose"));
    event_loop.run_forever().unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["from the handler"]);
}

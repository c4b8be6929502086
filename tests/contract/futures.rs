//! `LoopFuture` and `Promise`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::testing::step;
use wharf::{EventLoop, LoopFuture, Promise};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, complete, reports};

fn error(text: &'static str) -> wharf::Error {
    wharf::Failure::from(text).into()
}

/// A done callback that adds `name` and the result.
fn notes(log: &Log, name: &'static str) -> impl FnOnce(&Result<i32, wharf::Error>) + 'static {
    let log = log.clone();
    move |result| match result {
        Ok(value) => log.add(format!("{name} {value}")),
        Err(error) => log.add(format!("{name} {error}")),
    }
}

// 275.
#[test]
fn a_future_is_pending_then_done_for_good() {
    let event_loop = memory_loop();
    let (promise, future) = event_loop.create_future();
    assert!(!future.is_done() && !future.is_cancelled() && !promise.is_cancelled());
    assert!(future.take_result().is_none());
    promise.set_result(1).unwrap();
    assert!(future.is_done() && !future.is_cancelled());
    assert!(!future.cancel(), "it is done");
    assert_eq!(future.take_result().unwrap().unwrap(), 1);
    assert!(future.take_result().is_none(), "it was taken");
    assert!(future.is_done());
    let again = event_loop.run_until_complete(future).unwrap();
    assert!(again.unwrap_err().is_invalid());
}

// 275.
#[test]
fn an_error_is_a_result() {
    let event_loop = memory_loop();
    let (promise, future) = event_loop.create_future::<()>();
    promise.set_error(error("no luck")).unwrap();
    assert!(future.is_done() && !future.is_cancelled());
    let result = event_loop.run_until_complete(future).unwrap();
    assert_eq!(result.unwrap_err().to_string(), "no luck");
}

// 275.
#[test]
fn a_cancelled_future_says_so_and_gives_the_value_back_to_who_comes_late() {
    let event_loop = memory_loop();
    let (promise, future) = event_loop.create_future();
    assert!(future.cancel());
    assert!(future.is_done() && future.is_cancelled() && promise.is_cancelled());
    assert_eq!(promise.set_result("late"), Err("late"));
    assert!(future.take_result().unwrap().unwrap_err().is_cancelled());
    assert!(future.is_cancelled(), "also after the result was taken");

    let (promise, future) = event_loop.create_future::<()>();
    future.cancel();
    let returned = promise.set_error(error("late")).unwrap_err();
    assert_eq!(returned.to_string(), "late");
}

// 276.
#[test]
fn done_callbacks_are_called_by_the_loop_in_order() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(notes(&log, "first"));
    future.add_done_callback(notes(&log, "second"));
    promise.set_result(5).unwrap();
    assert_eq!(log.len(), 0, "never at once");
    future.add_done_callback(notes(&log, "third"));
    step(&event_loop).unwrap();
    assert_eq!(log.take(), ["first 5", "second 5", "third 5"]);
    future.add_done_callback(notes(&log, "late"));
    assert_eq!(log.len(), 0, "never at once");
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["late 5"]);
}

// 276.
#[test]
fn done_callbacks_come_before_whoever_awaits() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(notes(&log, "callback"));
    let waiter = event_loop.create_task({
        let log = log.clone();
        async move { log.add(format!("awaited {}", future.await.unwrap())) }
    });
    settle(&event_loop).unwrap();
    promise.set_result(1).unwrap();
    event_loop.run_until_complete(waiter).unwrap().unwrap();
    assert_eq!(log.entries(), ["callback 1", "awaited 1"]);
}

// 276.
#[test]
fn done_callbacks_are_told_of_errors_and_of_cancelling() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(notes(&log, "one"));
    promise.set_error(error("failed")).unwrap();
    drop(future);
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(notes(&log, "two"));
    future.cancel();
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["one failed", "two cancelled"]);
    drop(promise);
}

// 277.
#[test]
fn the_handle_of_a_done_callback_takes_it_back() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    let first = future.add_done_callback(notes(&log, "first"));
    future.add_done_callback(notes(&log, "second"));
    let third = {
        let (told, guard) = (notes(&log, "third"), log.adds_on_drop("third dropped"));
        future.add_done_callback(move |result| {
            told(result);
            drop(guard);
        })
    };
    first.cancel();
    promise.set_result(1).unwrap();
    // Even when the future is done.
    third.cancel();
    assert_eq!(log.take(), ["third dropped"]);
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["second 1"]);
    assert!(first.is_cancelled() && third.is_cancelled());
}

// 278.
#[test]
fn done_callbacks_may_add_and_remove_others() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    let future = Rc::new(future);
    let removed: Rc<RefCell<Option<wharf::CallbackHandle>>> = Rc::default();
    future.add_done_callback({
        let (log, future, removed) = (log.clone(), Rc::downgrade(&future), Rc::clone(&removed));
        move |_| {
            log.add("first");
            removed.take().unwrap().cancel();
            future.upgrade().unwrap().add_done_callback(notes(&log, "added"));
        }
    });
    *removed.borrow_mut() = Some(future.add_done_callback(notes(&log, "removed")));
    future.add_done_callback(notes(&log, "last"));
    promise.set_result(1).unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["first", "last 1", "added 1"]);
}

// 278.
#[test]
fn a_done_callback_may_ask_its_own_future() {
    let event_loop = memory_loop();
    let asked = Rc::new(Cell::new(None));
    for cancels in [false, true] {
        let (promise, future) = event_loop.create_future::<()>();
        let future = Rc::new(future);
        future.add_done_callback({
            let (asked, future) = (Rc::clone(&asked), Rc::downgrade(&future));
            move |_| {
                let future = future.upgrade().unwrap();
                asked.set(Some((future.is_done(), future.is_cancelled(), future.cancel())));
            }
        });
        if cancels {
            future.cancel();
        } else {
            promise.set_result(()).unwrap();
        }
        settle(&event_loop).unwrap();
        assert_eq!(asked.take(), Some((true, cancels, false)));
    }
}

// 279.
#[test]
fn cancelling_what_is_done_changes_nothing() {
    let event_loop = memory_loop();
    let (promise, future) = event_loop.create_future();
    promise.on_cancel(|| panic!("it was not cancelled"));
    promise.set_result(1).unwrap();
    assert!(!future.cancel());
    assert_eq!(event_loop.run_until_complete(future).unwrap().unwrap(), 1);

    let (_promise, future) = event_loop.create_future::<()>();
    assert!(future.cancel());
    assert!(!future.cancel());
}

// 280.
#[test]
fn an_error_that_nobody_is_told_of_is_reported() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let failed = || {
        let (promise, future) = event_loop.create_future::<i32>();
        promise.set_error(error("lost")).unwrap();
        future
    };
    drop(failed());
    assert_eq!(reports.take(), ["an error of a future was never retrieved: lost"]);
    failed().detach();
    assert_eq!(reports.take(), ["an error of a future was never retrieved: lost"]);
    let (promise, future) = event_loop.create_future::<i32>();
    future.detach();
    promise.set_error(error("lost later")).unwrap();
    assert_eq!(reports.take(), ["an error of a future was never retrieved: lost later"]);

    // Told in any way, or cancelled: nothing to report.
    let future = failed();
    drop(future.take_result());
    drop(future);
    assert!(event_loop.run_until_complete(failed()).unwrap().is_err());
    let future = failed();
    future.add_done_callback(|_| {});
    settle(&event_loop).unwrap();
    drop(future);
    let (promise, future) = event_loop.create_future::<i32>();
    drop(future);
    assert!(promise.set_error(error("too late")).is_err());
    let (promise, future) = event_loop.create_future::<i32>();
    future.detach();
    drop(promise);
    assert_eq!(reports.len(), 0);
}

// 281.
#[test]
fn a_result_of_another_thread_comes_through_a_job_or_a_call() {
    let event_loop = system_loop();
    let job = event_loop.run_in_executor(|| 6 * 7);
    assert_eq!(complete(&event_loop, job).unwrap(), 42);

    // By hand: the promise stays on the loop's thread, and the other thread calls in.
    thread_local! { static PROMISE: RefCell<Option<Promise<i32>>> = const { RefCell::new(None) }; }
    let (promise, future) = event_loop.create_future();
    PROMISE.set(Some(promise));
    let remote = event_loop.remote();
    let thread = std::thread::spawn(move || {
        let set = |_: &EventLoop| PROMISE.take().unwrap().set_result(43).unwrap();
        remote.call_soon_threadsafe(set).unwrap();
    });
    assert_eq!(complete(&event_loop, future).unwrap(), 43);
    thread.join().unwrap();
}

#[test]
fn dropping_a_pending_future_cancels_what_it_stands_for() {
    let event_loop = memory_loop();
    let log = Log::default();
    let operation = |name: &'static str| -> (Promise<i32>, LoopFuture<i32>) {
        let (promise, future) = event_loop.create_future();
        promise.on_cancel(log.adds(name));
        (promise, future)
    };
    let (dropped, future) = operation("dropped");
    drop(future);
    assert!(dropped.is_cancelled());
    let (with_callback, future) = operation("with a callback");
    future.add_done_callback(|_| {});
    drop(future);
    assert!(!with_callback.is_cancelled());
    let (detached, future) = operation("detached");
    future.detach();
    assert!(!detached.is_cancelled());
    let (cancelled, future) = operation("cancelled");
    future.add_done_callback(|_| {});
    future.cancel();
    assert!(cancelled.is_cancelled());
    assert_eq!(log.entries(), ["dropped", "cancelled"]);
}

#[test]
fn dropping_the_promise_completes_the_future_as_cancelled() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    promise.on_cancel(log.adds("the operation itself gave up"));
    future.add_done_callback(notes(&log, "told"));
    drop(promise);
    assert!(future.is_cancelled());
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["told cancelled"]);
}

#[test]
fn a_second_cancel_action_replaces_the_first() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future::<()>();
    promise.on_cancel(log.adds("first"));
    promise.on_cancel(log.adds("second"));
    future.cancel();
    assert_eq!(log.entries(), ["second"]);
}

#[test]
fn a_future_that_is_completed_while_it_is_awaited_wakes_its_task_once() {
    let event_loop = memory_loop();
    let (promise, future) = event_loop.create_future();
    let task = event_loop.create_task(future);
    settle(&event_loop).unwrap();
    let before = event_loop.statistics().callbacks;
    promise.set_result("value").unwrap();
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap().unwrap(), "value");
    assert_eq!(event_loop.statistics().callbacks - before, 1);
}

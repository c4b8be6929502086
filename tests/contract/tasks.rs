//! Tasks and sleeping.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{EventLoop, Task};

use crate::loops::{memory_loop, settle};
use crate::probes::{Log, reports};

// 282.
#[test]
fn a_task_begins_in_the_next_round_and_is_woken_by_what_it_awaits() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (promise, future) = event_loop.create_future();
    let task = event_loop.create_task({
        let log = log.clone();
        async move {
            log.add("begun");
            log.add(format!("got {}", future.await.unwrap()));
            "output"
        }
    });
    assert_eq!(log.len(), 0);
    event_loop.call_soon(log.adds("soon"));
    step(&event_loop).unwrap();
    assert_eq!(log.take(), ["begun", "soon"]);
    promise.set_result(3).unwrap();
    assert_eq!(log.len(), 0, "the task goes on in a round of its own");
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap(), "output");
    assert_eq!(log.entries(), ["got 3"]);
}

// 283.
#[test]
fn a_sleep_of_zero_gives_up_one_turn() {
    let event_loop = memory_loop();
    let log = Log::default();
    let task = event_loop.create_task({
        let (log, event_loop) = (log.clone(), event_loop.clone());
        async move {
            for turn in 0..3 {
                log.add(format!("turn {turn}"));
                event_loop.sleep(Duration::ZERO).await;
            }
        }
    });
    for turn in 0..3 {
        step(&event_loop).unwrap();
        assert_eq!(log.take(), [format!("turn {turn}")]);
        assert!(!task.is_done());
    }
    step(&event_loop).unwrap();
    assert!(task.is_done());
}

// 283.
#[test]
fn sleep_waits_for_its_time_from_the_call_on() {
    let event_loop = memory_loop();
    let began = event_loop.time();
    event_loop
        .run(async |event_loop| {
            let (early, late) = (Duration::from_secs(1), Duration::from_secs(3));
            // Both count from here.
            let (long, short) = (event_loop.sleep(late), event_loop.sleep(early));
            short.await;
            assert_eq!(event_loop.time() - began, early);
            long.await;
            assert_eq!(event_loop.time() - began, late);
            event_loop.sleep_until(began).await;
            event_loop.sleep_until(began + Duration::from_secs(5)).await;
            assert_eq!(event_loop.time() - began, Duration::from_secs(5));
            Ok(())
        })
        .unwrap();
}

// 283.
#[test]
fn a_sleep_that_is_dropped_takes_its_timer_back() {
    let event_loop = memory_loop();
    let mut sleep = Box::pin(event_loop.sleep(Duration::from_secs(1)));
    assert_eq!(event_loop.statistics().timers, 0, "it is not awaited yet");
    event_loop
        .run_until_complete(poll_fn(|context| {
            assert!(sleep.as_mut().poll(context).is_pending());
            assert!(sleep.as_mut().poll(context).is_pending());
            Poll::Ready(())
        }))
        .unwrap();
    assert_eq!(event_loop.statistics().timers, 1);
    drop(sleep);
    assert_eq!(event_loop.statistics().timers, 0);
}

// 283.
#[test]
fn a_sleep_on_a_closed_loop_never_ends_and_keeps_nothing() {
    let (closed, other) = (memory_loop(), memory_loop());
    closed.close().unwrap();
    let task = other.create_task(closed.sleep(Duration::ZERO));
    advance(&other, Duration::from_secs(1)).unwrap();
    assert!(!task.is_done());
    assert_eq!(closed.statistics().timers, 0);
    task.cancel();
}

// 284.
#[test]
fn cancelling_a_task_drops_its_future_in_the_next_round() {
    let event_loop = memory_loop();
    let log = Log::default();
    let task = event_loop.create_task({
        let (guard, event_loop) = (log.adds_on_drop("dropped"), event_loop.clone());
        async move {
            let _guard = guard;
            event_loop.sleep(Duration::from_secs(1)).await;
        }
    });
    settle(&event_loop).unwrap();
    assert!(task.cancel());
    assert!(!task.is_done() && !task.is_cancelled(), "its future is still there");
    assert!(task.cancel(), "it is not done");
    assert_eq!(log.len(), 0, "its Drop code runs on the loop");
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["dropped"]);
    assert!(task.is_done() && task.is_cancelled() && !task.cancel());
    assert!(event_loop.run_until_complete(task).unwrap().unwrap_err().is_cancelled());
    assert_eq!((event_loop.statistics().tasks, event_loop.statistics().timers), (0, 0));
}

// 285.
#[test]
fn a_task_that_is_cancelled_before_its_first_step_never_runs() {
    let event_loop = memory_loop();
    let log = Log::default();
    let body = |log: Log| async move { log.add("ran") };
    let task = event_loop.create_task(body(log.clone()));
    task.cancel();
    drop(event_loop.create_task(body(log.clone())));
    settle(&event_loop).unwrap();
    assert_eq!(log.len(), 0);
    assert!(task.is_cancelled());
    assert_eq!(event_loop.statistics().tasks, 0);
}

// 286.
#[test]
fn a_task_that_cancels_itself_ends_at_its_next_await() {
    let event_loop = memory_loop();
    let log = Log::default();
    let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
    let task = event_loop.create_task({
        let (log, own, event_loop) = (log.clone(), Rc::clone(&own), event_loop.clone());
        async move {
            own.borrow().as_ref().unwrap().cancel();
            log.add("goes on");
            event_loop.sleep(Duration::ZERO).await;
            log.add("not reached");
        }
    });
    *own.borrow_mut() = Some(task);
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["goes on"]);
    assert!(own.take().unwrap().is_cancelled());

    // Returning instead of awaiting does not undo it.
    let own: Rc<RefCell<Option<Task<i32>>>> = Rc::default();
    let task = event_loop.create_task({
        let own = Rc::clone(&own);
        async move {
            own.borrow().as_ref().unwrap().cancel();
            5
        }
    });
    *own.borrow_mut() = Some(task);
    settle(&event_loop).unwrap();
    let task = own.take().unwrap();
    assert!(task.take_result().unwrap().unwrap_err().is_cancelled());
    assert_eq!(event_loop.statistics().tasks, 0);
}

// 287.
#[test]
fn cancelling_reaches_through_awaited_tasks() {
    let event_loop = memory_loop();
    let log = Log::default();
    let inner = event_loop.create_task({
        let guard = log.adds_on_drop("inner dropped");
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    });
    let outer = event_loop.create_task({
        let guard = log.adds_on_drop("outer dropped");
        async move {
            let _guard = guard;
            inner.await
        }
    });
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 2);
    outer.cancel();
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 0);
    let mut dropped = log.entries();
    dropped.sort();
    assert_eq!(dropped, ["inner dropped", "outer dropped"]);
}

// 287.
#[test]
fn a_task_that_awaits_a_cancelled_one_is_told_and_goes_on() {
    let event_loop = memory_loop();
    let inner = Rc::new(RefCell::new(Some(event_loop.create_task(std::future::pending::<()>()))));
    let future = inner.borrow_mut().take().unwrap();
    future.cancel();
    let outer = event_loop.create_task(async move { future.await.unwrap_err().is_cancelled() });
    assert!(event_loop.run_until_complete(outer).unwrap().unwrap());
}

// 289.
#[test]
fn a_task_may_await_a_future_of_another_loop() {
    let (first, second) = (memory_loop(), memory_loop());
    let (promise, future) = first.create_future();
    let task = second.create_task(future);
    settle(&second).unwrap();
    first.call_soon(move || promise.set_result(9).unwrap());
    settle(&first).unwrap();
    assert_eq!(second.run_until_complete(task).unwrap().unwrap().unwrap(), 9);
}

// 291.
#[test]
fn the_loop_owns_its_tasks() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop
        .create_task({
            let (log, event_loop) = (log.clone(), event_loop.clone());
            async move {
                event_loop.sleep(Duration::from_secs(60)).await;
                log.add("done");
            }
        })
        .detach();
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 1);
    advance(&event_loop, Duration::from_secs(60)).unwrap();
    assert_eq!(log.entries(), ["done"]);
    assert_eq!(event_loop.statistics().tasks, 0);
}

#[test]
fn dropping_a_task_cancels_it_unless_it_was_detached_or_has_a_done_callback() {
    let event_loop = memory_loop();
    let log = Log::default();
    let body = |name: &'static str| {
        let log = log.clone();
        async move { log.add(name) }
    };
    drop(event_loop.create_task(body("dropped")));
    event_loop.create_task(body("detached")).detach();
    let task = event_loop.create_task(body("with a callback"));
    task.add_done_callback({
        let told = log.adds("its callback");
        move |_| told()
    });
    drop(task);
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["detached", "with a callback", "its callback"]);
}

#[test]
fn a_task_may_drop_its_own_handle() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
    let after = Rc::new(Cell::new(false));
    let task = event_loop.create_task({
        let (own, after, event_loop) = (Rc::clone(&own), Rc::clone(&after), event_loop.clone());
        async move {
            drop(own.take());
            after.set(true);
            event_loop.sleep(Duration::ZERO).await;
            unreachable!("it is cancelled");
        }
    });
    *own.borrow_mut() = Some(task);
    settle(&event_loop).unwrap();
    assert!(after.get());
    assert_eq!((event_loop.statistics().tasks, reports.len()), (0, 0));
}

#[test]
fn a_task_that_wakes_itself_leaves_room_for_others() {
    let event_loop = memory_loop();
    let log = Log::default();
    let polls = Rc::new(Cell::new(0));
    event_loop
        .create_task({
            let polls = Rc::clone(&polls);
            poll_fn(move |context| -> Poll<()> {
                polls.set(polls.get() + 1);
                context.waker().wake_by_ref();
                Poll::Pending
            })
        })
        .detach();
    let timer = event_loop.call_later(Duration::ZERO, log.adds("timer"));
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["timer"], "{timer:?}");
    assert_eq!(polls.get(), 64, "once a round");
}

#[test]
fn a_task_that_is_woken_many_times_is_polled_once() {
    let event_loop: EventLoop = memory_loop();
    let polls = Rc::new(Cell::new(0));
    let waker = Rc::new(RefCell::new(None));
    let task = event_loop.create_task({
        let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
        poll_fn(move |context| -> Poll<()> {
            polls.set(polls.get() + 1);
            *waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    });
    settle(&event_loop).unwrap();
    let waker = waker.take().unwrap();
    for _ in 0..10 {
        waker.wake_by_ref();
    }
    assert_eq!(polls.get(), 1, "never at once");
    settle(&event_loop).unwrap();
    assert_eq!(polls.get(), 2);
    task.cancel();
}

// 284.
#[test]
fn whoever_awaits_a_cancelled_task_goes_on_when_its_future_is_dropped() {
    let event_loop = memory_loop();
    let log = Log::default();
    let spawn = || {
        let guard = log.adds_on_drop("dropped");
        event_loop.create_task(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        })
    };
    let outcome = event_loop.run(async |_| {
        let task = spawn();
        wharf::yield_now().await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        log.add("awaited");
        // The same with a done callback, which comes before.
        let task = spawn();
        task.add_done_callback({
            let log = log.clone();
            move |output| log.add(format!("told {}", output.is_err()))
        });
        wharf::yield_now().await;
        task.cancel();
        assert!(!task.is_done());
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        log.add("awaited");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(log.take(), ["dropped", "awaited", "dropped", "told true", "awaited"]);
}

#[test]
fn a_task_that_is_done_can_be_asked_in_any_way_and_order() {
    let event_loop = memory_loop();
    let log = Log::default();
    let done = || {
        let task = event_loop.create_task(async { "output" });
        settle(&event_loop).unwrap();
        task
    };
    let asked = done();
    assert!(asked.is_done() && !asked.is_cancelled() && !asked.cancel());
    assert_eq!(asked.take_result().unwrap().unwrap(), "output");
    assert!(asked.is_done() && asked.take_result().is_none());
    assert!(event_loop.run_until_complete(asked).unwrap().unwrap_err().is_invalid());

    let told = done();
    let adds = |log: &Log| {
        let log = log.clone();
        move |output: &Result<_, _>| log.add(format!("{output:?}"))
    };
    told.add_done_callback(adds(&log));
    told.add_done_callback(adds(&log));
    assert_eq!(log.len(), 0, "it is never called from here");
    assert_eq!(event_loop.run_until_complete(told).unwrap().unwrap(), "output");
    assert_eq!(log.take(), [r#"Ok("output")"#, r#"Ok("output")"#]);

    // Awaited already: there is nothing to tell.
    let mut awaited = done();
    event_loop.run_until_complete(&mut awaited).unwrap().unwrap();
    awaited.add_done_callback(adds(&log));
    settle(&event_loop).unwrap();
    assert_eq!(log.len(), 0);

    // Taken back, the last callback cancels nothing while there is a handle, and cancels when there is none.
    let task = event_loop.create_task(std::future::pending::<&str>());
    task.add_done_callback(adds(&log)).cancel();
    settle(&event_loop).unwrap();
    assert!(!task.is_done());
    let callback = task.add_done_callback(adds(&log));
    drop(task);
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 1);
    callback.cancel();
    settle(&event_loop).unwrap();
    assert_eq!((event_loop.statistics().tasks, log.len()), (0, 0));
}

#[test]
fn the_drop_code_of_a_finished_tasks_output_runs_once_wherever_it_goes() {
    let event_loop = memory_loop();
    let log = Log::default();
    let make = || {
        let guard = log.adds_on_drop("dropped");
        event_loop.create_task(async { guard })
    };
    // Never begun; dropped while it runs, when it is done, detached, taken, told.
    drop(make());
    settle(&event_loop).unwrap();
    let done = make();
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["dropped"]);
    drop(done);
    assert_eq!(log.take(), ["dropped"]);
    make().detach();
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["dropped"]);
    let taken = event_loop.run_until_complete(make()).unwrap().unwrap();
    assert_eq!(log.len(), 0);
    drop(taken);
    assert_eq!(log.take(), ["dropped"]);
    let told = make();
    told.add_done_callback(|_| {});
    drop(told);
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["dropped"]);
}

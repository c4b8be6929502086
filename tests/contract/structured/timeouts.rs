//! `timeout` and its kin.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use wharf::testing::{advance, step};
use wharf::{
    CancelScope, Result, TimeoutKind, move_on_after, move_on_at, sleep, timeout, timeout_at,
};

use super::{counted, hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::Log;

// 295.
#[test]
fn a_timeout_gives_the_output_in_time_and_an_error_after_that() {
    run(async |event_loop| {
        let began = event_loop.time();
        let late = async {
            sleep(seconds(3)).await;
            7
        };
        assert_eq!(timeout(seconds(5), late).await?, 7);
        let error = timeout(seconds(5), pending::<()>()).await.unwrap_err();
        assert!(error.is_timeout() && !error.is_cancelled());
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Future));
        assert_eq!(event_loop.time() - began, seconds(8));

        let deadline = event_loop.time() + seconds(2);
        assert!(timeout_at(deadline, sleep(seconds(1))).await.is_ok());
        assert!(timeout_at(deadline, sleep(seconds(2))).await.is_err());
        assert_eq!(move_on_after(seconds(1), ready(3)).await, Some(3));
        assert_eq!(move_on_after(seconds(1), pending::<()>()).await, None);
        assert_eq!(move_on_at(event_loop.time() + seconds(1), pending::<()>()).await, None);
        assert_eq!(event_loop.time() - began, seconds(12));
        Ok(())
    });
}

// 295.
#[test]
fn a_timeout_takes_what_can_be_awaited() {
    run(async |event_loop| {
        event_loop.start_server(async |_, _| Ok(()), "10.0.0.1:7").await?;
        let connect = || event_loop.open_connection("10.0.0.1:7");
        let (mut reader, _writer) = timeout(seconds(1), connect()).await??;
        assert_eq!(reader.read_line().await?, None);
        let deadline = event_loop.time() + seconds(1);
        timeout_at(deadline, connect()).await??;
        move_on_after(seconds(1), connect()).await.ok_or("in time")??;
        move_on_at(deadline, connect()).await.ok_or("in time")??;
        let scope = CancelScope::new();
        scope.run(connect()).await.ok_or("not cancelled")??;
        scope.try_run(connect()).await??;
        Ok(())
    });
}

// 295, 299.
#[test]
fn what_timed_out_is_dropped_before_anybody_is_told() {
    run(async |event_loop| {
        let log = Log::default();
        let holding = hold(log.adds_on_drop("dropped"));
        assert!(event_loop.timeout(seconds(1), holding).await.is_err());
        log.add("told");
        assert_eq!(log.entries(), ["dropped", "told"]);
        Ok(())
    });
}

// 295.
#[test]
fn nested_timeouts_each_turn_only_their_own_deadline_into_an_error() {
    run(async |event_loop| {
        // The inner one is over first: the outer one goes on.
        let outer = timeout(seconds(5), async {
            let inner = timeout(seconds(1), pending::<()>()).await;
            sleep(seconds(1)).await;
            inner.is_err_and(|error| error.is_timeout())
        });
        assert!(outer.await?);

        // The outer one is over first: the inner one is dropped, and says nothing.
        let reached = Cell::new(false);
        let outer = timeout(seconds(1), async {
            let _ = timeout(seconds(5), pending::<()>()).await;
            reached.set(true);
        });
        assert!(outer.await.is_err());
        assert!(!reached.get());

        // Both at once: the inner one is told, and what it says is the output of the outer one.
        let both = timeout(seconds(1), timeout(seconds(1), pending::<()>())).await;
        assert!(both?.is_err());

        // If the loop is held up for so long that both have passed, each is told all the same.
        let began = event_loop.time();
        let both = timeout(seconds(2), async {
            let inner = timeout(seconds(1), pending::<()>()).await;
            assert!(inner.is_err());
            // What follows has no time left.
            sleep(seconds(60)).await;
        });
        assert!(both.await.is_err());
        assert_eq!(event_loop.time() - began, seconds(2));
        Ok(())
    });
}

// 296.
#[test]
fn errors_of_others_pass_through_a_timeout() {
    run(async |event_loop| {
        let (promise, future) = event_loop.create_future::<()>();
        drop(promise);
        let cancelled = timeout(seconds(1), future).await?;
        assert!(cancelled.is_err_and(|error| error.is_cancelled() && !error.is_timeout()));
        let failed = timeout(seconds(1), async { Err::<(), _>("no luck") }).await?;
        assert_eq!(failed, Err("no luck"));
        Ok(())
    });
}

// 296, 300.
#[test]
fn a_timeout_that_is_dropped_takes_its_future_and_its_timer_along() {
    let event_loop = memory_loop();
    let log = Log::default();
    let holding = event_loop.timeout(seconds(9), hold(log.adds_on_drop("dropped")));
    let task = event_loop.create_task(holding);
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().timers, 1);
    task.cancel();
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["dropped"]);
    assert!(task.take_result().unwrap().unwrap_err().is_cancelled(), "and not a timeout");
    nothing_is_left(&event_loop);
}

// 297, 299.
#[test]
fn a_deadline_that_has_passed_lets_the_future_be_polled_once() {
    run(async |event_loop| {
        for limited in [event_loop.time(), event_loop.time() - seconds(1)] {
            let (future, polls) = counted();
            assert!(timeout_at(limited, future).await.is_err());
            assert_eq!(polls.get(), 1);
        }
        let (future, polls) = counted();
        assert!(timeout(seconds(0), future).await.is_err());
        assert_eq!(polls.get(), 1);
        // At the first await, be it the shortest one.
        assert!(timeout(seconds(0), wharf::yield_now()).await.is_err());
        assert!(timeout(seconds(0), sleep(seconds(0))).await.is_err());
        // What is done at once is done.
        assert_eq!(timeout(seconds(0), ready(1)).await?, 1);
        assert_eq!(event_loop.statistics().timers, 0);
        Ok(())
    });
}

// 299, 300.
#[test]
fn what_is_done_at_the_deadline_or_late_wins() {
    run(async |event_loop| {
        assert!(timeout(seconds(2), sleep(seconds(2))).await.is_ok());
        // Both are woken in one tick, the deadline first.
        let (promise, future) = event_loop.create_future();
        let limited = event_loop.timeout(seconds(1), future);
        event_loop.call_later(seconds(1), move || promise.set_result(5).unwrap());
        assert_eq!(limited.await??, 5);
        // It held the loop up for longer than it had.
        let slow = poll_fn({
            let mut is_first = true;
            move |context| {
                if std::mem::take(&mut is_first) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready("late")
            }
        });
        assert_eq!(timeout(std::time::Duration::from_nanos(1), slow).await?, "late");
        Ok(())
    });
}

#[test]
fn a_timeout_that_need_not_wait_sets_no_timer_and_one_that_waits_sets_one() {
    let event_loop = memory_loop();
    let mut quick = pin!(event_loop.timeout(seconds(1), ready(())));
    let mut slow = pin!(event_loop.timeout(seconds(1), pending::<()>()));
    event_loop
        .run_until_complete(poll_fn(|context| {
            assert!(quick.as_mut().poll(context).is_ready());
            assert_eq!(event_loop.statistics().timers, 0);
            for _ in 0..3 {
                assert!(slow.as_mut().poll(context).is_pending());
                assert_eq!(event_loop.statistics().timers, 1);
            }
            Poll::Ready(())
        }))
        .unwrap();
}

#[test]
fn a_timeout_wakes_whoever_polled_it_last() {
    struct Flag(std::sync::atomic::AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let event_loop = memory_loop();
    let mut limited = Box::pin(event_loop.timeout(seconds(1), pending::<()>()));
    let flags = [(); 2].map(|()| Arc::new(Flag(false.into())));
    let wakers = flags.clone().map(Waker::from);
    for waker in [&wakers[0], &wakers[0], &wakers[1]] {
        assert!(limited.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&flags[0]), 2, "the first one is let go of");
    advance(&event_loop, seconds(1)).unwrap();
    let woken = flags.each_ref().map(|flag| flag.0.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(woken, [false, true]);
    assert!(limited.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_ready());
    drop(limited);
    assert_eq!(Arc::strong_count(&flags[1]), 2);
}

#[test]
fn deadlines_are_for_code_on_a_loop_and_its_twins_for_all() {
    let caught = std::panic::catch_unwind(|| drop(timeout(seconds(1), ready(()))));
    let text = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(
        text.contains("`wharf::timeout` was called at") && text.contains("no event loop"),
        "{text}"
    );
    let event_loop = memory_loop();
    let limited = event_loop.timeout(seconds(1), pending::<()>());
    assert!(event_loop.run_until_complete(limited).unwrap().is_err());
    // It is awaited on another loop, and goes by its own.
    let other = memory_loop();
    let task = other.create_task(event_loop.timeout(seconds(1), pending::<()>()));
    settle(&other).unwrap();
    advance(&event_loop, seconds(1)).unwrap();
    settle(&other).unwrap();
    assert!(task.is_done());
}

#[test]
fn a_timeout_on_a_closed_loop_never_passes_and_keeps_nothing() {
    let (closed, other) = (memory_loop(), memory_loop());
    let early = other.create_task(closed.timeout(seconds(1), pending::<()>()));
    settle(&other).unwrap();
    closed.close().unwrap();
    let late = other.create_task(closed.timeout(seconds(1), pending::<()>()));
    advance(&other, seconds(2)).unwrap();
    assert!(!early.is_done() && !late.is_done());
    drop((early, late));
    step(&other).unwrap();
    nothing_is_left(&other);
}

#[test]
fn a_future_that_panics_in_its_drop_code_at_its_deadline_ends_its_task() {
    let event_loop = memory_loop();
    let holding = hold(crate::probes::panics_on_drop("on purpose"));
    let task = event_loop.create_task(event_loop.timeout(seconds(1), holding));
    let outcome: Result<_, _> = event_loop.run_until_complete(task).unwrap();
    assert!(outcome.unwrap_err().is_panic());
    nothing_is_left(&event_loop);
}

/// Rust gives each `async` block room for what it is given, and again for what it awaits.
#[test]
fn what_is_awaited_takes_at_most_twice_its_room() {
    async fn large() -> Result {
        let room = [0_u8; 10_000];
        pending::<()>().await;
        assert_eq!(room.len(), 10_000);
        Ok(())
    }
    let event_loop = memory_loop();
    let limit = |times: usize| times * size_of_val(&large()) + 500;
    let scope = event_loop.cancel_scope();
    let twice = [
        size_of_val(&event_loop.timeout(seconds(1), large())),
        size_of_val(&event_loop.move_on_after(seconds(1), large())),
        size_of_val(&scope.run(large())),
        size_of_val(&scope.try_run(large())),
    ];
    assert!(twice.iter().all(|&size| size <= limit(2)), "{twice:?}");
    let once = [
        size_of_val(&event_loop.task_group(async |_| large().await)),
        size_of_val(&event_loop.scope(async |_| large().await)),
    ];
    assert!(once.iter().all(|&size| size <= limit(1)), "{once:?}");
}

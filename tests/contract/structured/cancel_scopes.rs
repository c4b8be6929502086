//! `CancelScope`.

use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::advance;
use wharf::{CancelScope, sleep, timeout};

use super::{counted, hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::Log;

#[test]
fn a_cancelled_scope_drops_what_runs_in_it() {
    run(async |event_loop| {
        let (scope, log) = (CancelScope::new(), Log::default());
        let stop = scope.clone();
        event_loop.call_later(seconds(1), {
            let log = log.clone();
            move || {
                stop.cancel();
                stop.cancel();
                log.add("cancelled");
            }
        });
        assert!(scope.run(hold(log.adds_on_drop("dropped"))).await.is_none());
        assert_eq!(log.entries(), ["cancelled", "dropped"], "not inside the callback");
        assert!(scope.is_cancelled() && !scope.is_expired());
        assert!(scope.try_run(pending::<()>()).await.unwrap_err().is_cancelled());
        Ok(())
    });
}

#[test]
fn several_futures_in_a_scope_end_together() {
    let event_loop = memory_loop();
    let scope = event_loop.cancel_scope();
    let run = |scope: CancelScope| async move { scope.run(pending::<()>()).await };
    let tasks: Vec<_> = (0..3).map(|_| event_loop.create_task(run(scope.clone()))).collect();
    settle(&event_loop).unwrap();
    scope.cancel();
    settle(&event_loop).unwrap();
    for task in tasks {
        assert!(task.take_result().unwrap().unwrap().is_none());
    }
    nothing_is_left(&event_loop);
}

#[test]
fn a_future_in_a_scope_that_is_over_is_polled_once() {
    run(async |_| {
        let scope = CancelScope::new();
        scope.cancel();
        let (future, polls) = counted();
        assert!(scope.run(future).await.is_none());
        assert_eq!(polls.get(), 1);
        assert_eq!(scope.run(ready(3)).await, Some(3));
        Ok(())
    });
}

#[test]
fn what_runs_in_a_scope_may_cancel_it() {
    run(async |_| {
        let scope = CancelScope::new();
        let steps = async {
            scope.cancel();
            pending::<()>().await;
        };
        assert!(scope.run(steps).await.is_none());
        // Returning all the same is an output.
        let scope = CancelScope::new();
        let steps = async {
            scope.cancel();
            "done"
        };
        assert_eq!(scope.run(steps).await, Some("done"));
        Ok(())
    });
}

// 298.
#[test]
fn the_deadline_of_a_scope_can_be_moved_while_it_is_not_over() {
    run(async |event_loop| {
        let began = event_loop.time();
        let elapsed = || event_loop.time() - began;
        let scope = CancelScope::after(seconds(1));
        assert_eq!(scope.when(), Some(began + seconds(1)));
        // Later, earlier, never.
        let moves = async {
            assert!(scope.reschedule_after(seconds(5)));
            sleep(seconds(4)).await;
            assert!(scope.reschedule(None));
            assert_eq!(scope.when(), None);
            sleep(seconds(4)).await;
            assert!(scope.reschedule(event_loop.time() + seconds(2)));
            sleep(seconds(1)).await;
            assert!(scope.reschedule(event_loop.time() + seconds(3)));
            pending::<()>().await;
        };
        let error = scope.try_run(moves).await.unwrap_err();
        assert!(error.is_timeout() && scope.is_expired() && scope.is_cancelled());
        assert_eq!(elapsed(), seconds(12));
        // It is over for good.
        assert!(!scope.reschedule_after(seconds(5)));
        scope.cancel();
        assert!(scope.is_expired());
        assert!(scope.try_run(pending::<()>()).await.unwrap_err().is_timeout());

        // From a callback, to a time that has passed.
        let scope = CancelScope::at(event_loop.time() + seconds(100));
        let mover = scope.clone();
        event_loop.call_later(seconds(1), move || {
            assert!(mover.reschedule_after(Duration::ZERO));
        });
        assert!(scope.run(pending::<()>()).await.is_none());
        assert_eq!(elapsed(), seconds(13));
        Ok(())
    });
}

#[test]
fn a_scopes_deadline_counts_only_while_something_runs_in_it() {
    run(async |event_loop| {
        let scope = CancelScope::after(seconds(5));
        assert!(scope.run(sleep(seconds(1))).await.is_some());
        assert_eq!(event_loop.statistics().timers, 0);
        sleep(seconds(10)).await;
        assert!(!scope.is_cancelled(), "nothing has noticed");
        let (future, polls) = counted();
        assert!(scope.run(future).await.is_none());
        assert_eq!(polls.get(), 1);
        assert!(scope.is_expired());
        Ok(())
    });
}

#[test]
fn nested_scopes_end_what_is_theirs() {
    run(async |_| {
        let (outer, inner) = (CancelScope::new(), CancelScope::after(seconds(1)));
        let steps = outer.run(async {
            assert!(inner.run(pending::<()>()).await.is_none());
            assert!(timeout(seconds(1), pending::<()>()).await.is_err());
            outer.cancel();
            pending::<()>().await;
        });
        assert!(steps.await.is_none());
        assert!(inner.is_expired() && outer.is_cancelled() && !outer.is_expired());
        Ok(())
    });
}

#[test]
fn a_run_in_a_scope_that_is_dropped_leaves_nothing_and_ends_nothing() {
    let event_loop = memory_loop();
    let scope = event_loop.cancel_scope();
    scope.reschedule_after(seconds(9));
    let token = Rc::new(());
    let run = |scope: CancelScope, token| async move { scope.run(hold(token)).await.is_some() };
    let first = event_loop.create_task(run(scope.clone(), Rc::clone(&token)));
    let second = event_loop.create_task(run(scope.clone(), Rc::clone(&token)));
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().timers, 1, "one for both");
    drop(first);
    settle(&event_loop).unwrap();
    assert_eq!((event_loop.statistics().timers, Rc::strong_count(&token)), (1, 2));
    drop(second);
    settle(&event_loop).unwrap();
    assert_eq!(Rc::strong_count(&token), 1);
    assert!(!scope.is_cancelled());
    nothing_is_left(&event_loop);
}

#[test]
fn a_scope_whose_handles_are_dropped_keeps_its_deadline() {
    let event_loop = memory_loop();
    let scope = event_loop.cancel_scope();
    scope.reschedule_after(seconds(1));
    let task = event_loop.create_task(async move {
        let steps = scope.run(pending::<()>());
        steps.await.is_none()
    });
    settle(&event_loop).unwrap();
    advance(&event_loop, seconds(1)).unwrap();
    assert!(task.take_result().unwrap().unwrap());
}

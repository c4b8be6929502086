//! What asyncio's `gather`, `wait` and `as_completed` are here: combinators of other crates, on futures and tasks.

use std::cell::RefCell;

use futures_util::StreamExt as _;
use futures_util::future::{Either, join_all, select, try_join_all};
use futures_util::stream::FuturesUnordered;
use wharf::{EventLoop, Result, Task, move_on_after, sleep};

use super::{nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::Log;

async fn after(delay: u64) -> Result<u64> {
    sleep(seconds(delay)).await;
    if delay == 4 { Err("four".into()) } else { Ok(delay) }
}

// 292.
#[test]
fn gathered_results_are_in_order_and_the_first_error_comes_at_once() {
    run(async |event_loop| {
        let began = event_loop.time();
        assert_eq!(try_join_all([3, 1, 2].map(after)).await?, [3, 1, 2]);
        assert_eq!(event_loop.time() - began, seconds(3));
        let failed = try_join_all([60, 4].map(after)).await.unwrap_err();
        assert_eq!(failed.to_string(), "four");
        assert_eq!(event_loop.time() - began, seconds(7));
        // All outcomes: `return_exceptions`.
        let outcomes = join_all([5, 4].map(after)).await;
        assert!(outcomes[0].is_ok() && outcomes[1].is_err());
        Ok(())
    });
}

// 292.
#[test]
fn giving_up_a_gathering_cancels_what_it_gathers() {
    let event_loop = memory_loop();
    let log = Log::default();
    let tasks: Vec<_> = ["one", "two"]
        .map(|name| event_loop.create_task(super::hold(log.adds_on_drop(name))))
        .into();
    let gathering = event_loop.create_task(join_all(tasks));
    settle(&event_loop).unwrap();
    gathering.cancel();
    settle(&event_loop).unwrap();
    let mut dropped = log.entries();
    dropped.sort();
    assert_eq!(dropped, ["one", "two"]);
    nothing_is_left(&event_loop);
}

// 294.
#[test]
fn waiting_for_the_first_or_for_a_while_cancels_nothing_that_is_kept() {
    run(async |event_loop| {
        let spawn = |delay| event_loop.create_task(after(delay));
        // FIRST_COMPLETED: the other one is given back.
        let (quick, slow) = (spawn(1), spawn(3));
        let Either::Left((done, slow)) = select(quick, slow).await else { panic!("the slow one") };
        assert_eq!((done??, slow.is_done()), (1, false));
        assert_eq!(slow.await??, 3);

        // With a timeout: what is done by then, and what is not.
        let mut tasks: FuturesUnordered<Task<_>> = [5, 1, 3].map(spawn).into_iter().collect();
        let done = RefCell::new(Vec::new());
        let all = async {
            while let Some(outcome) = tasks.next().await {
                done.borrow_mut().push(outcome??);
            }
            Ok::<(), wharf::Failure>(())
        };
        assert!(move_on_after(seconds(4), all).await.is_none());
        assert_eq!((done.take(), tasks.len()), (vec![1, 3], 1));
        // FIRST_EXCEPTION is `try_join_all` on what may fail.
        assert_eq!(tasks.next().await.ok_or("nothing is left")???, 5);
        Ok(())
    });
}

#[test]
fn results_come_as_they_complete() {
    run(async |_: &EventLoop| {
        let mut unordered: FuturesUnordered<_> = [3, 1, 2].map(after).into_iter().collect();
        let mut order = Vec::new();
        while let Some(value) = unordered.next().await {
            order.push(value?);
        }
        assert_eq!(order, [1, 2, 3]);
        Ok(())
    });
}

//! `start` of groups and scopes.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use wharf::{Error, Ready, Result, move_on_after, scope, sleep, task_group, yield_now};

use super::{hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::Log;

#[test]
fn start_waits_until_the_task_is_ready_and_the_task_goes_on() {
    run(async |event_loop| {
        let (log, began) = (Log::default(), event_loop.time());
        let inside = log.clone();
        task_group(async |group| {
            let value = group.start(async move |ready: Ready<_>| {
                sleep(seconds(2)).await;
                ready.set("address");
                sleep(seconds(3)).await;
                inside.add("done");
                Ok(())
            });
            assert_eq!(value.await?, "address");
            assert_eq!(event_loop.time() - began, seconds(2));
            Ok(())
        })
        .await?;
        assert_eq!(log.entries(), ["done"]);
        assert_eq!(event_loop.time() - began, seconds(5));
        // In a scope it may borrow.
        let sum = Cell::new(1);
        scope(async |scope| {
            let value = scope.start(async |ready: Ready<u32>| {
                ready.set(sum.get());
                yield_now().await;
                sum.set(sum.get() + 1);
                Ok(())
            });
            assert_eq!(value.await?, 1);
            Ok(())
        })
        .await?;
        assert_eq!(sum.get(), 2);
        Ok(())
    });
}

#[test]
fn an_error_before_a_task_is_ready_is_that_of_start_and_a_later_one_the_groups() {
    run(async |_| {
        let outcome = task_group(async |group| {
            let failed = group.start(async |_: Ready<()>| Err("not ready".into())).await;
            assert_eq!(failed.unwrap_err().to_string(), "not ready");
            let failed = group.start(async |ready: Ready<()>| {
                yield_now().await;
                let number: u32 = "x".parse()?;
                ready.set(());
                panic!("not reached: {number}");
            });
            assert!(failed.await.unwrap_err().is_application());
            let panicked = group.start(async |ready: Ready<()>| {
                let _ready = ready;
                panic!("on purpose");
            });
            assert!(panicked.await.unwrap_err().is_panic());
            assert!(group.is_open(), "none of this is the group's");
            group
                .start(async |ready: Ready<()>| {
                    ready.set(());
                    sleep(seconds(1)).await;
                    Err("later".into())
                })
                .await?;
            pending::<Result>().await
        });
        let error = outcome.await.unwrap_err();
        let texts: Vec<_> = error.errors().iter().map(Error::to_string).collect();
        assert_eq!(texts, ["later"]);
        Ok(())
    });
}

#[test]
fn a_task_that_does_not_say_that_it_is_ready_is_cancelled() {
    run(async |_| {
        let log = Log::default();
        let guard = log.adds_on_drop("dropped");
        task_group(async |group| {
            let never = group.start(async move |ready: Ready<()>| {
                drop(ready);
                hold(guard).await
            });
            assert!(never.await.unwrap_err().is_invalid());
            let silent = group.start(async |_: Ready<()>| Ok(()));
            assert!(silent.await.unwrap_err().is_invalid());
            Ok(())
        })
        .await?;
        assert_eq!(log.entries(), ["dropped"]);
        Ok(())
    });
}

#[test]
fn a_start_that_is_dropped_cancels_its_task() {
    run(async |_| {
        let log = Log::default();
        let guard = log.adds_on_drop("dropped");
        task_group(async |group| {
            let slow = group.start(async move |ready: Ready<()>| {
                let _ready = ready;
                hold(guard).await
            });
            assert!(move_on_after(seconds(1), slow).await.is_none());
            yield_now().await;
            assert_eq!(log.take(), ["dropped"]);
            assert!(group.is_open());
            // Never polled: the task was not even added.
            drop(group.start(async |_: Ready<()>| unreachable!()));
            Ok(())
        })
        .await?;
        Ok(())
    });
}

#[test]
fn a_value_that_nobody_waits_for_is_dropped() {
    let event_loop = memory_loop();
    let log = Log::default();
    let value = log.adds_on_drop("value");
    let kept: Rc<Cell<Option<Ready<_>>>> = Rc::default();
    let keeper = Rc::clone(&kept);
    let task = event_loop.create_task(event_loop.task_group(async move |group| {
        let slow = group.start(async move |ready: Ready<_>| {
            keeper.set(Some(ready));
            pending().await
        });
        move_on_after(seconds(1), slow).await;
        pending::<Result>().await
    }));
    settle(&event_loop).unwrap();
    let ready = kept.take().unwrap();
    wharf::testing::advance(&event_loop, seconds(2)).unwrap();
    ready.set(value);
    assert_eq!(log.take(), ["value"]);
    drop(task);
    nothing_is_left(&event_loop);
}

#[test]
fn a_start_in_a_group_that_is_over_is_cancelled() {
    run(async |_| {
        let kept = Cell::new(None);
        task_group(async |group| {
            kept.set(Some(group));
            Ok(())
        })
        .await?;
        let group = kept.take().unwrap();
        let refused = group.start(async |_: Ready<()>| unreachable!()).await;
        assert!(refused.unwrap_err().is_cancelled());
        Ok(())
    });
}

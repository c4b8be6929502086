//! `task_group`: its life.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

use wharf::testing::advance;
use wharf::{Child, EventLoop, Result, TaskGroup, sleep, task_group, yield_now};

use super::{hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::{Log, on_drop, reports};

// 301.
#[test]
fn a_group_ends_when_all_its_tasks_have() {
    run(async |event_loop| {
        let (log, began) = (Log::default(), event_loop.time());
        let value = task_group(async |group| {
            for task in [3, 1, 2] {
                let log = log.clone();
                group.spawn(async move {
                    sleep(seconds(task)).await;
                    log.add(format!("task {task}"));
                    Ok(())
                });
            }
            log.add("body");
            Ok("value")
        });
        assert_eq!(value.await?, "value");
        assert_eq!(log.entries(), ["body", "task 1", "task 2", "task 3"]);
        assert_eq!(event_loop.time() - began, seconds(3));
        // One without any.
        assert_eq!(task_group(async |_| Ok(5)).await?, 5);
        Ok(())
    });
}

// 301.
#[test]
fn tasks_begin_in_the_next_round_in_the_order_in_which_they_came() {
    run(async |_| {
        let log = Log::default();
        task_group(async |group| {
            for task in 0..3 {
                let log = log.clone();
                group.spawn(async move {
                    log.add(task.to_string());
                    Ok(())
                });
            }
            assert_eq!(log.len(), 0);
            yield_now().await;
            assert_eq!(log.entries(), ["0", "1", "2"]);
            Ok(())
        })
        .await?;
        Ok(())
    });
}

// 301.
#[test]
fn tasks_of_a_group_may_add_others() {
    async fn tree(group: TaskGroup, log: Log, depth: u32) -> Result {
        sleep(seconds(1)).await;
        if depth > 0 {
            for _ in 0..2 {
                group.spawn(tree(group.clone(), log.clone(), depth - 1));
            }
        }
        log.add("task");
        Ok(())
    }
    run(async |event_loop| {
        let (log, began) = (Log::default(), event_loop.time());
        task_group(async |group| {
            group.spawn(tree(group.clone(), log.clone(), 4));
            Ok(())
        })
        .await?;
        assert_eq!(log.len(), 31);
        assert_eq!(event_loop.time() - began, seconds(5));
        Ok(())
    });
}

#[test]
fn a_task_of_a_group_gives_its_output() {
    run(async |_| {
        task_group(async |group| {
            let (late, quick) = (
                group.spawn(async {
                    sleep(seconds(1)).await;
                    Ok("late")
                }),
                group.spawn_infallible(async { 7 }),
            );
            assert!(!quick.is_done());
            assert_eq!(late.await?, "late");
            assert!(quick.is_done());
            let mut quick = quick;
            assert_eq!((&mut quick).await?, 7);
            assert!((&mut quick).await.unwrap_err().is_invalid(), "it was taken");
            Ok(())
        })
        .await?;
        Ok(())
    });
}

#[test]
fn an_output_that_nobody_takes_is_dropped_with_its_task() {
    run(async |_| {
        let log = Log::default();
        task_group(async |group| {
            let output = log.adds_on_drop("dropped");
            drop(group.spawn(async { Ok(output) }));
            let output = log.adds_on_drop("kept");
            let kept = group.spawn(async { Ok(output) });
            sleep(seconds(1)).await;
            assert_eq!(log.take(), ["dropped"]);
            drop(kept);
            assert_eq!(log.take(), ["kept"]);
            Ok(())
        })
        .await?;
        Ok(())
    });
}

// 301, 302.
#[test]
fn a_task_that_is_cancelled_alone_is_no_error_of_its_group() {
    run(async |_| {
        let log = Log::default();
        let sum = task_group(async |group| {
            let first: Child<'_, ()> = group.spawn(hold(log.adds_on_drop("first")));
            let second = group.spawn(async { Ok(2) });
            yield_now().await;
            first.cancel();
            first.cancel();
            assert!(!first.is_done());
            assert!(first.await.unwrap_err().is_cancelled());
            log.add("told");
            // Before its first step, and when it is done.
            let third = group.spawn(hold(log.adds_on_drop("third")));
            third.cancel();
            assert!(third.await.unwrap_err().is_cancelled());
            second.cancel();
            Ok(second.await?)
        });
        assert_eq!(sum.await?, 2);
        assert_eq!(log.entries(), ["first", "told", "third"]);
        Ok(())
    });
}

// 302.
#[test]
fn dropping_a_groups_future_cancels_its_tasks() {
    let event_loop = memory_loop();
    let log = Log::default();
    let group = event_loop.task_group({
        let log = log.clone();
        async move |group| {
            let _body = log.adds_on_drop("body");
            for task in ["first", "second"] {
                group.spawn(hold(log.adds_on_drop(task)));
            }
            pending::<Result>().await
        }
    });
    let task = event_loop.create_task(group);
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 3);
    task.cancel();
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["body", "first", "second"]);
    assert!(task.take_result().unwrap().unwrap_err().is_cancelled());
    nothing_is_left(&event_loop);

    // Never polled, or dropped while it waits for its tasks.
    drop(event_loop.task_group(async |_| Ok(())));
    let task = event_loop.create_task(event_loop.task_group({
        let guard = log.adds_on_drop("third");
        async move |group| {
            group.spawn(hold(guard));
            Ok(())
        }
    }));
    settle(&event_loop).unwrap();
    log.take();
    drop(task);
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["third"]);
    nothing_is_left(&event_loop);
}

// 302.
#[test]
fn groups_in_groups_end_from_the_inside() {
    run(async |event_loop| {
        let log = Log::default();
        let outer = task_group(async |outer| {
            let (log, inner) = (log.clone(), log.adds_on_drop("inner task"));
            outer.spawn(async move {
                let _guard = log.adds_on_drop("inner group");
                task_group(async |group| {
                    group.spawn(hold(inner));
                    Ok(())
                })
                .await?;
                Ok(())
            });
            yield_now().await;
            yield_now().await;
            outer.cancel();
            Ok(())
        });
        outer.await?;
        settle_from_inside().await;
        assert_eq!(log.entries(), ["inner group", "inner task"]);
        assert_eq!(event_loop.statistics().tasks, 0);
        Ok(())
    });
}

async fn settle_from_inside() {
    for _ in 0..5 {
        yield_now().await;
    }
}

// 303.
#[test]
fn a_group_that_is_over_or_ending_cancels_new_tasks_from_the_start() {
    run(async |_| {
        let log = Log::default();
        let kept = Cell::new(None);
        task_group(async |group| {
            kept.set(Some(group.clone()));
            assert!(group.is_open());
            Ok(())
        })
        .await?;
        let group = kept.take().unwrap();
        assert!(!group.is_open());
        let refused = group.spawn(hold(log.adds_on_drop("after the end")));
        assert_eq!(log.take(), ["after the end"]);
        assert!(refused.is_done());
        refused.cancel();
        assert!(refused.await.unwrap_err().is_cancelled());
        group.cancel();

        // In the body that has cancelled it, and in the Drop code of its tasks.
        task_group(async |group| {
            let spawner = (group.clone(), log.clone());
            let adds_more = on_drop(move || {
                let (group, log) = spawner;
                group.spawn(hold(log.adds_on_drop("in Drop code")));
            });
            group.spawn(hold(adds_more));
            yield_now().await;
            group.cancel();
            group.spawn(hold(log.adds_on_drop("after cancel")));
            assert_eq!(log.take(), ["after cancel"]);
            Ok(())
        })
        .await?;
        assert_eq!(log.take(), ["in Drop code"]);
        Ok(())
    });
}

// 304.
#[test]
fn cancelling_a_group_ends_body_and_tasks_without_an_error() {
    run(async |event_loop| {
        // From a task, while the body waits for something else.
        let (log, began) = (Log::default(), event_loop.time());
        task_group(async |group| {
            let _body = log.adds_on_drop("body");
            group.spawn(hold(log.adds_on_drop("idle")));
            let (stop, log) = (group.clone(), log.clone());
            group.spawn(async move {
                sleep(seconds(5)).await;
                stop.cancel();
                log.add("cancelled");
                pending::<Result>().await
            });
            pending().await
        })
        .await?;
        log.add("over");
        let mut entries = log.take();
        assert_eq!((&*entries[0], &*entries[3]), ("cancelled", "over"));
        entries[1..3].sort();
        assert_eq!(entries[1..3], ["body", "idle"]);
        assert_eq!(event_loop.time() - began, seconds(5));

        // From a callback, from the body, and more than once.
        task_group(async |group| {
            let stop = group.clone();
            event_loop.call_later(seconds(1), move || {
                stop.cancel();
                stop.cancel();
            });
            pending().await
        })
        .await?;
        task_group(async |group| {
            group.spawn(pending::<Result>());
            group.cancel();
            pending().await
        })
        .await?;
        Ok(())
    });
}

// 304.
#[test]
fn a_group_can_be_finished_with_a_value() {
    run(async |_| {
        let winner = task_group(async |group| {
            for runner in [3, 1, 2] {
                let group = group.clone();
                group.clone().spawn(async move {
                    sleep(seconds(runner)).await;
                    group.finish(runner);
                    group.finish(100 + runner);
                    Ok(())
                });
            }
            pending().await
        });
        assert_eq!(winner.await?, 1);
        // It counts before what the body returned, also if that comes first.
        let log = Log::default();
        let value = task_group(async |group| {
            let finisher = group.clone();
            group.spawn(async move {
                sleep(seconds(1)).await;
                finisher.finish(("task", None));
                Ok(())
            });
            Ok(("body", Some(log.adds_on_drop("the body's"))))
        });
        assert_eq!(value.await?.0, "task");
        assert_eq!(log.entries(), ["the body's"]);
        Ok(())
    });
}

#[test]
fn a_body_may_borrow() {
    run(async |_| {
        let mut list = vec![1];
        let added = &mut list;
        let length = task_group(async |group| {
            added.push(group.spawn(async { Ok(2) }).await?);
            Ok(added.len())
        });
        assert_eq!(length.await?, 2);
        assert_eq!(list, [1, 2]);
        Ok(())
    });
}

#[test]
fn a_group_on_a_loop_that_closes_or_is_closed_keeps_nothing() {
    let (event_loop, other) = (memory_loop(), memory_loop());
    let reports = reports(&event_loop);
    let log = Log::default();
    let grouped = |guard| {
        event_loop.task_group(async move |group| {
            group.spawn(hold(guard)).await?;
            Ok(())
        })
    };
    // The group is awaited elsewhere: it sees its task end with its loop.
    let waiting = other.create_task(grouped(log.adds_on_drop("dropped")));
    settle(&other).unwrap();
    settle(&event_loop).unwrap();
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["dropped"]);
    settle(&other).unwrap();
    let error = waiting.take_result().unwrap().unwrap().unwrap_err();
    assert!(error.is_cancelled(), "{error:#}");
    let refused = other.run_until_complete(grouped(log.adds_on_drop("refused"))).unwrap();
    assert!(refused.unwrap_err().is_cancelled());
    assert_eq!(log.take(), ["refused"]);
    assert_eq!(reports.len(), 0);
    nothing_is_left(&other);
}

#[test]
fn a_group_may_be_awaited_by_a_task_or_by_the_future_that_is_run() {
    let event_loop = memory_loop();
    let sum = |event_loop: &EventLoop| {
        event_loop.task_group(async |group| {
            let one = group.spawn(async { Ok(1) });
            Ok(one.await? + 1)
        })
    };
    assert_eq!(event_loop.run_until_complete(sum(&event_loop)).unwrap().unwrap(), 2);
    let task = event_loop.create_task(sum(&event_loop));
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap().unwrap(), 2);
    nothing_is_left(&event_loop);
}

#[test]
fn a_group_forgets_tasks_that_are_done() {
    let event_loop = memory_loop();
    let token = Rc::new(());
    let group: Rc<RefCell<Option<TaskGroup>>> = Rc::default();
    let task = event_loop.create_task(event_loop.task_group({
        let group = Rc::clone(&group);
        async move |own| {
            *group.borrow_mut() = Some(own);
            pending().await
        }
    }));
    settle(&event_loop).unwrap();
    let group = group.take().unwrap();
    for _ in 0..1000 {
        let token = Rc::clone(&token);
        group.spawn(async move {
            drop(token);
            Ok(())
        });
        settle(&event_loop).unwrap();
    }
    assert_eq!((Rc::strong_count(&token), event_loop.statistics().tasks), (1, 1));
    group.cancel();
    advance(&event_loop, seconds(1)).unwrap();
    assert!(task.take_result().unwrap().unwrap().is_ok());
}

//! `scope`: what it has besides a group.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Poll, Waker};

use wharf::testing::step;
use wharf::{Result, Scope, scope, sleep, timeout, yield_now};

use super::{hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, on_drop, panics_on_drop, reports};

#[test]
fn tasks_of_a_scope_borrow_from_who_opens_it() {
    run(async |event_loop| {
        let names = [String::from("one"), String::from("three")];
        let (began, total) = (event_loop.time(), Cell::new(0));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let lengths = scope(async |scope| {
            let lengths: Vec<_> = names
                .iter()
                .map(|name| {
                    let total = &total;
                    scope.spawn(async move {
                        sleep(seconds(1)).await;
                        total.set(total.get() + name.len());
                        Ok(name.len())
                    })
                })
                .collect();
            // Each has its own, to change.
            scope.spawn(async {
                left.push(1);
                Ok(())
            });
            scope.spawn(async {
                right.push(2);
                Ok(())
            });
            let mut all = Vec::new();
            for length in lengths {
                all.push(length.await?);
            }
            Ok(all)
        });
        assert_eq!(lengths.await?, [3, 5]);
        assert_eq!((total.get(), left, right), (8, vec![1], vec![2]));
        assert_eq!(names.len(), 2);
        assert_eq!(event_loop.time() - began, seconds(1), "all at once");
        assert_eq!(event_loop.statistics().tasks, 0, "they are polled in place");
        Ok(())
    });
}

#[test]
fn tasks_of_a_scope_may_add_others() {
    async fn count<'env>(scope: Scope<'env>, sum: &'env Cell<u32>, depth: u32) -> Result {
        yield_now().await;
        for _ in 0..if depth > 0 { 2 } else { 0 } {
            scope.spawn(count(scope.clone(), sum, depth - 1));
        }
        sum.set(sum.get() + 1);
        Ok(())
    }
    run(async |_| {
        let sum = Cell::new(0);
        scope(async |scope| {
            scope.spawn(count(scope.clone(), &sum, 4));
            Ok(())
        })
        .await?;
        assert_eq!(sum.get(), 31);
        Ok(())
    });
}

#[test]
fn a_wake_polls_just_the_task_that_it_is_for() {
    run(async |_| {
        let wakers: Vec<RefCell<Option<Waker>>> = (0..3).map(|_| RefCell::new(None)).collect();
        let polls = [const { Cell::new(0) }; 4];
        let stop = Cell::new(false);
        let waiting = |index: usize| {
            let (wakers, polls, stop) = (&wakers, &polls, &stop);
            poll_fn(move |context| {
                polls[index].set(polls[index].get() + 1);
                *wakers[index].borrow_mut() = Some(context.waker().clone());
                if stop.get() { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
        };
        let counts = || polls.each_ref().map(Cell::get);
        let body_waker = RefCell::new(None);
        let inner = scope(async |scope| {
            for index in 0..3 {
                scope.spawn(waiting(index));
            }
            poll_fn(|context| {
                polls[3].set(polls[3].get() + 1);
                *body_waker.borrow_mut() = Some(context.waker().clone());
                if stop.get() { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
            .await
        });
        let outer = async {
            yield_now().await;
            yield_now().await;
            assert_eq!(counts(), [1, 1, 1, 1]);
            let wake = |index: usize| wakers[index].borrow().as_ref().unwrap().wake_by_ref();
            for _ in 0..5 {
                wake(1);
            }
            yield_now().await;
            yield_now().await;
            assert_eq!(counts(), [1, 2, 1, 1], "once, and nobody else");
            stop.set(true);
            (0..3).for_each(wake);
            body_waker.take().unwrap().wake();
        };
        scope(async |scope| {
            scope.spawn(async { Ok(inner.await?) });
            scope.spawn_infallible(outer);
            Ok(())
        })
        .await?;
        assert_eq!(counts(), [2, 3, 2, 2]);
        Ok(())
    });
}

#[test]
fn a_task_of_a_scope_is_woken_from_another_thread() {
    let event_loop = system_loop();
    let shared: Mutex<(bool, Option<Waker>)> = Mutex::default();
    std::thread::scope(|threads| {
        let waiting = event_loop.scope(async |scope| {
            scope.spawn(poll_fn(|context| {
                let mut shared = shared.lock().unwrap();
                if shared.0 {
                    return Poll::Ready(Ok(()));
                }
                shared.1 = Some(context.waker().clone());
                Poll::Pending
            }));
            Ok(())
        });
        threads.spawn(|| {
            loop {
                let mut shared = shared.lock().unwrap();
                if let Some(waker) = shared.1.take() {
                    shared.0 = true;
                    drop(shared);
                    return waker.wake();
                }
                drop(shared);
                std::thread::yield_now();
            }
        });
        crate::probes::complete(&event_loop, waiting).unwrap();
    });
}

#[test]
fn many_tasks_of_a_scope_leave_room_for_others_and_each_has_its_turn() {
    let event_loop = memory_loop();
    let turns = Rc::new(RefCell::new(vec![0; 1000]));
    let inside = Rc::clone(&turns);
    let busy = event_loop.scope(async |scope| {
        for index in 0..1000 {
            let turns = &inside;
            scope.spawn_infallible(async move {
                loop {
                    turns.borrow_mut()[index] += 1;
                    yield_now().await;
                }
            });
        }
        pending::<Result>().await
    });
    let others = Rc::new(Cell::new(0));
    let counter = Rc::clone(&others);
    let other = event_loop.create_task(async move {
        for _ in 0..32 {
            counter.set(counter.get() + 1);
            yield_now().await;
        }
    });
    let mut busy = Box::pin(busy);
    let until_other = poll_fn(|context| {
        assert!(busy.as_mut().poll(context).is_pending());
        if other.is_done() { Poll::Ready(()) } else { Poll::Pending }
    });
    event_loop.run_until_complete(until_other).unwrap();
    assert_eq!(others.get(), 32);
    // 32 polls of the scope with at most 128 tasks each, in turn.
    let (fewest, most) = {
        let turns = turns.borrow();
        (*turns.iter().min().unwrap(), *turns.iter().max().unwrap())
    };
    assert!(fewest >= 3 && most - fewest <= 1, "{fewest} to {most}");
    drop(busy);
    nothing_is_left(&event_loop);
}

#[test]
fn a_scope_that_is_dropped_drops_its_tasks_at_once() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Log::default();
    let mut waiting = Box::pin(event_loop.scope(async |scope| {
        let _body = log.adds_on_drop("body");
        scope.spawn(hold(log.adds_on_drop("first")));
        scope.spawn(hold(panics_on_drop("second")));
        // They keep the scope: that is no circle.
        let (kept, log) = (scope.clone(), &log);
        let adds = log.adds_on_drop("too late");
        scope.spawn(hold(on_drop(move || {
            kept.spawn(hold(adds));
        })));
        scope.spawn(hold(log.adds_on_drop("third")));
        pending::<Result>().await
    }));
    event_loop
        .run_until_complete(poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending());
            Poll::Ready(())
        }))
        .unwrap();
    assert_eq!(log.len(), 0);
    drop(waiting);
    assert_eq!(log.take(), ["body", "first", "too late", "third"]);
    settle(&event_loop).unwrap();
    assert_eq!(reports.entries(), ["dropping a task panicked: second"]);
    nothing_is_left(&event_loop);
}

#[test]
fn a_scope_that_is_over_or_ending_cancels_new_tasks_from_the_start() {
    run(async |_| {
        let log = Log::default();
        let kept = RefCell::new(None);
        scope(async |scope| {
            *kept.borrow_mut() = Some(scope.clone());
            let spawner = scope.clone();
            let guard = log.adds_on_drop("in Drop code");
            scope.spawn(hold(on_drop_scoped(move || {
                spawner.spawn(hold(guard));
            })));
            yield_now().await;
            scope.cancel();
            assert!(!scope.is_open());
            let refused = scope.spawn(hold(log.adds_on_drop("after cancel")));
            assert!(refused.is_done());
            assert!(refused.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await?;
        assert_eq!(log.take(), ["after cancel", "in Drop code"]);
        let scope = kept.take().unwrap();
        assert!(!scope.is_open());
        scope.spawn(hold(log.adds_on_drop("after the end")));
        scope.cancel();
        assert_eq!(log.take(), ["after the end"]);
        Ok(())
    });
}

/// As `on_drop`, for what borrows.
fn on_drop_scoped<'env>(action: impl FnOnce() + 'env) -> impl Sized + 'env {
    struct OnDrop<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            if let Some(action) = self.0.take() {
                action();
            }
        }
    }
    OnDrop(Some(action))
}

#[test]
fn a_task_of_a_scope_can_be_cancelled_alone_also_by_itself() {
    run(async |_| {
        let log = Log::default();
        let own = RefCell::new(None);
        scope(async |scope| {
            let idle = scope.spawn(hold(log.adds_on_drop("idle")));
            yield_now().await;
            idle.cancel();
            assert!(!idle.is_done());
            assert!(idle.await.unwrap_err().is_cancelled());
            log.add("told");
            let (own, log) = (&own, &log);
            let itself = scope.spawn(async move {
                let itself: wharf::Child<'_, ()> = own.take().unwrap();
                itself.cancel();
                log.add("goes on");
                yield_now().await;
                log.add("not reached");
                Ok(())
            });
            own.replace(Some(itself));
            Ok(())
        })
        .await?;
        assert_eq!(log.entries(), ["idle", "told", "goes on"]);
        Ok(())
    });
}

#[test]
fn a_scope_can_be_cancelled_from_a_callback_or_finished_with_a_value() {
    run(async |event_loop| {
        // What the callback has is `'static`, and so is the scope.
        let stopped: Rc<Cell<Option<Scope<'static>>>> = Rc::default();
        let stop = Rc::clone(&stopped);
        event_loop.call_later(seconds(1), move || stop.take().unwrap().cancel());
        scope(async |scope| {
            stopped.set(Some(scope));
            pending().await
        })
        .await?;
        let fastest = scope(async |scope| {
            for runner in [3, 1, 2] {
                let finish = scope.clone();
                scope.spawn(async move {
                    sleep(seconds(runner)).await;
                    finish.finish(runner);
                    Ok(())
                });
            }
            pending().await
        });
        assert_eq!(fastest.await?, 1);
        Ok(())
    });
}

#[test]
fn scopes_and_timeouts_nest_and_borrow_through_all_of_them() {
    run(async |event_loop| {
        let log = RefCell::new(Vec::new());
        let began = event_loop.time();
        let limited = timeout(
            seconds(5),
            scope(async |outer| {
                outer.spawn(async {
                    let inner = scope(async |inner| {
                        for delay in [1, 2] {
                            let log = &log;
                            inner.spawn(async move {
                                sleep(seconds(delay)).await;
                                log.borrow_mut().push(delay);
                                Ok(())
                            });
                        }
                        Ok("inner")
                    });
                    let length = inner.await?.len() as u64;
                    log.borrow_mut().push(length);
                    Ok(())
                });
                pending::<Result>().await
            }),
        );
        assert!(limited.await.is_err());
        assert_eq!(log.into_inner(), [1, 2, 5]);
        assert_eq!(event_loop.time() - began, seconds(5));
        Ok(())
    });
}

#[test]
fn a_scope_wakes_whoever_polls_it_last() {
    let event_loop = memory_loop();
    let (promise, answer) = event_loop.create_future::<u32>();
    let mut waiting = Box::pin(event_loop.scope(async |scope| {
        let answer = scope.spawn(async { Ok(answer.await?) });
        Ok(answer.await?)
    }));
    // By the future that is run, and then by a task.
    event_loop
        .run_until_complete(poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending());
            Poll::Ready(())
        }))
        .unwrap();
    let task = event_loop.create_task(waiting);
    step(&event_loop).unwrap();
    event_loop.call_soon(move || promise.set_result(4).unwrap());
    settle(&event_loop).unwrap();
    assert_eq!(task.take_result().unwrap().unwrap().unwrap(), 4);
}

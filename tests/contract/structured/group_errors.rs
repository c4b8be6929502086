//! `task_group` and `scope`: failures. Each is tried with both.

use std::future::pending;

use wharf::testing::advance;
use wharf::{Error, EventLoop, Result, scope, sleep, task_group, yield_now};

use super::{hold, nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::{Log, OnDrop, panics_on_drop, reports};

async fn fails_after(delay: u64, text: &'static str) -> Result {
    sleep(seconds(delay)).await;
    Err(text.into())
}

async fn panics_after(delay: u64, text: &'static str) -> Result {
    sleep(seconds(delay)).await;
    panic!("{text}");
}

fn texts(error: &Error) -> Vec<String> {
    error.errors().iter().map(Error::to_string).collect()
}

/// The same body, as that of a group and that of a scope.
macro_rules! in_both {
    (|$group:ident| $body:block, $check:expr) => {
        let outcome = task_group(async |$group| $body).await;
        ($check)(outcome, "a group");
        let outcome = scope(async |$group| $body).await;
        ($check)(outcome, "a scope");
    };
}

// 301.
#[test]
fn the_first_failure_ends_the_other_tasks_and_the_body() {
    run(async |event_loop| {
        let (log, began) = (Log::default(), event_loop.time());
        in_both!(
            |group| {
                let _body = log.adds_on_drop("body");
                group.spawn(hold(log.adds_on_drop("idle")));
                group.spawn(fails_after(2, "no luck"));
                pending::<Result>().await
            },
            |outcome: Result<(), Error>, what| {
                let error = outcome.unwrap_err();
                assert_eq!(texts(&error), ["no luck"], "{what}");
                assert!(error.is_application());
                let mut dropped = log.take();
                dropped.sort();
                assert_eq!(dropped, ["body", "idle"], "{what}");
            }
        );
        assert_eq!(event_loop.time() - began, seconds(4));
        Ok(())
    });
}

// 301.
#[test]
fn an_error_of_the_body_ends_the_tasks() {
    run(async |_| {
        let log = Log::default();
        in_both!(
            |group| {
                group.spawn(hold(log.adds_on_drop("idle")));
                sleep(seconds(1)).await;
                let number: u32 = "one".parse()?;
                Ok(number)
            },
            |outcome: Result<u32, Error>, what| {
                let error = outcome.unwrap_err();
                assert_eq!(texts(&error), ["invalid digit found in string"], "{what}");
                assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
                assert_eq!(log.take(), ["idle"], "{what}");
            }
        );
        Ok(())
    });
}

// 301.
#[test]
fn what_was_cancelled_adds_no_error_and_what_fails_in_its_last_step_does() {
    run(async |_| {
        in_both!(
            |group| {
                for text in ["first", "second", "third"] {
                    group.spawn(async move {
                        yield_now().await;
                        Err::<(), _>(text.into())
                    });
                }
                Ok(())
            },
            |outcome: Result<(), Error>, what| {
                // The others are cancelled before they go on.
                assert_eq!(texts(&outcome.unwrap_err()), ["first"], "{what}");
            }
        );
        in_both!(
            |group| {
                // It fails in the step in which it ends the group.
                let stop = group.clone();
                group.spawn(async move {
                    stop.cancel();
                    Err::<(), _>("in its last step".into())
                });
                pending::<Result>().await
            },
            |outcome: Result<(), Error>, what| {
                assert_eq!(texts(&outcome.unwrap_err()), ["in its last step"], "{what}");
            }
        );
        in_both!(
            |group| {
                // The body that awaits a task which fails is dropped before it is told.
                let failing = group.spawn(async { Err::<(), _>("the task".into()) });
                assert!(failing.await.is_err(), "never reached");
                Ok(())
            },
            |outcome: Result<(), Error>, what| {
                assert_eq!(texts(&outcome.unwrap_err()), ["the task"], "{what}");
            }
        );
        Ok(())
    });
}

// 301.
#[test]
fn a_panic_of_a_task_is_an_error_of_its_group() {
    run(async |event_loop| {
        let reports = reports(event_loop);
        in_both!(
            |group| {
                group.spawn(panics_after(1, "on purpose"));
                group.spawn_infallible(pending::<()>());
                pending::<Result>().await
            },
            |outcome: Result<(), Error>, what| {
                let error = outcome.unwrap_err();
                assert!(error.is_panic(), "{what}");
                assert_eq!(texts(&error), ["on purpose"], "{what}");
            }
        );
        assert_eq!(reports.len(), 0);
        Ok(())
    });
}

#[test]
fn a_panic_of_the_body_goes_on_once_all_tasks_have_ended() {
    let event_loop = memory_loop();
    let (log, reports) = (Log::default(), reports(&event_loop));
    let in_group = event_loop.task_group(async |group| {
        group.spawn(hold(log.adds_on_drop("group")));
        yield_now().await;
        panic!("the body of a group");
        #[expect(unreachable_code)]
        Ok(())
    });
    let panic = catch(&event_loop, in_group);
    assert_eq!((panic, log.take()), ("the body of a group", vec!["group".to_owned()]));
    let in_scope = event_loop.scope(async |scope| {
        scope.spawn(hold(log.adds_on_drop("scope")));
        scope.spawn(fails_after(1, "too late"));
        sleep(seconds(1)).await;
        panic!("the body of a scope");
        #[expect(unreachable_code)]
        Ok(())
    });
    let panic = catch(&event_loop, in_scope);
    assert_eq!((panic, log.take()), ("the body of a scope", vec!["scope".to_owned()]));
    assert_eq!(reports.len(), 0);
    nothing_is_left(&event_loop);
}

/// The text of the panic that running `future` ends with.
fn catch<T>(event_loop: &EventLoop, future: impl Future<Output = T>) -> &'static str {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(event_loop.run_until_complete(future));
    }));
    outcome.unwrap_err().downcast_ref::<&'static str>().unwrap()
}

#[test]
fn panics_in_the_drop_code_of_tasks_and_bodies_are_reported_and_end_nothing_else() {
    run(async |event_loop| {
        let reports = reports(event_loop);
        let log = Log::default();
        in_both!(
            |group| {
                let _body = panics_on_drop("body");
                group.spawn(hold(panics_on_drop("first")));
                group.spawn(hold((log.adds_on_drop("dropped"), panics_on_drop("second"))));
                let guard = panics_on_drop("done");
                group.spawn(async {
                    let _guard = guard;
                    yield_now().await;
                    Ok(())
                });
                yield_now().await;
                yield_now().await;
                group.cancel();
                pending::<Result>().await
            },
            |outcome: Result<(), Error>, what| {
                // That of a task which panics while it ends is its error.
                let error = outcome.unwrap_err();
                assert_eq!(texts(&error), ["done"], "{what}");
                assert_eq!(log.take(), ["dropped"], "{what}");
            }
        );
        for _ in 0..3 {
            yield_now().await;
        }
        let mut told = reports.take();
        told.sort();
        let expected = [
            "dropping a task panicked: first",
            "dropping a task panicked: second",
            "dropping the body of a task group panicked: body",
        ];
        let twice: Vec<_> = expected.iter().flat_map(|text| [*text, *text]).collect();
        assert_eq!(told, twice);
        Ok(())
    });
}

// 302.
#[test]
fn an_error_that_was_returned_is_one_also_if_it_says_cancelled() {
    run(async |event_loop| {
        in_both!(
            |group| {
                let (promise, answer) = event_loop.create_future::<()>();
                group.spawn(async move { Ok(answer.await?) });
                drop(promise);
                Ok(())
            },
            |outcome: Result<(), Error>, what| {
                let error = outcome.unwrap_err();
                assert!(error.is_cancelled() && error.errors().len() == 1, "{what}");
            }
        );
        Ok(())
    });
}

// 302, 304.
#[test]
fn errors_win_over_cancelling() {
    run(async |_| {
        in_both!(
            |group| {
                group.spawn(async { Err::<(), _>("an error".into()) });
                yield_now().await;
                yield_now().await;
                group.cancel();
                Ok(())
            },
            |outcome: Result<(), Error>, what| {
                assert_eq!(texts(&outcome.unwrap_err()), ["an error"], "{what}");
            }
        );
        Ok(())
    });
}

#[test]
fn errors_of_a_group_that_is_given_up_are_reported() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    // The body fails, and the group is dropped while it waits for its task to end.
    let group = event_loop.task_group(async |group| {
        group.spawn(pending::<Result>());
        yield_now().await;
        Err::<(), _>("nobody is told".into())
    });
    let mut group = Box::pin(group);
    let mut polls = 0;
    event_loop
        .run_until_complete(std::future::poll_fn(|context| {
            polls += 1;
            assert!(group.as_mut().poll(context).is_pending());
            if polls == 1 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        }))
        .unwrap();
    drop(group);
    settle(&event_loop).unwrap();
    let told = "an error of a task group was never retrieved: nobody is told";
    assert_eq!(reports.take(), [told]);
    nothing_is_left(&event_loop);
}

#[test]
fn an_error_in_a_group_of_groups_is_reached_through_all_of_them() {
    run(async |_| {
        let outer = task_group(async |outer| {
            outer.spawn(async {
                scope(async |scope| {
                    scope.spawn(fails_after(1, "deep down"));
                    Ok(())
                })
                .await?;
                Ok(())
            });
            Ok(())
        });
        let error = outer.await.unwrap_err();
        assert_eq!(error.errors()[0].errors()[0].to_string(), "deep down");
        assert_eq!(format!("{error:#}"), "a task group failed: a task group failed: deep down");
        Ok(())
    });
}

#[test]
fn values_are_dropped_when_a_group_fails() {
    run(async |_| {
        let log = Log::default();
        let value: fn(&Log, &str) -> OnDrop = |log, text| log.adds_on_drop(text);
        in_both!(
            |group| {
                let finisher = group.clone();
                let finished = value(&log, "finished");
                group.spawn(async move {
                    sleep(seconds(1)).await;
                    finisher.finish(finished);
                    Err::<(), _>("no luck".into())
                });
                Ok(value(&log, "returned"))
            },
            |outcome: Result<OnDrop, Error>, what| {
                assert!(outcome.is_err(), "{what}");
                assert_eq!(log.take(), ["finished", "returned"], "{what}");
            }
        );
        Ok(())
    });
}

#[test]
fn a_failing_task_that_somebody_outside_awaits_tells_both() {
    let event_loop = memory_loop();
    let outside = std::rc::Rc::new(std::cell::RefCell::new(None));
    let group = event_loop.create_task(event_loop.task_group({
        let outside = outside.clone();
        async move |group| {
            *outside.borrow_mut() = Some(group.spawn(fails_after(1, "told twice")));
            Ok(())
        }
    }));
    settle(&event_loop).unwrap();
    let outside = event_loop.create_task(outside.take().unwrap());
    advance(&event_loop, seconds(1)).unwrap();
    let error = group.take_result().unwrap().unwrap().unwrap_err();
    assert_eq!(texts(&error), ["told twice"]);
    let error = outside.take_result().unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "told twice");
}

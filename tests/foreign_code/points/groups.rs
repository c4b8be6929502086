//! Groups, scopes, deadlines, shields and what is called again and again.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use wharf::{Error, Ready, Result};

use crate::bomb::{Bomb, OnDrop, WakeBomb, WakerDrop};
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

const SOON: Duration = Duration::from_millis(1);

/// Turns the loop until the point is reached.
pub(super) fn reach(stage: &Stage, begin: impl FnOnce()) {
    let before = stage.bomb.count();
    begin();
    stage.until_reached(before);
}

async fn hold(guard: OnDrop) -> Result {
    pending::<()>().await;
    drop(guard);
    Ok(())
}

async fn go_off(bomb: Bomb) -> Result {
    bomb.tick();
    Ok(())
}

pub(super) fn rings(stage: &Stage) -> Waker {
    Waker::from(Arc::new(WakeBomb(stage.bomb.clone())))
}

pub(super) fn guards(stage: &Stage) -> Waker {
    Waker::from(Arc::new(WakerDrop(stage.bomb.on_drop())))
}

/// Polls what does not end.
pub(super) fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) {
    assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
}

/// What came out of a group: nothing, or the panic.
fn check<T>(stage: &Stage, outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        assert!(error.is_panic() && error.errors().len() == 1, "{error:#}");
        assert!(stage.bomb.has_gone_off());
    }
}

const CLOCK: &[Point] = &[
    reported("the waker of a timeout", |stage| {
        let mut limited = Box::pin(stage.event_loop.timeout(SOON, pending::<()>()));
        reach(stage, || poll(&mut limited, &rings(stage)));
    }),
    reported("the drop of a timeout's waker", |stage| {
        reach(stage, || {
            let mut limited = Box::pin(stage.event_loop.timeout(Duration::MAX, pending::<()>()));
            poll(&mut limited, &guards(stage));
        });
    }),
    reported("the drop of a timeout's waker that is replaced", |stage| {
        let mut limited = Box::pin(stage.event_loop.timeout(Duration::MAX, pending::<()>()));
        reach(stage, || {
            poll(&mut limited, &guards(stage));
            poll(&mut limited, Waker::noop());
        });
    }),
    reported("the waker of what runs in a cancel scope", |stage| {
        let scope = stage.event_loop.cancel_scope();
        let mut run = Box::pin(scope.run(pending::<()>()));
        reach(stage, || {
            poll(&mut run, &rings(stage));
            scope.cancel();
        });
    }),
    reported("the drop of the waker of what runs in a cancel scope", |stage| {
        let scope = stage.event_loop.cancel_scope();
        reach(stage, || {
            let mut run = Box::pin(scope.run(pending::<()>()));
            poll(&mut run, &guards(stage));
            poll(&mut run, Waker::noop());
            poll(&mut run, &guards(stage));
        });
    }),
    reported("the waker of a tick", |stage| {
        let mut ticks = stage.event_loop.interval(SOON);
        reach(stage, || {
            assert!(ticks.poll_tick(&mut Context::from_waker(&rings(stage))).is_pending());
        });
    }),
    reported("a periodic callback", |stage| {
        let bomb = stage.bomb.clone();
        let handle = stage.event_loop.call_every(SOON, move || bomb.tick());
        reach(stage, || {});
        handle.cancel();
    }),
    reported("the drop of a periodic callback", |stage| {
        let guard = stage.bomb.on_drop();
        let handle = stage.event_loop.call_every(SOON, move || {
            let _ = &guard;
        });
        reach(stage, || handle.cancel());
    }),
    reported("what is shielded", |stage| {
        let work = go_off(stage.bomb.clone());
        reach(stage, || drop(stage.event_loop.shield(Duration::from_secs(9), work)));
    }),
    reported("the drop of what is shielded for too long", |stage| {
        let work = hold(stage.bomb.on_drop());
        reach(stage, || drop(stage.event_loop.shield(Duration::ZERO, work)));
    }),
    reported("the drop of what a shield gives", |stage| {
        let guard = stage.bomb.on_drop();
        let work = async move { guard };
        reach(stage, || drop(stage.event_loop.shield(Duration::from_secs(9), work)));
    }),
];

const GROUPS: &[Point] = &[
    elsewhere("a task of a group", |stage| {
        let bomb = stage.bomb.clone();
        let group = stage.event_loop.task_group(async |group| {
            group.spawn(go_off(bomb));
            Ok(())
        });
        check(stage, stage.complete(group));
    }),
    elsewhere("a task of a scope", |stage| {
        let scope = stage.event_loop.scope(async |scope| {
            scope.spawn(go_off(stage.bomb.clone()));
            Ok(())
        });
        check(stage, stage.complete(scope));
    }),
    elsewhere("the body of a group", |stage| {
        let group = stage.event_loop.task_group(async |group| {
            group.spawn(pending::<Result>()).cancel();
            go_off(stage.bomb.clone()).await
        });
        let _ = catch_unwind(AssertUnwindSafe(|| stage.complete(group).expect("no error")));
        stage.until("the end of the task", || stage.event_loop.statistics().tasks == 0);
    }),
    elsewhere("the body of a scope", |stage| {
        let scope = stage.event_loop.scope(async |scope| {
            scope.spawn(pending::<Result>()).cancel();
            go_off(stage.bomb.clone()).await
        });
        let _ = catch_unwind(AssertUnwindSafe(|| stage.complete(scope).expect("no error")));
    }),
    reported("the drop of the body of a group", |stage| {
        let guard = stage.bomb.on_drop();
        let group = stage.event_loop.task_group(async |group| {
            group.cancel();
            hold(guard).await
        });
        stage.complete(group).expect("no error");
    }),
    reported("the drop of the body of a scope", |stage| {
        let guard = stage.bomb.on_drop();
        let scope = stage.event_loop.scope(async |scope| {
            scope.cancel();
            hold(guard).await
        });
        stage.complete(scope).expect("no error");
    }),
    reported("the drop of a task of a group", |stage| {
        let guards = [(); 2].map(|()| stage.bomb.on_drop());
        let group = stage.event_loop.task_group(async |group| {
            for guard in guards {
                group.spawn(hold(guard));
            }
            wharf::yield_now().await;
            group.cancel();
            Ok(())
        });
        stage.complete(group).expect("no error");
        stage.until("the point", || stage.bomb.has_gone_off());
    }),
    reported("the drop of a task of a scope", |stage| {
        let scope = stage.event_loop.scope(async |scope| {
            for _ in 0..2 {
                scope.spawn(hold(stage.bomb.on_drop()));
            }
            wharf::yield_now().await;
            scope.cancel();
            Ok(())
        });
        stage.complete(scope).expect("no error");
    }),
    reported("the drop of a task that is refused", |stage| {
        let kept = std::cell::Cell::new(None);
        let group = stage.event_loop.task_group(async |group| {
            kept.set(Some(group));
            Ok(())
        });
        stage.complete(group).expect("no error");
        let group = kept.take().expect("a group");
        reach(stage, || drop(group.spawn(hold(stage.bomb.on_drop()))));
    }),
    reported("the drop of what a task of a group gives", |stage| {
        let guard = stage.bomb.on_drop();
        let group = stage.event_loop.task_group(async |group| {
            group.spawn(async { Ok(guard) });
            Ok(())
        });
        stage.complete(group).expect("no error");
    }),
    reported("the drop of what a task of a scope gives", |stage| {
        let scope = stage.event_loop.scope(async |scope| {
            scope.spawn(async { Ok(stage.bomb.on_drop()) });
            Ok(())
        });
        stage.complete(scope).expect("no error");
    }),
    reported("the drop of a value that a failed group had", |stage| {
        let guard = stage.bomb.on_drop();
        let group = stage.event_loop.task_group(async |group| {
            group.spawn(async { Err::<(), _>("no luck".into()) });
            Ok(guard)
        });
        assert!(stage.complete(group).is_err());
    }),
    reported("the drop of a value that nobody waits for", |stage| {
        let guard = stage.bomb.on_drop();
        let group = stage.event_loop.task_group(async |group| {
            let ready = std::rc::Rc::new(std::cell::Cell::new(None));
            let kept = std::rc::Rc::clone(&ready);
            let started = group.start(async move |own: Ready<_>| {
                kept.set(Some(own));
                pending().await
            });
            wharf::move_on_after(SOON, started).await;
            let ready: Option<Ready<OnDrop>> = ready.take();
            ready.expect("it has begun").set(guard);
            Ok(())
        });
        stage.complete(group).expect("no error");
    }),
    reported("the waker of a scope", |stage| {
        let kept = std::cell::Cell::new(None);
        let mut running = Box::pin(stage.event_loop.scope(async |scope| {
            kept.set(Some(scope));
            pending::<Result>().await
        }));
        reach(stage, || {
            poll(&mut running, &rings(stage));
            kept.take().expect("a scope").cancel();
        });
    }),
    reported("the drop of a scope's waker", |stage| {
        reach(stage, || {
            let scope = stage.event_loop.scope(async |_| pending::<Result>().await);
            let mut scope = Box::pin(scope);
            poll(&mut scope, &guards(stage));
            poll(&mut scope, Waker::noop());
            poll(&mut scope, &guards(stage));
        });
    }),
    reported("the waker of a group", |stage| {
        let kept = std::cell::Cell::new(None);
        let mut running = Box::pin(stage.event_loop.task_group(async |group| {
            kept.set(Some(group));
            pending::<Result>().await
        }));
        reach(stage, || {
            poll(&mut running, &rings(stage));
            kept.take().expect("a group").cancel();
        });
    }),
    reported("the drop of a group's waker", |stage| {
        reach(stage, || {
            let group = stage.event_loop.task_group(async |_| pending::<Result>().await);
            let mut group = Box::pin(group);
            poll(&mut group, &guards(stage));
            poll(&mut group, Waker::noop());
            poll(&mut group, &guards(stage));
        });
    }),
];

#[test]
fn what_is_timed_shielded_or_periodic_may_panic() {
    blow_up(CLOCK);
}

#[test]
fn tasks_and_bodies_of_groups_and_scopes_may_panic_and_so_may_what_they_give() {
    blow_up(GROUPS);
}

//! One step of a task: its code runs once.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::local::{self, Entered};
use super::table::{Begun, TaskKey};
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::fence::{self, Panic};

/// Polls the user's future once, unless the task is cancelled. `user` is there until [`drop_future`].
#[inline]
pub(super) fn step<F: Future + 'static>(
    core: &Core,
    key: TaskKey,
    user: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Poll<Result<F::Output, Error>> {
    let Some(steps) = user.as_pin_mut() else { return Poll::Pending };
    let (polled, is_cancelled) = match core.tasks.begin_step(key) {
        Begun::Plain => {
            // `run` lets no panic through, so that this needs no guard.
            core.tasks.set_current(key);
            let polled = fence::run(|| steps.poll(context));
            core.tasks.set_current(TaskKey::NONE);
            (polled, core.tasks.was_cancelled_in_step())
        }
        Begun::Special(locals) => special_step(core, key, locals, steps, context),
        Begun::Cancelled => return Poll::Ready(Err(Error::bare(Kind::Cancelled))),
    };
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) if is_cancelled => {
            // It has cancelled itself, or had itself cancelled, and returned instead of waiting.
            core.discard_user(output, "result");
            Poll::Ready(Err(Error::bare(Kind::Cancelled)))
        }
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic.into_error())),
    }
}

/// A step with task-local values, or one that is timed.
#[cold]
fn special_step<F: Future + 'static>(
    core: &Core,
    key: TaskKey,
    locals: Option<Rc<local::Context>>,
    steps: Pin<&mut F>,
    context: &mut Context<'_>,
) -> (Result<Poll<F::Output>, Panic>, bool) {
    let inside = Inside::enter(core, key, locals);
    let began = core.tasks.is_timed().then(|| core.driver.now());
    let polled = fence::run(|| steps.poll(context));
    if let Some(began) = began {
        core.tasks.note_time(core.driver.now().saturating_duration_since(began));
    }
    let is_cancelled = core.tasks.was_cancelled_in_step();
    drop(inside);
    (polled, is_cancelled)
}

/// Drops the user's future. A panic of its `Drop` code does not keep the task from ending.
pub(super) fn drop_future<F: Future + 'static>(
    core: &Core,
    key: TaskKey,
    mut user: Pin<&mut Option<F>>,
) {
    if std::mem::needs_drop::<F>() {
        let locals = core.tasks.locals(key);
        let _inside = Inside::enter(core, key, locals);
        core.run_caught("dropping a task failed", || user.set(None));
    }
}

/// The task's code runs: it is the current one, and has its task-local values.
struct Inside<'a> {
    core: &'a Core,
    _locals: Option<Entered>,
}

impl<'a> Inside<'a> {
    fn enter(core: &'a Core, key: TaskKey, locals: Option<Rc<local::Context>>) -> Self {
        core.tasks.set_current(key);
        Self { core, _locals: locals.map(|locals| Entered::enter(Some(locals))) }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.core.tasks.set_current(TaskKey::NONE);
    }
}

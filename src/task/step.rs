//! How a task is driven, step by step.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use super::local::{Context, Entered};
use super::table::TaskKey;
use crate::error::{Error, Kind};
use crate::event_loop::Core;

/// The user's future to its end, its cancellation or its panic; it is dropped before this returns.
pub(super) async fn drive<F: Future + 'static>(
    core: &Core,
    user: F,
    key: TaskKey,
) -> Result<F::Output, Error> {
    let mut user = pin!(Some(user));
    let outcome = poll_fn(|context| {
        let Some(step) = Step::begin(core, key) else {
            return Poll::Ready(Err(Error::bare(Kind::Cancelled)));
        };
        let Some(steps) = user.as_mut().as_pin_mut() else { return Poll::Pending };
        let outcome = core.run_inside(|| steps.poll(context));
        let is_cancelled = step.end();
        match outcome {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) if is_cancelled => {
                // It has cancelled itself, or had itself cancelled, and returned instead of waiting.
                core.discard_user(output, "result");
                Poll::Ready(Err(Error::bare(Kind::Cancelled)))
            }
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic.into_error())),
        }
    })
    .await;
    // Here, so that a panic of its Drop code does not keep the task from ending.
    if std::mem::needs_drop::<F>() {
        let context = core.tasks.context(key);
        let _inside = Inside::enter(core, key, context);
        core.run_caught("dropping a task failed", || user.set(None));
    }
    outcome
}

/// One step of a task.
struct Step<'a> {
    inside: Inside<'a>,
    /// When it began, where steps are timed.
    began: Option<Instant>,
}

impl<'a> Step<'a> {
    /// `None` if the task is cancelled.
    #[inline]
    fn begin(core: &'a Core, key: TaskKey) -> Option<Self> {
        let context = core.tasks.begin_step(key)?;
        let began = if core.tasks.is_timed() { Some(core.driver.now()) } else { None };
        Some(Self { inside: Inside::enter(core, key, context), began })
    }

    /// Returns whether the task is cancelled.
    #[inline]
    fn end(self) -> bool {
        let core = self.inside.core;
        let took = self.began.map(|began| core.driver.now().saturating_duration_since(began));
        core.tasks.end_step(took)
    }
}

/// The task's code runs: it is the current one, and has its task-local values.
struct Inside<'a> {
    core: &'a Core,
    context: Option<Entered>,
}

impl<'a> Inside<'a> {
    #[inline]
    fn enter(core: &'a Core, key: TaskKey, context: Option<Rc<Context>>) -> Self {
        core.tasks.set_current(key);
        Self { core, context: context.map(|context| Entered::enter(Some(context))) }
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.core.tasks.set_current(TaskKey::NONE);
        if self.context.is_some() {
            drop(self.context.take());
        }
    }
}

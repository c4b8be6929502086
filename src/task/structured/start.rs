//! Waiting until a task says that it is ready.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::child::{Child, TakesError, discard_value};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, WakerSlot};

/// How a task that was started by [`TaskGroup::start`](crate::TaskGroup::start) or
/// [`Scope::start`](crate::Scope::start) says that it is ready. Trio's `task_status`.
///
/// Dropping it unused means that the task will never be ready: it is cancelled, and who started it gets an error.
#[must_use = "dropping it means that the task is never ready"]
pub struct Ready<V> {
    shared: Rc<Shared<V>>,
}

impl<V> Ready<V> {
    /// Gives `value` to who started the task.
    #[doc(alias("started"))]
    pub fn set(self, value: V) {
        if self.shared.is_over.get() {
            // Nobody waits for it any more.
            discard_value(&self.shared.core, value);
        } else {
            self.shared.end(Ok(value));
        }
    }
}

impl<V> Drop for Ready<V> {
    fn drop(&mut self) {
        // The task may still say why, in the same step.
        self.shared.is_unused.set(true);
        self.shared.waker.wake(&self.shared.core);
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// What the task and who started it share.
struct Shared<V> {
    core: Rc<Core>,
    /// It was ready, failed, or nobody waits any more.
    is_over: Cell<bool>,
    /// [`Ready`] was dropped.
    is_unused: Cell<bool>,
    outcome: Cell<Option<Result<V, Error>>>,
    waker: WakerSlot,
}

impl<V> Shared<V> {
    fn end(&self, outcome: Result<V, Error>) {
        self.is_over.set(true);
        self.outcome.set(Some(outcome));
        self.waker.wake(&self.core);
    }
}

impl<V> TakesError for Shared<V> {
    fn take_error(&self, error: Error) -> Option<Error> {
        if self.is_over.get() {
            return Some(error);
        }
        self.end(Err(error));
        None
    }
}

/// Adds a task by `add`, and waits until it is ready.
pub(super) async fn start<'env, V: 'env>(
    core: &Rc<Core>,
    add: impl FnOnce(Ready<V>, Rc<dyn TakesError + 'env>) -> Child<'env, ()>,
) -> Result<V, Error> {
    let shared = Rc::new(Shared {
        core: Rc::clone(core),
        is_over: Cell::new(false),
        is_unused: Cell::new(false),
        outcome: Cell::new(None),
        waker: WakerSlot::default(),
    });
    let ready = Ready { shared: Rc::clone(&shared) };
    let child = add(ready, Rc::clone(&shared) as Rc<dyn TakesError + 'env>);
    let starting = Starting { shared: &shared, child };
    poll_fn(|context| {
        shared.waker.keep(core, context.waker());
        if let Some(outcome) = shared.outcome.take() {
            return Poll::Ready(outcome);
        }
        if !shared.is_unused.get() {
            return Poll::Pending;
        }
        Poll::Ready(Err(if starting.child.was_cancelled() {
            Error::bare(Kind::Cancelled)
        } else {
            Error::invalid("a task that was started did not say that it is ready")
        }))
    })
    .await
}

/// Somebody waits for the task to be ready. Dropping it before cancels the task.
struct Starting<'a, 'env, V> {
    shared: &'a Shared<V>,
    child: Child<'env, ()>,
}

impl<V> Drop for Starting<'_, '_, V> {
    fn drop(&mut self) {
        if !self.shared.is_over.replace(true) {
            self.child.cancel();
        }
        // It was ready, and nobody has noticed.
        if let Some(Ok(value)) = self.shared.outcome.take() {
            self.child.cancel();
            discard_value(&self.shared.core, value);
        }
        self.shared.waker.clear(&self.shared.core);
    }
}

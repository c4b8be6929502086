//! How a task begins.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use super::finished::{Finished, Wanted};
use super::future::{LoopFuture, Promise, future};
use super::handle::{Output, State, Task};
use super::step::{drop_future, step};
use super::table::TaskKey;
use crate::error::Error;
use crate::event_loop::registry::{self, expect_current};
use crate::event_loop::{Core, EventLoop, RemoteQueue, closed};

/// Drives `future` on the loop that is running on this thread: [`EventLoop::create_task`] of
/// [`EventLoop::current`].
///
/// ```
/// # fn main() -> wharf::Result {
/// wharf::EventLoop::new()?.run(async |_| {
///     let task = wharf::spawn(async { 6 * 7 });
///     assert_eq!(task.await?, 42);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[doc(alias("spawn_local", "create_task", "ensure_future"))]
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> Task<F::Output> {
    expect_current("spawn").create_task(future)
}

/// # Tasks
impl EventLoop {
    /// Drives `future` on this loop, beginning in the next round.
    ///
    /// The loop owns the task. Cancelling it drops the future, at the loop's next round. On a
    /// closed loop it fails at once with [`is_closed`](Error::is_closed). The place of this call is in
    /// reports of the task.
    ///
    /// A builder, as `open_connection` gives one, is no future before its `start`, and after that needs no task.
    ///
    /// It takes one allocation, for the future with its output (two for a future of more than 512 bytes), and waking it
    /// takes none.
    #[doc(alias("spawn", "spawn_local", "ensure_future"))]
    #[track_caller]
    pub fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
    {
        self.create_task_at(Location::caller(), future)
    }

    /// As [`create_task`](Self::create_task), for tasks that reports and dumps are to find elsewhere: at `place`.
    pub(crate) fn create_task_at<F>(
        &self,
        place: &'static Location<'static>,
        future: F,
    ) -> Task<F::Output>
    where
        F: Future + 'static,
    {
        let core = self.core();
        if core.is_closed() {
            core.drop_user(future, "task");
            return Task::new(core, TaskKey::NONE, place, State::Done(Some(Err(closed()))));
        }
        let (key, task) = if size_of::<F>() <= LARGEST_IN_PLACE {
            spawn_on(core, place, future, conclude)
        } else {
            spawn_on(core, place, Box::pin(future), conclude)
        };
        Task::new(core, key, place, State::Running(task.fallible()))
    }
}

/// A future of more bytes has a box of its own: the task would have room for it twice.
const LARGEST_IN_PLACE: usize = 512;

/// Says where the output goes: to who awaits the task, unless somebody else wants it.
fn conclude<T: 'static>(
    core: &Rc<Core>,
    mut finished: Finished,
    outcome: Result<T, Error>,
) -> Output<T> {
    if finished.is_plain() {
        return Some(outcome);
    }
    if let Some(promise) = finished.take_promise() {
        if let Ok(promise) = promise.downcast::<Promise<T>>() {
            promise.set(outcome);
        }
        return None;
    }
    if finished.wanted == Wanted::Held {
        return Some(outcome);
    }
    finished.abandon(core, outcome);
    None
}

/// What `async_task` knows of a task: its future, or its output.
type Steps<R> = async_task::Task<R, Arc<RemoteQueue>>;

/// Drives `user` from the next round on. `conclude` is given the outcome, and what of the record
/// decides whose it is; what it returns is the output of `async_task`'s task.
///
/// The loop is open.
fn spawn_on<F: Future + 'static, R: 'static>(
    core: &Rc<Core>,
    place: &'static Location<'static>,
    user: F,
    conclude: impl FnOnce(&Rc<Core>, Finished, Result<F::Output, Error>) -> R + 'static,
) -> (TaskKey, Steps<R>) {
    let key = core.tasks.next_key();
    let steps = {
        let core = Rc::clone(core);
        // The future is in here twice, as what is captured and as what is pinned: hence the box for a large one.
        async move {
            let mut user = pin!(Some(user));
            let outcome = poll_fn(|context| step(&core, key, user.as_mut(), context)).await;
            drop_future(&core, key, user);
            let finished = core.tasks.finish(&core, key);
            conclude(&core, finished, outcome)
        }
    };
    let builder = async_task::Builder::new().metadata(Arc::clone(&core.remote));
    let (runnable, task) = builder.spawn_local(move |_| steps, registry::schedule);
    core.tasks.add(core, runnable.waker(), place);
    runnable.schedule();
    (key, task)
}

/// Drives an operation of the engine's own, whose errors are the future's.
#[track_caller]
pub(crate) fn operation<T: 'static>(
    core: &Rc<Core>,
    steps: impl Future<Output = Result<T, Error>> + 'static,
) -> LoopFuture<T> {
    let (promise, result) = future(core);
    if core.is_closed() {
        core.drop_user(steps, "task");
        promise.set(Err(closed()));
        return result;
    }
    let promise = Rc::new(Cell::new(Some(promise)));
    let (key, task) = spawn_on(core, Location::caller(), steps, {
        let promise = Rc::clone(&promise);
        move |_, _, outcome| {
            if let Some(promise) = promise.take() {
                promise.set(outcome.and_then(|result| result));
            }
        }
    });
    task.detach();
    if let Some(given) = promise.take() {
        cancel_with(core, key, &given);
        promise.set(Some(given));
    }
    result
}

/// Ends the task when the future of `promise` is cancelled.
pub(super) fn cancel_with<T: 'static>(core: &Rc<Core>, key: TaskKey, promise: &Promise<T>) {
    let core = Rc::clone(core);
    promise.on_cancel_at_once(move || {
        core.tasks.cancel(key);
    });
}

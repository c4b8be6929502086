//! Work that goes on for a while when nobody waits for it any more.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::detached::take_error;
use super::super::future::{LoopFuture, future};
use super::cancel_scope::CancelScope;
use crate::error::Error;
use crate::event_loop::registry::expect_current;
use crate::event_loop::{Core, EventLoop};
use crate::timeout::TimeoutKind;

/// Runs `future` as a task that outlives who awaits it, for at most `bound`.
///
/// For steps that must not be cut off in the middle, such as a commit or a goodbye: if what this gives is dropped, by a
/// timeout or a cancelled task, `future` goes on for at most `bound` from then, and is dropped after that. It then
/// belongs to no [`task_group`](crate::task_group) any more: a group that is over does not wait for it.
///
/// An error that it ends with when nobody waits any more is reported once, to the exception handler: a panic, an `Err` as
/// in [`Task::detach`](crate::Task::detach), and that its time was over. asyncio's `shield`, which has no bound.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, shield, sleep, timeout};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
///     let (sender, receiver) = wharf::EventLoop::current()?.create_future();
///     let commit = async {
///         sleep(Duration::from_secs(3)).await;
///         let _ = sender.set_result("committed");
///     };
///     let shielded = shield(Duration::from_secs(10), commit);
///     assert!(timeout(Duration::from_secs(1), shielded).await.is_err());
///     // Nobody waits for it, but it is done.
///     assert_eq!(receiver.await?, "committed");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::shield`] needs none.
#[track_caller]
pub fn shield<F: Future + 'static>(bound: Duration, future: F) -> Shield<F::Output> {
    expect_current("shield").shield(bound, future)
}

/// What [`shield`] gives: awaiting it gives what the future gave.
///
/// An `Err` means that the future panicked, or that its loop was closed. Dropping it lets the future go on for as long as the
/// bound says. Nobody then takes its output, nor if the future was done already: it is dropped, and closes what is in it,
/// as with a [`LoopFuture`].
#[must_use = "the future goes on only for a while if this is dropped"]
pub struct Shield<T: 'static> {
    /// Taken when this is dropped.
    result: Option<LoopFuture<T>>,
    scope: CancelScope,
    bound: Duration,
}

impl<T: 'static> Shield<T> {
    /// Whether the future has ended.
    pub fn is_done(&self) -> bool {
        self.result.as_ref().is_none_or(LoopFuture::is_done)
    }
}

impl<T: 'static> Future for Shield<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.result {
            Some(result) => Pin::new(result).poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T: 'static> Drop for Shield<T> {
    fn drop(&mut self) {
        let Some(result) = self.result.take() else { return };
        if !result.is_done() {
            // The promise is told that nobody waits any more.
            drop(result);
            self.scope.reschedule_after(self.bound);
        } else if let Some(outcome) = result.take_result() {
            leave(self.scope.core(), outcome);
        }
    }
}

/// Nobody waits for what came out: an error is reported, and what else is in it closed.
fn leave<T: 'static>(core: &Core, outcome: Result<T, Error>) {
    let (error, output) = match outcome {
        Ok(output) => {
            let mut output = Some(output);
            (take_error(&mut output), output)
        }
        Err(error) => (Some(error), None),
    };
    if let Some(error) = error.filter(|error| !error.is_cancelled()) {
        core.report_when_free("a shielded future failed", error, None);
    }
    core.discard_user(output, "result");
}

impl<T: 'static> fmt::Debug for Shield<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Shield")
            .field("is_done", &self.is_done())
            .field("bound", &self.bound)
            .finish()
    }
}

/// # Shields
impl EventLoop {
    /// Runs `future` as a task that outlives who awaits it, for at most `bound`. See [`shield`](crate::shield).
    #[track_caller]
    pub fn shield<F: Future + 'static>(&self, bound: Duration, future: F) -> Shield<F::Output> {
        let core = self.core().clone();
        let (promise, result) = self::future(&core);
        let scope = self.cancel_scope();
        let inside = scope.clone();
        let task = self.create_task(async move {
            let outcome = {
                let mut future = pin!(future);
                let caught =
                    poll_fn(|context| match core.run_inside(|| future.as_mut().poll(context)) {
                        Ok(Poll::Pending) => Poll::Pending,
                        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                        Err(panic) => Poll::Ready(Err(panic.into_error())),
                    });
                inside.run(caught).await
            };
            match outcome {
                Some(outcome) if promise.is_cancelled() => leave(&core, outcome),
                Some(outcome) => promise.set(outcome),
                None => {
                    let error = Error::timeout(TimeoutKind::Future);
                    core.report_when_free("a shielded future was given up", error, None);
                }
            }
        });
        if task.is_done() {
            // The loop is closed, as the result says.
            drop(task.take_result());
        } else {
            task.detach();
        }
        Shield { result: Some(result), scope, bound }
    }
}

//! A result that is not there yet.

mod done_callbacks;
mod promise;
mod state;
mod untaken;
mod waiters;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use self::done_callbacks::DoneCallbacks;
use self::state::{Shared, State};
use crate::error::Error;
use crate::event_loop::{CallbackHandle, Core, EventLoop};
use crate::thread_bound::{ThreadBound, UseRunInExecutorOrAChannel};

pub use self::promise::Promise;
pub(crate) use self::untaken::{Share, discard};
pub(crate) use self::waiters::Waiters;

/// A result that will be there: it can be awaited, and takes done callbacks. asyncio's `Future`.
///
/// Dropping it while it is pending cancels what it stands for, unless it has a done callback or was
/// [detached](Self::detach).
///
/// Dropping it with its result still in it closes what is in the result: every
/// [`Connection`](crate::Connection), [`Server`](crate::Server), [`Endpoint`](crate::Endpoint) and
/// [`Handover`](crate::Handover), wherever it is in there, unless a clone of it is elsewhere. An
/// error that nobody took goes to the exception handler. A result is taken when the future is awaited
/// to its end or [`take_result`](Self::take_result) gives it; it counts as taken when a done callback
/// was called with it, or the future was detached. A value that was taken is yours: dropping it
/// closes nothing.
///
/// ```
/// use wharf::{EventLoop, LoopFuture, Result};
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let (promise, future): (_, LoopFuture<u32>) = event_loop.create_future();
///     event_loop.call_soon(move || drop(promise.set_result(42)));
///     assert_eq!(future.await?, 42);
///
///     // Or with a callback, from code that is not async.
///     let working = event_loop.run_in_executor(|| 6 * 7);
///     working.add_done_callback(|result| println!("{result:?}"));
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("Future", "Deferred", "JoinHandle"))]
#[must_use = "dropping it cancels what it stands for; await it, add a done callback or detach it"]
pub struct LoopFuture<T: 'static> {
    shared: Rc<Shared<T>>,
    bound: ThreadBound<UseRunInExecutorOrAChannel>,
}

/// A pending future and the promise that completes it.
pub(crate) fn future<T: 'static>(core: &Rc<Core>) -> (Promise<T>, LoopFuture<T>) {
    let shared = Rc::new(Shared::new(core));
    let promise = Promise::new(Rc::clone(&shared));
    (promise, LoopFuture { shared, bound: PhantomData })
}

impl<T: 'static> LoopFuture<T> {
    /// Whether it has a result, or was cancelled.
    pub fn is_done(&self) -> bool {
        self.shared.state.get() != State::Pending
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.get()
    }

    /// Ends what it stands for, and completes it as cancelled; `false` when it was done already.
    pub fn cancel(&self) -> bool {
        self.shared.cancel()
    }

    /// The loop calls `callback` with the result; it is never called from here.
    ///
    /// Callbacks are called in the order in which they were added, also when the future is done
    /// already, and before the code that awaits it goes on. A callback whose result was awaited before
    /// it was added is not called.
    ///
    /// The handle takes the callback back. It is then as if it had never been added: dropping the
    /// future cancels, and so does taking back the last callback of a future that is dropped
    /// already.
    #[doc(alias("addCallback", "addBoth"))]
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&Result<T, Error>) + 'static,
    ) -> CallbackHandle {
        let callback = DoneCallbacks::add(&self.shared, Box::new(callback));
        if self.is_done() {
            self.shared.tell_soon();
        }
        CallbackHandle::new(&self.shared.core, callback)
    }

    /// Lets what it stands for go on without anybody waiting for it.
    ///
    /// An error at its end goes to the exception handler, and so does an `Err` in its output if that is a
    /// [`Result`](crate::Result) without a value. Any other output stays as it is, and nothing in it is closed.
    pub fn detach(self) {
        self.shared.detached.set(true);
    }

    /// Takes the result; `None` while it is pending, and once it was taken.
    pub fn take_result(&self) -> Option<Result<T, Error>> {
        if self.shared.state.get() == State::Pending {
            return None;
        }
        self.shared.told.set(true);
        self.shared.result.borrow_mut().take()
    }
}

impl<T: 'static> LoopFuture<T> {
    /// A step of another operation: if that is given up, errors of this step are not reported.
    pub(crate) fn into_step(self) -> Self {
        self.shared.is_step.set(true);
        self
    }
}

impl<T: 'static> Future for LoopFuture<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.state.get() != State::Done {
            self.shared.wait(context.waker());
            return Poll::Pending;
        }
        Poll::Ready(self.take_result().unwrap_or_else(|| Err(Error::already_taken())))
    }
}

impl<T: 'static> Drop for LoopFuture<T> {
    fn drop(&mut self) {
        self.shared.dropped.set(true);
        self.shared.waker.clear(&self.shared.core);
        self.shared.cancel_if_unwanted();
    }
}

impl<T: 'static> fmt::Debug for LoopFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoopFuture")
            .field("is_done", &self.is_done())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

/// # Futures
impl EventLoop {
    /// A future to be completed by hand, and the promise that does it.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// let (promise, future) = event_loop.create_future();
    /// event_loop.call_soon(move || {
    ///     let _ = promise.set_result(42);
    /// });
    /// assert_eq!(event_loop.run_until_complete(future)??, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("oneshot", "Deferred"))]
    pub fn create_future<T: 'static>(&self) -> (Promise<T>, LoopFuture<T>) {
        future(self.core())
    }
}

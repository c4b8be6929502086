//! The handle of a task.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::finished::{Finished, Wanted};
use super::future::{LoopFuture, future};
use super::spawn::cancel_with;
use super::table::{TaskKey, Waits};
use crate::error::{Error, Kind};
use crate::event_loop::{CallbackHandle, Core, RemoteQueue};
use crate::thread_bound::{ThreadBound, UseRunInExecutorOrAChannel};

/// A running task: awaiting it gives what its future gave.
///
/// An `Err` means that the task was cancelled or panicked. Dropping it cancels the task, unless a
/// done callback was added or [`detach`](Self::detach) called; dropping it when it is done closes what
/// is in its output, as with a [`LoopFuture`]. A panic that nobody has asked
/// for is reported then. An `Err` that the future itself returned is its output, and is reported only if the
/// task was detached.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::MemoryNetwork;
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let sleeper = event_loop.clone();
///     let slow = event_loop.create_task(async move {
///         sleeper.sleep(Duration::from_secs(3600)).await;
///         "an hour later"
///     });
///     let quick = event_loop.create_task(async { "at once" });
///     assert_eq!(quick.await?, "at once");
///     slow.cancel();
///     assert!(slow.await.is_err_and(|error| error.is_cancelled()));
///     // A task that nobody waits for.
///     event_loop.create_task(async { println!("detached") }).detach();
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("JoinHandle", "coroutine"))]
#[must_use = "dropping it cancels the task; await it, add a done callback or detach it"]
pub struct Task<T: 'static> {
    core: Rc<Core>,
    key: TaskKey,
    place: &'static Location<'static>,
    state: RefCell<State<T>>,
    /// Whether the output that was looked at says so.
    cancelled: Cell<bool>,
    bound: ThreadBound<UseRunInExecutorOrAChannel>,
}

/// The output of `async_task`'s task: `None` if it went elsewhere.
pub(super) type Output<T> = Option<Result<T, Error>>;

pub(super) enum State<T: 'static> {
    /// The output stays with the task's future until it is asked for.
    Running(async_task::FallibleTask<Output<T>, Arc<RemoteQueue>>),
    /// Somebody has added a done callback.
    Future(LoopFuture<T>),
    /// The output was looked at; `None` once it is taken.
    Done(Output<T>),
}

impl<T: 'static> Task<T> {
    /// Gives the task a name, for dumps and reports.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// wharf::EventLoop::new()?.run(async |event_loop| {
    ///     let task = event_loop.create_task(async { 42 }).named("answer");
    ///     assert_eq!(task.await?, 42);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("set_name", "Builder"))]
    pub fn named(self, name: impl Into<Rc<str>>) -> Self {
        self.core.tasks.set_name(self.key, name.into());
        self
    }

    /// Whether it has finished, or was cancelled and its future is dropped.
    pub fn is_done(&self) -> bool {
        match &*self.state.borrow() {
            State::Running(task) => task.is_finished(),
            State::Future(future) => future.is_done(),
            State::Done(_) => true,
        }
    }

    /// Whether it ended because it was cancelled: then its future is dropped.
    pub fn is_cancelled(&self) -> bool {
        self.settle();
        match &*self.state.borrow() {
            State::Running(_) => false,
            State::Future(future) => future.is_cancelled(),
            State::Done(_) => self.cancelled.get(),
        }
    }

    /// Has the loop drop the task's future at its next step, and the task end as cancelled. `false` when
    /// it was done already.
    ///
    /// The task is done, and whoever awaits it goes on, after its future is dropped. A task that cancels
    /// itself ends at its next await.
    pub fn cancel(&self) -> bool {
        !self.is_done() && self.core.tasks.cancel(self.key)
    }

    /// The loop calls `callback` with the result; it is never called from here. See
    /// [`LoopFuture::add_done_callback`].
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&Result<T, Error>) + 'static,
    ) -> CallbackHandle {
        if let State::Future(future) = &*self.state.borrow() {
            return future.add_done_callback(callback);
        }
        let future = self.to_future();
        let handle = future.add_done_callback(callback);
        self.state.replace(State::Future(future));
        handle
    }

    /// Takes the result; `None` while the task runs, and once it was taken.
    pub fn take_result(&self) -> Option<Result<T, Error>> {
        self.settle();
        match &mut *self.state.borrow_mut() {
            State::Running(_) => None,
            State::Future(future) => future.take_result(),
            State::Done(output) => output.take(),
        }
    }

    /// Lets the task go on without anybody waiting for it.
    ///
    /// A panic of it goes to the exception handler, and so does an `Err` that it ends with: if its output is
    /// `Result<(), E>`, where `E` is [`Failure`](crate::Failure), [`Error`], `std::io::Error`, a boxed error or a
    /// `String`. Any other output is dropped.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// event_loop.set_exception_handler(|event_loop, exception| {
    ///     event_loop.stop();
    ///     // the detached task `settings` (src/main.rs:10:16) failed: No such file or directory
    ///     assert!(exception.to_string().starts_with("the detached task `settings` ("));
    /// });
    /// let settings = async {
    ///     std::fs::read("/no/such/file")?;
    ///     Ok::<(), wharf::Failure>(())
    /// };
    /// event_loop.create_task(settings).named("settings").detach();
    /// event_loop.run_forever()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach(self) {
        self.let_go(Wanted::Detached);
    }
}

impl<T: 'static> Task<T> {
    pub(super) fn new(
        core: &Rc<Core>,
        key: TaskKey,
        place: &'static Location<'static>,
        state: State<T>,
    ) -> Self {
        let state = RefCell::new(state);
        let core = Rc::clone(core);
        Self { core, key, place, state, cancelled: Cell::new(false), bound: PhantomData }
    }

    /// Takes the output of a task that is finished to where it can be looked at.
    fn settle(&self) {
        let mut state = self.state.borrow_mut();
        if let State::Running(task) = &mut *state
            && task.is_finished()
        {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = Pin::new(task).poll(&mut context) {
                *state = State::Done(Some(self.look_at(output)));
            }
        }
    }

    /// Notes what is to be known of an output when it is taken.
    fn look_at(&self, output: Option<Output<T>>) -> Result<T, Error> {
        // Without an output the task was dropped by a loop that could not run it.
        let output = output.flatten().unwrap_or_else(|| Err(Error::bare(Kind::Cancelled)));
        self.cancelled.set(matches!(&output, Err(error) if error.is_cancelled()));
        output
    }

    /// A future with the output, from now on in place of this task's own.
    fn to_future(&self) -> LoopFuture<T> {
        self.settle();
        let (promise, future) = future(&self.core);
        match self.state.replace(State::Done(None)) {
            State::Running(task) => {
                cancel_with(&self.core, self.key, &promise);
                self.core.tasks.set_promise(self.key, promise);
                task.detach();
            }
            State::Done(Some(output)) => promise.set(output),
            State::Done(None) => {
                // Taken already: the callback that is going to be added is not called.
                promise.set(Err(Error::bare(Kind::Cancelled)));
                drop(future.take_result());
            }
            State::Future(_) => {}
        }
        future
    }

    fn let_go(&self, wanted: Wanted) {
        self.settle();
        match self.state.replace(State::Done(None)) {
            State::Running(task) => {
                self.core.tasks.set_wanted(self.key, wanted);
                if wanted == Wanted::Dropped {
                    self.core.tasks.cancel(self.key);
                }
                task.detach();
            }
            State::Future(future) if wanted == Wanted::Detached => future.detach(),
            State::Future(future) => drop(future),
            State::Done(Some(output)) => {
                Finished::new(wanted, self.place, None).abandon(&self.core, output);
            }
            State::Done(None) => {}
        }
    }
}

/// The output is never pinned.
impl<T: 'static> Unpin for Task<T> {}

impl<T: 'static> Future for Task<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let State::Running(task) = this.state.get_mut()
            && !task.is_finished()
            && !this.core.tasks.is_own(context.waker())
        {
            // `async_task` ends the process when a waker panics; a future of the loop reports it.
            let future = this.to_future();
            this.state = RefCell::new(State::Future(future));
        }
        let output = match this.state.get_mut() {
            State::Running(task) => match Pin::new(task).poll(context) {
                Poll::Pending => {
                    this.core.tasks.note_wait(Waits::Task(this.key.serial()));
                    return Poll::Pending;
                }
                Poll::Ready(output) => this.look_at(output),
            },
            State::Future(future) => return Pin::new(future).poll(context),
            State::Done(output) => output.take().unwrap_or_else(|| Err(Error::already_taken())),
        };
        *this.state.get_mut() = State::Done(None);
        Poll::Ready(output)
    }
}

impl<T: 'static> Drop for Task<T> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.state.get_mut(), State::Done(None)) {
            self.let_go(Wanted::Dropped);
        }
    }
}

impl<T: 'static> fmt::Debug for Task<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Task")
            .field("is_done", &self.is_done())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

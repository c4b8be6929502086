//! Tasks: futures that the loop drives.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::future::{LoopFuture, future};
use crate::error::{Error, Kind};
use crate::event_loop::registry;
use crate::event_loop::{
    CallbackHandle, Core, EventLoop, Ready, RemoteItem, TAKEN_AT_ONCE, closed,
};

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
pub struct Task<T: 'static>(LoopFuture<T>);

impl<T: 'static> Task<T> {
    /// Whether it has finished, or was cancelled.
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes the task as cancelled; the loop drops its future at the next step. `false` when it
    /// was done already.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// The loop calls `callback` with the result; it is never called from here. See
    /// [`LoopFuture::add_done_callback`].
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&Result<T, Error>) + 'static,
    ) -> CallbackHandle {
        self.0.add_done_callback(callback)
    }

    /// Takes the result; `None` while the task runs, and once it was taken.
    pub fn take_result(&self) -> Option<Result<T, Error>> {
        self.0.take_result()
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
    ///     assert!(exception.to_string().starts_with("a detached task failed: "));
    ///     event_loop.stop();
    /// });
    /// let settings = async {
    ///     std::fs::read("/no/such/file")?;
    ///     Ok::<(), wharf::Failure>(())
    /// };
    /// event_loop.create_task(settings).detach();
    /// event_loop.run_forever()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach(self) {
        self.0.detach();
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
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

/// # Tasks
impl EventLoop {
    /// Drives `future` on this loop, beginning in the next round.
    ///
    /// The loop owns the task. Cancelling it drops the future, at the loop's next round. On a
    /// closed loop it fails at once with [`is_closed`](Error::is_closed).
    #[doc(alias("spawn", "spawn_local", "ensure_future"))]
    pub fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
    {
        Task(self.core().tasks.create(self.core(), future, |outcome| outcome))
    }
}

/// Drives an operation of the engine's own, whose errors are the future's.
pub(crate) fn operation<T: 'static>(
    core: &Rc<Core>,
    steps: impl Future<Output = Result<T, Error>> + 'static,
) -> LoopFuture<T> {
    core.tasks.create(core, steps, |outcome| outcome.and_then(|result| result))
}

/// The tasks of a loop that are not finished.
#[derive(Default)]
pub(crate) struct TaskTable {
    tasks: RefCell<BTreeMap<u64, Rc<Control>>>,
    next: Cell<u64>,
}

/// What ends a task from outside.
#[derive(Default)]
struct Control {
    cancelled: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Control {
    /// Makes the task's next step drop its future.
    fn cancel(&self) {
        self.cancelled.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl TaskTable {
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    fn create<F: Future + 'static, T: 'static>(
        &self,
        core: &Rc<Core>,
        user: F,
        conclude: fn(Result<F::Output, Error>) -> Result<T, Error>,
    ) -> LoopFuture<T> {
        let (promise, result) = future(core);
        if core.is_closed() {
            core.drop_user(user, "task");
            promise.set(Err(closed()));
            return result;
        }
        let control = Rc::new(Control::default());
        let id = self.next.replace(self.next.get() + 1);
        self.tasks.borrow_mut().insert(id, Rc::clone(&control));
        promise.on_cancel_at_once({
            let control = Rc::clone(&control);
            move || control.cancel()
        });
        let steps = {
            let core = Rc::clone(core);
            async move {
                let outcome = drive(&core, user, &control).await;
                let finished = core.tasks.tasks.borrow_mut().remove(&id);
                drop(finished);
                let waker = control.waker.take();
                drop(waker);
                promise.set(conclude(outcome));
            }
        };
        let queue = Arc::clone(&core.remote);
        let schedule = move |runnable| registry::schedule(&queue, runnable);
        let (runnable, task) = async_task::spawn_local(steps, schedule);
        task.detach();
        runnable.schedule();
        result
    }

    /// Cancels every task; [`run_cancelled`](Self::run_cancelled) then ends them.
    pub(crate) fn cancel_all(&self) {
        let controls: Vec<_> = self.tasks.borrow().values().cloned().collect();
        for control in controls {
            control.cancel();
        }
    }

    /// Runs the steps that drop the futures of cancelled tasks; other entries are left.
    pub(crate) fn run_cancelled(&self, core: &Rc<Core>) {
        self.cancel_all();
        for item in core.remote.take(TAKEN_AT_ONCE) {
            match item {
                RemoteItem::Task(runnable) => core.push_ready(Ready::Task(runnable)),
                RemoteItem::Call(call) => core.drop_user(call, "callback from another thread"),
            }
        }
        for entry in core.take_ready() {
            match entry {
                Ready::Task(runnable) => core.run_caught("a task failed", || {
                    runnable.run();
                }),
                other => core.push_ready(other),
            }
        }
    }
}

/// The user's future to its end, its cancellation or its panic; it is dropped before this returns.
async fn drive<F: Future>(core: &Core, user: F, control: &Control) -> Result<F::Output, Error> {
    let mut user = pin!(Some(user));
    let outcome = poll_fn(|context| {
        if control.cancelled.get() {
            return Poll::Ready(Err(Error::bare(Kind::Cancelled)));
        }
        let former = control.waker.replace(Some(context.waker().clone()));
        drop(former);
        let Some(steps) = user.as_mut().as_pin_mut() else { return Poll::Pending };
        match core.run_inside(|| steps.poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic.into_error())),
        }
    })
    .await;
    // Here, so that a panic of its Drop code does not keep the task from ending.
    core.run_caught("dropping a task failed", || user.set(None));
    outcome
}

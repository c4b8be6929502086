//! Futures that other threads have a loop run, and whose outputs they get back.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::wake::wake;
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Remote};
use crate::fence;
use crate::task::detached::take_error;

/// # Tasks from other threads
impl Remote {
    /// Has the loop run `main`, from any thread, and brings its output back: asyncio's
    /// `run_coroutine_threadsafe`.
    ///
    /// `main` is called on the loop's thread, so its future may hold what belongs to that thread:
    /// connections, handles, `Rc`s. Only `main` itself and the output travel. The task begins in the order of
    /// the thread's calls, as with [`call_soon_threadsafe`](Self::call_soon_threadsafe).
    ///
    /// A loop that is closed, or closes before the task is done, gives
    /// [`is_closed`](Error::is_closed) to whoever waits.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// let event_loop = EventLoop::new()?;
    /// let remote = event_loop.remote();
    /// let thread = std::thread::spawn(move || {
    ///     let task = remote.spawn(async |event_loop| {
    ///         event_loop.sleep(std::time::Duration::from_millis(1)).await;
    ///         6 * 7
    ///     });
    ///     let answer = task.wait();
    ///     let _ = remote.call_soon_threadsafe(|event_loop| event_loop.stop());
    ///     answer
    /// });
    /// event_loop.run_forever()?;
    /// assert_eq!(thread.join().expect("no panic")?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("run_coroutine_threadsafe", "create_task", "block_on"))]
    #[track_caller]
    pub fn spawn<T, F>(&self, main: F) -> RemoteTask<T>
    where
        T: Send + 'static,
        F: AsyncFnOnce(EventLoop) -> T + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let ending = Ending { shared: Some(Arc::clone(&shared)), remote: self.clone() };
        let handle = RemoteTask { shared, remote: self.clone() };
        let place = Location::caller();
        // Where it is refused or dropped, its `Ending` says so.
        let _ = self.call_soon_threadsafe(move |event_loop| {
            let own = event_loop.clone();
            let steps = drive(ending, async move { main(own).await });
            event_loop.create_task_at(place, steps).detach();
        });
        handle
    }
}

/// The future's steps, its cancellation or its panic; it is dropped before whoever waits is told.
async fn drive<T: Send + 'static>(mut ending: Ending<T>, main: impl Future<Output = T>) {
    let outcome = {
        let mut main = pin!(Some(main));
        let shared = ending.shared.clone();
        let outcome = poll_fn(|context| {
            if shared.as_ref().is_some_and(|shared| shared.note_waker(context.waker())) {
                return Poll::Ready(Err(Error::bare(Kind::Cancelled)));
            }
            let Some(steps) = main.as_mut().as_pin_mut() else { return Poll::Pending };
            match fence::run(|| steps.poll(context)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(panic.into_error())),
            }
        })
        .await;
        // A panic of its `Drop` takes the place of an output: whoever waits is to know.
        match fence::run(|| main.set(None)) {
            Ok(()) => outcome,
            Err(panic) => Err(panic.into_error()),
        }
    };
    ending.finish(outcome);
}

/// A task that another thread has started: awaiting it, on any loop or executor, gives what its future gave.
///
/// It can also be waited for by blocking ([`wait`](Self::wait)). An `Err` means that the task was cancelled
/// or has panicked, or that the loop was closed before it was done.
///
/// Dropping it cancels the task, unless it was [detached](Self::detach): the loop drops the future. A
/// result that is there already is dropped with it, on the thread that drops it.
#[doc(alias("JoinHandle", "Future"))]
#[must_use = "dropping it cancels the task; await it, wait for it or detach it"]
pub struct RemoteTask<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    remote: Remote,
}

impl<T: Send + 'static> RemoteTask<T> {
    /// Blocks this thread until the task is done, and takes its result.
    ///
    /// On the thread of another loop it holds that one up: await the task there.
    ///
    /// # Errors
    /// That of the task: [`is_cancelled`](Error::is_cancelled), [`is_panic`](Error::is_panic),
    /// [`is_closed`](Error::is_closed). [`is_invalid`](Error::is_invalid) on the loop's own
    /// thread, which would wait for itself, and when the result was taken already; the task goes on.
    #[doc(alias("result", "join", "blocking_recv"))]
    pub fn wait(&self) -> Result<T, Error> {
        self.wait_until(None).unwrap_or_else(|| Err(Error::already_taken()))
    }

    /// As [`wait`](Self::wait), for at most `timeout`; `None` when that was not enough. The task goes on, and
    /// can be waited for again.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<T, Error>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// Takes the result; `None` while the task is not done, and once it was taken.
    pub fn take_result(&self) -> Option<Result<T, Error>> {
        self.shared.lock().take_result()
    }

    /// Whether it has finished, or was cancelled.
    pub fn is_done(&self) -> bool {
        !matches!(self.shared.lock().outcome, Outcome::Pending)
    }

    /// Has the loop drop the task's future; `false` when it was done already.
    ///
    /// It does not wait for that. Whoever waits is told [`is_cancelled`](Error::is_cancelled) when the future
    /// has been dropped. A task that is done before the loop learns of it gives its output.
    pub fn cancel(&self) -> bool {
        let waker = {
            let mut state = self.shared.lock();
            if !matches!(state.outcome, Outcome::Pending) {
                return false;
            }
            state.is_cancelled = true;
            state.task.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Lets the task go on without anybody waiting for it.
    ///
    /// What it gives is dropped on the loop's thread; a panic of it, and an `Err` that it ends with, go to
    /// the loop's exception handler, as with [`Task::detach`](crate::Task::detach).
    pub fn detach(self) {
        let result = {
            let mut state = self.shared.lock();
            state.is_detached = true;
            state.take_result()
        };
        if let Some(result) = result {
            // A loop that is closed wants no results.
            let _ = self.remote.call_soon_threadsafe(move |event_loop| {
                report(event_loop.core(), result);
            });
        }
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<Result<T, Error>> {
        let mut state = self.shared.lock();
        if matches!(state.outcome, Outcome::Pending) && self.remote.core_here().is_some() {
            return Some(Err(Error::invalid(
                "the thread of an event loop would wait for itself: await the task instead",
            )));
        }
        loop {
            match state.outcome {
                Outcome::Pending => {}
                Outcome::Taken => return Some(Err(Error::already_taken())),
                Outcome::Done(_) => return state.take_result(),
            }
            let done = &self.shared.done;
            state = match deadline {
                None => done.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<T: Send + 'static> Future for RemoteTask<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned while nothing is locked: it is foreign code.
        let mut own = None;
        loop {
            let mut state = self.shared.lock();
            match (&state.outcome, &state.waiting, own.take()) {
                (Outcome::Done(_) | Outcome::Taken, _, _) => {
                    return Poll::Ready(
                        state.take_result().unwrap_or_else(|| Err(Error::already_taken())),
                    );
                }
                (_, Some(known), _) if known.will_wake(context.waker()) => return Poll::Pending,
                (_, _, Some(waker)) => {
                    let former = state.waiting.replace(waker);
                    drop(state);
                    drop(former);
                    return Poll::Pending;
                }
                (_, _, None) => {
                    drop(state);
                    own = Some(context.waker().clone());
                }
            }
        }
    }
}

impl<T: Send + 'static> Drop for RemoteTask<T> {
    fn drop(&mut self) {
        let (result, waiting, task) = {
            let mut state = self.shared.lock();
            let is_wanted = state.is_detached || !matches!(state.outcome, Outcome::Pending);
            state.is_cancelled |= !is_wanted;
            let task = if is_wanted { None } else { state.task.take() };
            state.is_dropped = true;
            (state.take_result(), state.waiting.take(), task)
        };
        drop((result, waiting));
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteTask<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RemoteTask").field("is_done", &self.is_done()).finish()
    }
}

/// What the two threads share. Nothing of a user's is called or dropped under the lock.
struct Shared<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

struct State<T> {
    outcome: Outcome<T>,
    /// Who awaits the result.
    waiting: Option<Waker>,
    /// Has the loop go on with the task.
    task: Option<Waker>,
    /// The task's future is to be dropped.
    is_cancelled: bool,
    is_detached: bool,
    /// There is no `RemoteTask` any more.
    is_dropped: bool,
}

enum Outcome<T> {
    Pending,
    Done(Result<T, Error>),
    Taken,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        let state = State {
            outcome: Outcome::Pending,
            waiting: None,
            task: None,
            is_cancelled: false,
            is_detached: false,
            is_dropped: false,
        };
        Self { state: Mutex::new(state), done: Condvar::new() }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken when the task is cancelled. Returns whether it is already.
    fn note_waker(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if !state.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            // The loop's own waker: it may be cloned and dropped under the lock.
            state.task = Some(waker.clone());
        }
        state.is_cancelled
    }
}

impl<T> State<T> {
    fn take_result(&mut self) -> Option<Result<T, Error>> {
        if !matches!(self.outcome, Outcome::Done(_)) {
            return None;
        }
        match std::mem::replace(&mut self.outcome, Outcome::Taken) {
            Outcome::Done(result) => Some(result),
            Outcome::Pending | Outcome::Taken => None,
        }
    }
}

/// The loop's side. Whatever becomes of the task, whoever waits is told: at the latest when this is dropped.
struct Ending<T: Send + 'static> {
    shared: Option<Arc<Shared<T>>>,
    remote: Remote,
}

impl<T: Send + 'static> Ending<T> {
    fn finish(&mut self, result: Result<T, Error>) {
        let Some(shared) = self.shared.take() else { return };
        let (unwanted, wakers) = {
            let mut state = shared.lock();
            let is_wanted = !state.is_detached && !state.is_dropped;
            let unwanted = if is_wanted {
                state.outcome = Outcome::Done(result);
                None
            } else {
                state.outcome = Outcome::Taken;
                Some((state.is_detached, result))
            };
            (unwanted, [state.waiting.take(), state.task.take()])
        };
        shared.done.notify_all();
        let [waiting, task] = wakers;
        let core = self.remote.core_here();
        wake(core.as_deref(), waiting);
        drop(task);
        match (core, unwanted) {
            (Some(core), Some((true, result))) => report(&core, result),
            (Some(core), Some((false, result))) => core.drop_user(result, "result"),
            // Refused where it was asked for: there is no result but that.
            (None, unwanted) => drop(fence::run(|| drop(unwanted))),
            (Some(_), None) => {}
        }
    }
}

impl<T: Send + 'static> Drop for Ending<T> {
    fn drop(&mut self) {
        self.finish(Err(Error::new(
            Kind::Closed,
            "the event loop was closed before the task was done",
        )));
    }
}

/// What a detached task has ended with goes to the exception handler if it is an error, and is dropped.
fn report<T: 'static>(core: &Core, result: Result<T, Error>) {
    let mut output = None;
    let error = match result {
        Ok(value) => take_error(output.insert(Some(value))),
        Err(error) => Some(error).filter(|error| !error.is_cancelled() && !error.is_closed()),
    };
    if let Some(error) = error {
        core.report_when_free("a detached task failed", error, None);
    }
    core.drop_user(output, "result");
}

//! Tasks that may borrow from the function that waits for them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::super::slab::SlabKey;
use super::body::drop_body;
use super::child::{Child, Member, NewTask, Owner, Slot, TakesError, discard_value, run_child};
use super::scope_state::{BodyWaker, ScopeState};
use super::start::{Ready, start};
use crate::error::{Error, Failure, Result};
use crate::event_loop::registry::expect_current;
use crate::event_loop::{Core, EventLoop};

/// Runs `body` and the tasks that it adds to its scope, which may borrow what lives outside, and ends when all of them
/// have.
///
/// It is a [`task_group`](crate::task_group), with the same rules for errors, panics and cancelling. What differs:
///
/// - Tasks need not be `'static`. They borrow from the function that opens the scope, as threads do from that of
///   [`std::thread::scope`]: no `Rc`, no `clone`. Variables of `body` itself end too early for that; the compiler says so.
/// - They are polled in place, by whoever awaits the scope; a wake polls just the task that it is for. 128 tasks at
///   most have their turn before others on the loop have theirs.
/// - Dropping the scope's future drops all of its tasks at once.
///
/// A task of a group costs about as much as one of a scope. Choose a group if tasks are to be the loop's own.
///
/// ```
/// use std::cell::Cell;
/// use std::time::Duration;
/// use wharf::{Result, scope, sleep};
///
/// async fn fetch(page: &str) -> Result<usize> {
///     sleep(Duration::from_secs(1)).await;
///     Ok(page.len())
/// }
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let pages = vec![String::from("index.html"), String::from("about.html")];
///     let (began, bytes) = (event_loop.time(), Cell::new(0));
///     scope(async |scope| {
///         for page in &pages {
///             scope.spawn(async {
///                 let fetched = fetch(page).await?;
///                 bytes.set(bytes.get() + fetched);
///                 Ok(())
///             });
///         }
///         Ok(())
///     })
///     .await?;
///     assert_eq!(bytes.get(), 20);
///     assert_eq!(event_loop.time() - began, Duration::from_secs(1));
///     Ok(())
/// })
/// # }
/// ```
///
/// What ends before the scope does cannot be borrowed:
///
/// ```compile_fail,E0597
/// # async fn f() -> wharf::Result {
/// wharf::scope(async |scope| {
///     let inside = String::from("gone when the body returns");
///     let borrowed = &inside;
///     scope.spawn(async move { Ok(borrowed.len()) });
///     Ok(())
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread; [`EventLoop::scope`] needs none. When awaited: if the body panics.
#[doc(alias("async_scope", "moro"))]
#[track_caller]
pub fn scope<'env, T, B>(body: B) -> impl Future<Output = Result<T, Error>>
where
    T: 'env,
    B: AsyncFnOnce(Scope<'env, T>) -> Result<T>,
{
    run(Rc::clone(expect_current("scope").core()), body)
}

/// Adds tasks to a scope: what the body of a [`scope`] is given. `T` is what the scope gives in the end.
///
/// A clone is the same scope: tasks keep one to add more. Dropping it changes nothing. It cannot leave its thread.
pub struct Scope<'env, T = ()> {
    core: Rc<Core>,
    /// The scope's future has the other end: nothing that tasks keep is kept by itself.
    state: Weak<ScopeState<'env, T>>,
}

impl<'env, T: 'env> Scope<'env, T> {
    /// Adds a task. If it returns an `Err`, or panics, the scope fails.
    ///
    /// What this gives can be awaited or dropped. Once the scope was ended, by a failure or otherwise, and once it is over,
    /// the task is cancelled from the start: `future` is dropped.
    ///
    /// An `Err` is an error whatever it says: also that something else was cancelled that the task awaited.
    #[doc(alias("create_task", "start_soon"))]
    pub fn spawn<V: 'env>(&self, future: impl Future<Output = Result<V>> + 'env) -> Child<'env, V> {
        self.add(future, |outcome| outcome.map_err(Error::from), None)
    }

    /// Adds a task that cannot fail, but by a panic: whatever it returns is its value.
    pub fn spawn_infallible<F: Future + 'env>(&self, future: F) -> Child<'env, F::Output> {
        self.add(future, Ok, None)
    }

    /// Adds a task and waits until it says that it is ready, with a value.
    /// See [`TaskGroup::start`](crate::TaskGroup::start).
    pub async fn start<V: 'env>(
        &self,
        body: impl AsyncFnOnce(Ready<V>) -> Result + 'env,
    ) -> Result<V, Error> {
        let add = |ready: Ready<V>, takes_error: Rc<dyn TakesError + 'env>| {
            let steps = async move { body(ready).await };
            self.add(steps, |outcome| outcome.map_err(Error::from), Some(takes_error))
        };
        start(&self.core, add).await
    }

    /// Ends the body and all tasks; the scope gives `value`, unless one of them has failed. The first value counts,
    /// also before what the body returns.
    ///
    /// Nothing is dropped here: the scope's future does that next.
    pub fn finish(&self, value: T) {
        match self.state.upgrade() {
            Some(state) if state.is_open() => {
                state.outcome.note_finished(value);
                state.end();
            }
            _ => discard_value(&self.core, value),
        }
    }

    /// Whether tasks can still be added: the scope was not ended, and is not over.
    pub fn is_open(&self) -> bool {
        self.state.upgrade().is_some_and(|state| state.is_open())
    }

    fn add<F: Future + 'env, V: 'env>(
        &self,
        future: F,
        convert: fn(F::Output) -> Result<V, Error>,
        takes_error: Option<Rc<dyn TakesError + 'env>>,
    ) -> Child<'env, V> {
        let core = &self.core;
        let weak = Weak::clone(&self.state);
        let owner: Weak<dyn Owner + 'env> = weak;
        let state = self.state.upgrade();
        let admitted = state.as_ref().and_then(|state| Some((state, state.admit()?)));
        let Some((state, key)) = admitted else {
            core.run_caught("dropping a task failed", || drop(future));
            return Child::new(Slot::cancelled(core), owner, SlabKey::NONE);
        };
        let slot = Slot::new(core);
        let member = Member { slot: Rc::clone(&slot), owner: Weak::clone(&owner), key };
        let new = NewTask { future, convert, takes_error, member };
        state.add(key, Box::pin(run_child(Rc::clone(core), new)));
        Child::new(slot, owner, key)
    }
}

impl Scope<'_> {
    /// Ends the body and all tasks, without an error. A scope with a value has [`finish`](Self::finish) for that.
    ///
    /// Nothing is dropped here: the scope's future does that next. Errors of tasks that come before it win.
    pub fn cancel(&self) {
        self.finish(());
    }
}

impl<T> Clone for Scope<'_, T> {
    fn clone(&self) -> Self {
        Self { core: Rc::clone(&self.core), state: Weak::clone(&self.state) }
    }
}

impl<T> fmt::Debug for Scope<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.state.upgrade().is_some_and(|state| state.is_open());
        formatter.debug_struct("Scope").field("is_open", &is_open).finish()
    }
}

/// # Scopes
impl EventLoop {
    /// Runs `body` and the tasks that it adds to its scope, which may borrow what lives outside, and ends when all of
    /// them have. See [`scope`](crate::scope).
    ///
    /// # Panics
    /// When awaited: if the body panics.
    #[doc(alias("async_scope", "moro"))]
    pub fn scope<'env, T, B>(
        &self,
        body: B,
    ) -> impl Future<Output = Result<T, Error>> + use<'env, T, B>
    where
        T: 'env,
        B: AsyncFnOnce(Scope<'env, T>) -> Result<T>,
    {
        run(Rc::clone(self.core()), body)
    }
}

async fn run<'env, T, B>(core: Rc<Core>, body: B) -> Result<T, Error>
where
    T: 'env,
    B: AsyncFnOnce(Scope<'env, T>) -> Result<T>,
{
    let session = Session(ScopeState::new(&core));
    let state = Rc::downgrade(&session.0);
    let body_waker = session.0.body_waker();
    {
        let mut body = pin!(Some(body(Scope { core, state })));
        poll_fn(|context| session.poll(body.as_mut(), &body_waker, context)).await;
    }
    session.0.outcome.conclude(&session.0.core)
}

/// A scope whose future is there. Dropping it drops the tasks.
struct Session<'env, T>(Rc<ScopeState<'env, T>>);

impl<T> Session<'_, T> {
    /// Ready when body and tasks are over.
    fn poll<F: Future<Output = Result<T, Failure>>>(
        &self,
        mut body: Pin<&mut Option<F>>,
        body_waker: &BodyWaker,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let state = &self.0;
        state.turn(context, || {
            if state.outcome.step_body(&state.core, body.as_mut(), &mut body_waker.begin_poll()) {
                state.end();
            }
        });
        if body.is_some() && state.is_ending() {
            drop_body(&state.core, body.as_mut());
        }
        if state.end_turn(body.is_none(), context) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl<T> Drop for Session<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        self.0.outcome.abandon(&self.0.core);
    }
}

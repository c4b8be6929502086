//! Tasks that end together.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::super::slab::SlabKey;
use super::body::drop_body;
use super::child::{Child, Member, NewTask, Owner, Slot, TakesError, run_child};
use super::group_state::GroupState;
use super::start::{Ready, start};
use crate::error::{Error, Failure, Result};
use crate::event_loop::EventLoop;
use crate::event_loop::registry::expect_current;
use crate::thread_bound::{ThreadBound, UseRunInExecutorOrAChannel};

/// Runs `body` and the tasks that it adds to its group, and ends when all of them have. asyncio's `TaskGroup`, Trio's
/// nursery.
///
/// - **The first failure ends the group.** If the body or a task returns an `Err`, or a task panics, the body and all
///   other tasks are dropped. Every error is kept: the group fails with one that has them all
///   ([`Error::errors`]). What is cancelled runs no more, so there is rarely a second one. A panic of the body goes on
///   in the caller, once all tasks have ended.
/// - **No task outlives the group.** Its future ends when the future of every task was dropped. If it is itself
///   dropped, it cancels every task: their futures are dropped in the loop's next round.
/// - **Being cancelled is no error.** [`TaskGroup::cancel`] ends body and tasks, [`TaskGroup::finish`] does with a
///   value, and [`Child::cancel`] ends one task.
/// - The body is polled in place, and may borrow. Tasks are the loop's own and `'static`; in a
///   [`scope`](crate::scope) they may borrow, too.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, sleep, task_group};
///
/// async fn fetch(page: u64) -> Result<u64> {
///     sleep(Duration::from_secs(page)).await;
///     if page == 4 { Err("page 4 is missing".into()) } else { Ok(page * 100) }
/// }
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let bytes = task_group(async |group| {
///         let pages: Vec<_> = (1..=3).map(|page| group.spawn(fetch(page))).collect();
///         let mut bytes = 0;
///         for page in pages {
///             bytes += page.await?;
///         }
///         Ok(bytes)
///     });
///     assert_eq!(bytes.await?, 600);
///
///     let began = event_loop.time();
///     let error = task_group(async |group| {
///         for page in [4, 3600] {
///             group.spawn(fetch(page));
///         }
///         Ok(())
///     })
///     .await
///     .unwrap_err();
///     assert_eq!(error.errors()[0].to_string(), "page 4 is missing");
///     // Nobody waited for the other one.
///     assert_eq!(event_loop.time() - began, Duration::from_secs(4));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread; [`EventLoop::task_group`] needs none. When awaited: if the body panics.
#[doc(alias("nursery", "open_nursery", "JoinSet", "TaskTracker"))]
#[track_caller]
pub fn task_group<T, B>(body: B) -> impl Future<Output = Result<T, Error>>
where
    T: 'static,
    B: AsyncFnOnce(TaskGroup<T>) -> Result<T>,
{
    expect_current("task_group").task_group(body)
}

/// Adds tasks to a group: what the body of a [`task_group`] is given. `T` is what the group gives in the end.
///
/// A clone is the same group: tasks keep one to add more. Dropping it changes nothing. It cannot leave its thread.
pub struct TaskGroup<T: 'static = ()> {
    state: Rc<GroupState<T>>,
    bound: ThreadBound<UseRunInExecutorOrAChannel>,
}

impl<T: 'static> TaskGroup<T> {
    /// Adds a task, which begins in the loop's next round. If it returns an `Err`, or panics, the group fails.
    ///
    /// What this gives can be awaited or dropped. Once the group was ended, by a failure or otherwise, and once it is over,
    /// the task is cancelled from the start: `future` is dropped.
    ///
    /// An `Err` is an error whatever it says: also that something else was cancelled that the task awaited.
    ///
    /// A task that goes on until it is cancelled has no `Ok` that would say what `V` is. It is an `async fn` that returns
    /// a [`Result`](crate::Result), or else for [`spawn_infallible`](Self::spawn_infallible):
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::{Result, interval, sleep, task_group};
    ///
    /// async fn beat(letter: char) -> Result {
    ///     let mut ticks = interval(Duration::from_secs(1));
    ///     loop {
    ///         ticks.tick().await;
    ///         print!("{letter}");
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
    ///     task_group(async |group| {
    ///         group.spawn(beat('.'));
    ///         group.spawn_infallible(async {
    ///             loop {
    ///                 sleep(Duration::from_secs(3)).await;
    ///                 print!("!");
    ///             }
    ///         });
    ///         sleep(Duration::from_secs(10)).await;
    ///         group.cancel();
    ///         Ok(())
    ///     })
    ///     .await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("create_task", "start_soon"))]
    #[track_caller]
    pub fn spawn<V: 'static>(
        &self,
        future: impl Future<Output = Result<V>> + 'static,
    ) -> Child<'static, V> {
        self.add(Location::caller(), future, |outcome| outcome.map_err(Error::from), None)
    }

    /// Adds a task that cannot fail, but by a panic: whatever it returns is its value.
    #[track_caller]
    pub fn spawn_infallible<F: Future + 'static>(&self, future: F) -> Child<'static, F::Output> {
        self.add(Location::caller(), future, Ok, None)
    }

    /// Adds a task and waits until it says that it is ready, with a value. Trio's `nursery.start`.
    ///
    /// Until then its error is the `Err` of this, and no failure of the group. Afterwards it is a task like others. If it
    /// drops its [`Ready`] instead, it is cancelled and this is [`is_invalid`](Error::is_invalid). Dropping this before
    /// cancels the task.
    ///
    /// ```
    /// use wharf::{EventLoop, Protocol, Ready, Result, Transport, task_group};
    /// # struct Echo;
    /// # impl Protocol for Echo {
    /// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result { Ok(()) }
    /// # }
    ///
    /// # fn main() -> Result {
    /// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
    ///     task_group(async |group| {
    ///         let address = group
    ///             .start(async |ready: Ready<_>| {
    ///                 let event_loop = EventLoop::current()?;
    ///                 let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
    ///                 ready.set(server.local_address()?);
    ///                 Ok(server.serve_forever().await?)
    ///             })
    ///             .await?;
    ///         println!("clients can connect to {address}");
    ///         group.cancel();
    ///         Ok(())
    ///     })
    ///     .await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn start<V: 'static>(
        &self,
        body: impl AsyncFnOnce(Ready<V>) -> Result + 'static,
    ) -> impl Future<Output = Result<V, Error>> {
        let place = Location::caller();
        let add = move |ready: Ready<V>, takes_error: Rc<dyn TakesError>| {
            let steps = async move { body(ready).await };
            self.add(place, steps, |outcome| outcome.map_err(Error::from), Some(takes_error))
        };
        start(&self.state.core, add)
    }

    /// Ends the body and all tasks; the group gives `value`, unless one of them has failed. The first value counts,
    /// also before what the body returns.
    ///
    /// Nothing is dropped here: the loop does that next.
    pub fn finish(&self, value: T) {
        self.state.finish(value);
    }

    /// Whether tasks can still be added: the group was not ended, and is not over.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    fn add<F: Future + 'static, V: 'static>(
        &self,
        place: &'static Location<'static>,
        future: F,
        convert: fn(F::Output) -> Result<V, Error>,
        takes_error: Option<Rc<dyn TakesError>>,
    ) -> Child<'static, V> {
        let core = &self.state.core;
        let weak = Rc::downgrade(&self.state);
        let owner: Weak<dyn Owner> = weak;
        let Some(key) = self.state.admit() else {
            core.drop_user(future, "task");
            return Child::new(Slot::cancelled(core), owner, SlabKey::NONE);
        };
        let slot = Slot::new(core);
        let member = Member { slot: Rc::clone(&slot), owner: Weak::clone(&owner), key };
        let new = NewTask { future, convert, takes_error, member };
        let steps = run_child(Rc::clone(core), new);
        self.state.keep(key, EventLoop::from_core(Rc::clone(core)).create_task_at(place, steps));
        Child::new(slot, owner, key)
    }
}

impl TaskGroup {
    /// Ends the body and all tasks, without an error. A group with a value has [`finish`](Self::finish) for that.
    ///
    /// Nothing is dropped here: the loop does that next. Errors of tasks that come before it win.
    pub fn cancel(&self) {
        self.finish(());
    }
}

impl<T: 'static> Clone for TaskGroup<T> {
    fn clone(&self) -> Self {
        Self { state: Rc::clone(&self.state), bound: PhantomData }
    }
}

impl<T: 'static> fmt::Debug for TaskGroup<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskGroup").field("is_open", &self.is_open()).finish()
    }
}

/// # Task groups
impl EventLoop {
    /// Runs `body` and the tasks that it adds to its group, and ends when all of them have. See
    /// [`task_group`](crate::task_group).
    ///
    /// # Panics
    /// When awaited: if the body panics.
    #[doc(alias("nursery", "open_nursery", "JoinSet", "TaskTracker"))]
    pub fn task_group<T, B>(&self, body: B) -> impl Future<Output = Result<T, Error>> + use<T, B>
    where
        T: 'static,
        B: AsyncFnOnce(TaskGroup<T>) -> Result<T>,
    {
        let state = GroupState::new(self.core());
        async move {
            let session = Session(Rc::clone(&state));
            let group = TaskGroup { state: Rc::clone(&state), bound: PhantomData };
            {
                let mut body = pin!(Some(body(group)));
                poll_fn(|context| session.poll(body.as_mut(), context)).await;
            }
            state.outcome.conclude(&state.core)
        }
    }
}

/// A group whose future is there. Dropping it ends the group.
struct Session<T: 'static>(Rc<GroupState<T>>);

impl<T: 'static> Session<T> {
    /// Ready when body and tasks are over.
    fn poll<F: Future<Output = Result<T, Failure>>>(
        &self,
        mut body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let state = &self.0;
        if body.is_some() && !state.is_ending() {
            state.wait(context.waker());
            if state.outcome.step_body(&state.core, body.as_mut(), context) {
                state.end();
            }
        }
        if body.is_some() && state.is_ending() {
            drop_body(&state.core, body.as_mut());
        }
        if body.is_none() && state.join(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<T: 'static> Drop for Session<T> {
    fn drop(&mut self) {
        self.0.abandon();
        self.0.outcome.abandon(&self.0.core);
    }
}

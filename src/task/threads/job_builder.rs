//! A job with options.

use std::fmt;
use std::rc::Rc;

use super::cancel_flag::CancelFlag;
use super::executor::Executor;
use super::jobs::{JobOptions, start_job};
use super::limiter::{CapacityLimiter, CapacityToken};
use crate::event_loop::{Core, EventLoop};
use crate::task::future::LoopFuture;
use crate::task::spawn::operation;

/// # Work that blocks
impl EventLoop {
    /// A job with options: as [`run_in_executor`](Self::run_in_executor), with a choice of the pool, a limit,
    /// and a flag by which the work is told that nobody waits for it any more.
    ///
    /// ```
    /// use wharf::{CapacityLimiter, Executor, testing::MemoryNetwork};
    ///
    /// # fn main() -> wharf::Result {
    /// let disk = Executor::new(8);
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     // At most two of the pool's threads search at once.
    ///     let searches = CapacityLimiter::new(&event_loop, 2);
    ///     let search = event_loop.create_job(|cancelled| {
    ///         for number in 2_u64.. {
    ///             if cancelled.is_cancelled() {
    ///                 return None;
    ///             }
    ///             if number * number > 1_000_000 {
    ///                 return Some(number);
    ///             }
    ///         }
    ///         None
    ///     });
    ///     assert_eq!(search.executor(&disk).limiter(&searches).await?, Some(1001));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("run_in_executor", "to_thread", "abandon_on_cancel"))]
    pub fn create_job<T, F>(&self, work: F) -> JobBuilder<T>
    where
        T: Send + 'static,
        F: FnOnce(CancelFlag) -> T + Send + 'static,
    {
        JobBuilder {
            work: Box::new(work),
            core: Rc::clone(self.core()),
            executor: None,
            limiter: None,
        }
    }
}

type Work<T> = Box<dyn FnOnce(CancelFlag) -> T + Send>;

/// Options of a job; [`start`](Self::start) or `await` hands it in.
///
/// Dropping the future cancels the job: work that has not begun never runs; work that runs is told by its
/// [`CancelFlag`], goes on as long as it likes, and its result is dropped on the loop's thread.
#[must_use = "nothing runs before `start` or `await`"]
pub struct JobBuilder<T: 'static> {
    core: Rc<Core>,
    work: Work<T>,
    executor: Option<Executor>,
    limiter: Option<CapacityLimiter>,
}

impl<T: Send + 'static> JobBuilder<T> {
    /// Runs it on a thread of `executor` instead of the [default](EventLoop::set_default_executor).
    pub fn executor(mut self, executor: &Executor) -> Self {
        self.executor = Some(executor.clone());
        self
    }

    /// Has it wait for a token first, and keep that until it has ended.
    ///
    /// A job that nobody waits for any more has its token for as long as it runs.
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Hands the job in, from code that is not async.
    ///
    /// # Errors
    /// Those of [`EventLoop::run_in`].
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, work, executor, limiter } = self;
        let Some(limiter) = limiter else { return hand_in(&core, executor.as_ref(), None, work) };
        if let Some(token) = limiter.try_acquire() {
            return hand_in(&core, executor.as_ref(), Some(token), work);
        }
        let own = Rc::clone(&core);
        operation(&core, async move {
            let token = limiter.acquire().await?;
            hand_in(&own, executor.as_ref(), Some(token), work).into_step().await
        })
    }
}

fn hand_in<T: Send + 'static>(
    core: &Rc<Core>,
    executor: Option<&Executor>,
    token: Option<CapacityToken>,
    work: Work<T>,
) -> LoopFuture<T> {
    let flag = CancelFlag::default();
    let told = flag.clone();
    let chosen = core.jobs.pools.chosen();
    let executor = executor.or(chosen.as_ref());
    start_job(core, JobOptions { executor, token, flag }, move || work(told))
}

impl<T: Send + 'static> IntoFuture for JobBuilder<T> {
    type Output = <LoopFuture<T> as Future>::Output;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<T: 'static> fmt::Debug for JobBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JobBuilder")
            .field("executor", &self.executor)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

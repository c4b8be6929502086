//! A pool of threads of one's own.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::pool::{ExecutorStatistics, Job, Rejected, ThreadPool, ThreadPoolOptions, Work};
use crate::error::Error;
use crate::fence;

/// A pool of threads for work that blocks, apart from the loop's own.
///
/// A program has one where a kind of work must not wait behind another, as calls of a database behind
/// compression, or must not run more often at once than something else can bear. Loops on several
/// threads can share one. [`EventLoop::run_in`](crate::EventLoop::run_in) uses it, and
/// [`JobBuilder::executor`](crate::JobBuilder::executor). asyncio's `ThreadPoolExecutor`.
///
/// Work begins in the order in which it was handed in. Threads are started when there is work for them,
/// and end when there was none for a while. A panic of work is its result; the thread goes on.
///
/// A clone is the same pool. Dropping the last one lets work that was handed in be done; then the
/// threads end. Nobody waits for them.
///
/// ```
/// use wharf::{EventLoop, Executor, Result};
///
/// fn main() -> Result {
///     let database = Executor::builder().max_threads(2).thread_name("database").build()?;
///     EventLoop::new()?.run(async |event_loop| {
///         let name = || std::thread::current().name().map(str::to_owned);
///         assert_eq!(event_loop.run_in(&database, name).await?.as_deref(), Some("database-0"));
///         Ok(())
///     })
/// }
/// ```
#[doc(alias("ThreadPoolExecutor", "ThreadPool"))]
#[derive(Clone)]
pub struct Executor(Arc<ThreadPool>);

impl Executor {
    /// A pool of at most `max_threads` threads, at least one, and else as
    /// [`builder`](Self::builder) has it.
    pub fn new(max_threads: usize) -> Self {
        Self(Arc::new(ThreadPool::new(max_threads)))
    }

    /// A pool with options.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder { options: ThreadPoolOptions::default() }
    }

    /// Takes no more work, drops what has not begun, and waits until what runs has ended, for at most
    /// `timeout`. Returns whether all has ended.
    ///
    /// It blocks the calling thread: zero only asks. Futures of work that had not begun end cancelled,
    /// and the work is dropped on its loop's thread. Later work fails with
    /// [`is_closed`](Error::is_closed). Work of this pool that calls this waits for itself, for as long as
    /// the timeout is.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        for work in self.0.shutdown() {
            // Only what comes from a loop that is closed is dropped here. Its panic is nobody's.
            drop(fence::run(|| drop(work)));
        }
        self.0.join(timeout)
    }

    /// How busy it is now.
    pub fn statistics(&self) -> ExecutorStatistics {
        self.0.statistics()
    }

    pub(super) fn submit(&self, work: Work) -> Result<Job, Rejected> {
        self.0.submit(work)
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.0.is_shut_down()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Executor")
            .field("max_threads", &self.0.max_threads())
            .field("statistics", &self.statistics())
            .finish()
    }
}

/// Options of an [`Executor`] to be made.
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `build`"]
pub struct ExecutorBuilder {
    options: ThreadPoolOptions,
}

impl ExecutorBuilder {
    /// The most threads at once, at least 1; by default four more than the machine has cores, and 32 at
    /// most, as with asyncio's.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.options.max_threads = threads.max(1);
        self
    }

    /// How long a thread stays without work; 10 seconds by default. `None`: until the shutdown.
    pub fn keep_alive(mut self, keep_alive: impl Into<Option<Duration>>) -> Self {
        self.options.keep_alive = keep_alive.into();
        self
    }

    /// How much work may wait for a thread; no limit by default. What comes when as much waits fails
    /// with [`is_queue_full`](Error::is_queue_full). Zero: work is refused when all threads are busy.
    ///
    /// To have work wait in its task instead, use a [`CapacityLimiter`](crate::CapacityLimiter).
    pub fn queue_limit(mut self, limit: impl Into<Option<usize>>) -> Self {
        self.options.queue_limit = limit.into();
        self
    }

    /// What the threads' names begin with; a hyphen and a number follow. `wharf-executor` by default.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Cow::Owned(name.into());
        self
    }

    /// Makes the pool. No thread is started before there is work.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for a keep-alive of zero and a name with a zero byte.
    pub fn build(self) -> Result<Executor, Error> {
        Error::refuse_zero("the keep-alive", self.options.keep_alive)?;
        if self.options.name.contains('\0') {
            return Err(Error::invalid("the name of a thread must not contain a zero byte"));
        }
        Ok(Executor(Arc::new(ThreadPool::with_options(self.options))))
    }
}

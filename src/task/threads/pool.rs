//! A bounded pool of threads for work that blocks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{error, fmt, io, mem, thread};

use crate::fence;

/// What the pool runs.
///
/// It passes its result on by itself; the pool knows nothing about results.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Runs blocking work on threads that are started on demand, up to a maximum.
///
/// Work begins in the order of submission. A thread without work ends after the keep-alive. Work
/// that panics is caught and the thread goes on. No closure of a user is ever run or dropped while
/// the pool's lock is held.
///
/// Dropping the pool is a [`shutdown`](Self::shutdown): nobody waits for the work that is running.
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
}

impl ThreadPool {
    /// A pool of at most `max_threads` threads (at least one), with the other options' defaults.
    pub(crate) fn new(max_threads: usize) -> Self {
        Self::with_options(ThreadPoolOptions { max_threads, ..ThreadPoolOptions::default() })
    }

    /// A pool with these options. No thread is started before there is work.
    pub(crate) fn with_options(options: ThreadPoolOptions) -> Self {
        Self::with_spawn(
            options,
            Box::new(|name, main| thread::Builder::new().name(name).spawn(main).map(drop)),
        )
    }

    fn with_spawn(mut options: ThreadPoolOptions, spawn: Box<Spawn>) -> Self {
        options.max_threads = options.max_threads.max(1);
        let shared = Shared {
            options,
            spawn,
            state: Mutex::default(),
            work_added: Condvar::new(),
            work_ended: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Hands `work` to an idle thread, to a new one if there may be more, or else to the queue.
    ///
    /// # Errors
    /// The work comes back in [`Rejected`] after `shutdown`, when the queue is full, or when the
    /// system refuses the thread that would run it while no other is alive.
    pub(crate) fn submit(&self, work: Work) -> Result<Job, Rejected> {
        let shared = &self.shared;
        let ThreadPoolOptions { max_threads, queue_limit, .. } = shared.options;
        let mut state = shared.lock();
        if state.shut_down {
            return Err(Rejected { work, reason: RejectReason::ShutDown });
        }
        let mut must_wait = state.waiting() >= state.idle_threads;
        if must_wait && state.threads < max_threads {
            match shared.start_thread(&mut state) {
                Ok(()) => must_wait = false,
                Err(error) if state.threads == 0 => {
                    return Err(Rejected { work, reason: RejectReason::NoThread(error) });
                }
                // The existing threads will get to it.
                Err(_) => {}
            }
        }
        if let Some(limit) = queue_limit
            && must_wait
            && state.waiting() - state.idle_threads >= limit
        {
            return Err(Rejected { work, reason: RejectReason::QueueFull { limit } });
        }
        let number = state.submitted;
        state.submitted += 1;
        state.queue.insert(number, work);
        shared.work_added.notify_one();
        Ok(Job { shared: Arc::clone(shared), number })
    }

    /// Takes no more work and gives back what had not begun, to be dropped by the caller.
    ///
    /// Returns at once; idle threads end now, the others when their work is done.
    pub(crate) fn shutdown(&self) -> Vec<Work> {
        let mut state = self.shared.lock();
        state.shut_down = true;
        let queue = mem::take(&mut state.queue);
        drop(state);
        self.shared.work_added.notify_all();
        self.shared.work_ended.notify_all();
        queue.into_values().collect()
    }

    /// Blocks until all work is done, for at most `timeout`; false if that was not enough.
    ///
    /// After `shutdown` this is the work that was running, and every thread has ended when it
    /// returns true. Before, it is the queued work too, and the threads stay.
    pub(crate) fn join(&self, timeout: Duration) -> bool {
        self.shared.wait_until(deadline(timeout), |state| {
            if state.shut_down {
                state.threads == 0
            } else {
                state.queue.is_empty() && state.idle_threads == state.threads
            }
        })
    }

    /// Whether it takes no more work.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shared.lock().shut_down
    }

    /// How many threads there may be at once.
    pub(crate) fn max_threads(&self) -> usize {
        self.shared.options.max_threads
    }

    /// How busy the pool is.
    pub(crate) fn statistics(&self) -> ExecutorStatistics {
        let state = self.shared.lock();
        ExecutorStatistics {
            threads: state.threads,
            running: state.threads - state.idle_threads,
            waiting: state.waiting(),
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        for work in self.shutdown() {
            drop(fence::run(|| drop(work)));
        }
    }
}

/// How a [`ThreadPool`] is set up.
#[derive(Clone, Debug)]
pub(crate) struct ThreadPoolOptions {
    /// How many threads there may be at once; 0 counts as 1.
    pub(crate) max_threads: usize,
    /// How long a thread stays without work; `None`: until the shutdown.
    pub(crate) keep_alive: Option<Duration>,
    /// How much work may wait for a thread; `None` is no limit.
    ///
    /// Work that an idle or a new thread takes at once does not wait, so `Some(0)` refuses work
    /// exactly when all threads are busy.
    pub(crate) queue_limit: Option<usize>,
    /// What the threads' names begin with; a number follows.
    pub(crate) name: Cow<'static, str>,
}

impl Default for ThreadPoolOptions {
    /// Four threads more than the machine's cores, at most 32 (as asyncio's default executor),
    /// 10 s of keep-alive, no queue limit.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            max_threads: (cores + 4).min(32),
            keep_alive: Some(Duration::from_secs(10)),
            queue_limit: None,
            name: Cow::Borrowed("wharf-executor"),
        }
    }
}

/// What [`Executor::statistics`](crate::Executor::statistics) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ExecutorStatistics {
    /// Threads there are.
    pub threads: usize,
    /// Threads at work.
    pub running: usize,
    /// Work that has not begun.
    pub waiting: usize,
}

/// Work that was submitted. Dropping this changes nothing.
pub(crate) struct Job {
    shared: Arc<Shared>,
    number: u64,
}

impl Job {
    /// Takes the work out of the queue, to be dropped by the caller; `None` if it had begun.
    pub(crate) fn cancel(&self) -> Option<Work> {
        let work = self.shared.lock().queue.remove(&self.number);
        if work.is_some() {
            self.shared.work_ended.notify_all();
        }
        work
    }

    /// Blocks until the work is done or was taken out of the queue, `until` then at most; false if that was not enough.
    pub(crate) fn join(&self, until: Option<Instant>) -> bool {
        self.shared.wait_until(until, |state| {
            !state.queue.contains_key(&self.number) && !state.running.contains(&self.number)
        })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Work that the pool did not take, with the reason.
pub(crate) struct Rejected {
    /// Handed back, for the caller to choose where the user's closure is dropped.
    pub(crate) work: Work,
    pub(crate) reason: RejectReason,
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Why work was [`Rejected`].
#[derive(Debug)]
pub(crate) enum RejectReason {
    ShutDown,
    QueueFull { limit: usize },
    NoThread(io::Error),
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str("the executor has been shut down"),
            Self::QueueFull { limit } => {
                write!(f, "all threads of the executor are busy and its queue is full ({limit})")
            }
            Self::NoThread(_) => f.write_str("the executor cannot start a thread"),
        }
    }
}

impl error::Error for RejectReason {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NoThread(error) => Some(error),
            Self::ShutDown | Self::QueueFull { .. } => None,
        }
    }
}

/// Starts a thread of this name; a parameter because no test can make the system refuse one.
type Spawn = dyn Fn(String, Work) -> io::Result<()> + Send + Sync;

struct Shared {
    options: ThreadPoolOptions,
    spawn: Box<Spawn>,
    state: Mutex<State>,
    /// For idle threads: there is work, or no more will come.
    work_added: Condvar,
    /// For those who wait: a thread became idle or ended, or work left the queue.
    work_ended: Condvar,
}

#[derive(Default)]
struct State {
    /// By order of submission, so that any of it can be cancelled without a search.
    queue: BTreeMap<u64, Work>,
    /// The numbers of what is being done: as many as there are threads at most.
    running: Vec<u64>,
    submitted: u64,
    started: u64,
    threads: usize,
    /// Threads that are not at work, including those that are just starting or waking up.
    idle_threads: usize,
    shut_down: bool,
}

impl State {
    fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Shared {
    /// Nothing that can panic runs under the lock, so poison says nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(self);
        let name = format!("{}-{}", self.options.name, state.started);
        (self.spawn)(name, Box::new(move || shared.serve()))?;
        state.started += 1;
        state.threads += 1;
        state.idle_threads += 1;
        Ok(())
    }

    /// The main function of each thread.
    fn serve(&self) {
        let mut state = self.lock();
        let mut idle_until = self.options.keep_alive.and_then(deadline);
        loop {
            // Work first: its notification may come together with the end of the keep-alive.
            if let Some((number, work)) = state.queue.pop_first() {
                state.idle_threads -= 1;
                state.running.push(number);
                drop(state);
                run(work);
                idle_until = self.options.keep_alive.and_then(deadline);
                state = self.lock();
                state.idle_threads += 1;
                state.running.retain(|running| *running != number);
                self.work_ended.notify_all();
            } else if state.shut_down || is_over(idle_until) {
                break;
            } else {
                state = wait(&self.work_added, state, idle_until);
            }
        }
        state.idle_threads -= 1;
        state.threads -= 1;
        self.work_ended.notify_all();
    }

    /// `None` waits for as long as it takes.
    fn wait_until(&self, deadline: Option<Instant>, condition: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if condition(&state) {
                return true;
            }
            if is_over(deadline) {
                return false;
            }
            state = wait(&self.work_ended, state, deadline);
        }
    }
}

/// Runs `work` and lets no panic out, not even that of the panic's own value.
fn run(work: Work) {
    drop(fence::run(work));
}

/// When `duration` will be over; `None` for never, also if a clock cannot count that far.
pub(super) fn deadline(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Waits for a notification until the deadline; wakes up early sometimes, as conditions do.
fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, State> {
    match deadline {
        None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            condition.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tests;

//! Work that blocks, off the loop's thread.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
#[cfg(feature = "sim")]
use std::time::Duration;
use std::time::Instant;

use super::cancel_flag::CancelFlag;
use super::channel::Channels;
use super::default_executor::Pools;
use super::executor::Executor;
use super::limiter::CapacityToken;
use super::pool::{Job, RejectReason};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Remote};
use crate::fence::{self, Panic};
use crate::task::{LoopFuture, Promise, future};

/// What a loop shares with threads: its jobs that run on one or wait for one, and its channels.
pub(crate) struct Jobs {
    pub(super) pools: Pools,
    /// Who waits for each job's outcome.
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    next: Cell<u64>,
    pub(super) channels: Channels,
}

/// A panic is an outcome too.
type Outcome = std::thread::Result<BoxedResult>;

/// A job that was handed in, on the loop's side.
struct Waiting {
    /// `None` when nobody waits any more, and the job runs on.
    deliver: Option<Box<dyn FnOnce(Outcome)>>,
    job: Job,
    flag: CancelFlag,
    /// Given back when the job has ended.
    token: Option<CapacityToken>,
    /// The pool stays as long as there is work of it.
    executor: Executor,
}

impl Jobs {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            pools: Pools::new(threads),
            waiting: RefCell::default(),
            next: Cell::new(0),
            channels: Channels::default(),
        }
    }

    /// Jobs that have not begun are dropped; nobody waits for those that run. No message comes any more.
    pub(crate) fn close(&self, core: &Core) {
        self.channels.close();
        self.drop_waiting(core, |_| true);
        self.pools.close();
        let running = std::mem::take(&mut *self.waiting.borrow_mut());
        for (_, waiting) in running {
            waiting.flag.cancel();
            core.drop_user(waiting, "job");
        }
    }

    /// The program is over: nobody will take a result any more.
    pub(crate) fn tell_that_nobody_waits(&self) {
        self.waiting.borrow().values().for_each(|waiting| waiting.flag.cancel());
    }

    /// Drops the jobs of `executor` that have not begun: their futures end cancelled.
    pub(super) fn drop_waiting_of(&self, core: &Core, executor: &Executor) {
        self.drop_waiting(core, |waiting| waiting.executor.is_same(executor));
    }

    /// Waits for the jobs of `executor`, `until` then at most (`None`: for ever): false if that was not enough.
    pub(super) fn join(&self, executor: &Executor, until: Option<Instant>) -> bool {
        let waiting = self.waiting.borrow();
        let mut jobs = waiting.values().filter(|waiting| waiting.executor.is_same(executor));
        jobs.all(|waiting| waiting.job.join(until))
    }

    /// Drops those of these jobs that have not begun: their futures end cancelled.
    fn drop_waiting(&self, core: &Core, is_meant: impl Fn(&Waiting) -> bool) {
        let waiting = self.waiting.borrow();
        let ids: Vec<u64> =
            waiting.iter().filter(|(_, job)| is_meant(job)).map(|(id, _)| *id).collect();
        drop(waiting);
        for id in ids {
            let work = self.waiting.borrow().get(&id).and_then(|waiting| waiting.job.cancel());
            if let Some(work) = work {
                self.forget(core, id);
                core.drop_user(work, "job");
            }
        }
    }

    fn finish(&self, core: &Core, id: u64, outcome: Outcome) {
        let waiting = self.waiting.borrow_mut().remove(&id);
        let (deliver, token) = match waiting {
            Some(Waiting { deliver, token, .. }) => (deliver, token),
            None => (None, None),
        };
        drop(token);
        match (deliver, outcome) {
            (Some(deliver), outcome) => deliver(outcome),
            (None, Ok(value)) => core.drop_user(value, "result"),
            (None, Err(panic)) => drop(Panic::from_payload(panic)),
        }
    }

    /// Nobody waits for the job any more.
    fn cancel(&self, core: &Core, id: u64) {
        let (work, deliver) = {
            let mut waiting = self.waiting.borrow_mut();
            let Some(job) = waiting.get_mut(&id) else { return };
            job.flag.cancel();
            (job.job.cancel(), job.deliver.take())
        };
        core.drop_user(deliver, "job");
        if work.is_some() {
            self.forget(core, id);
            core.drop_user(work, "job");
        }
    }

    /// The job will never run: its future ends cancelled.
    fn forget(&self, core: &Core, id: u64) {
        let waiting = self.waiting.borrow_mut().remove(&id);
        core.drop_user(waiting, "job");
    }
}

/// # Work that blocks
impl EventLoop {
    /// Runs `work`, which may block, on a thread of the loop's pool, or of the one that was made
    /// the [default](Self::set_default_executor).
    ///
    /// The loop's pool is bounded (see [`EventLoopBuilder::executor_threads`]); work waits for a free
    /// thread, first come, first served. Cancelling keeps work that has not begun from running; work
    /// that runs goes on, and its result is dropped on the loop's thread. On
    /// a loop in memory the work runs on the loop's own thread, so that runs stay equal.
    ///
    /// [`create_job`](Self::create_job) has options: another pool, a limit, and a flag that tells the
    /// work when nobody waits any more.
    ///
    /// # Errors
    /// The future fails with [`is_panic`](Error::is_panic) when `work` panicked, and with
    /// [`is_closed`](Error::is_closed) when the loop is closed or no thread could be started.
    ///
    /// [`EventLoopBuilder::executor_threads`]: crate::EventLoopBuilder::executor_threads
    #[doc(alias("spawn_blocking", "to_thread", "deferToThread"))]
    pub fn run_in_executor<T, F>(&self, work: F) -> LoopFuture<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let chosen = self.core().jobs.pools.chosen();
        let flag = CancelFlag::default();
        start_job(self.core(), JobOptions { executor: chosen.as_ref(), token: None, flag }, work)
    }

    /// As [`run_in_executor`](Self::run_in_executor), on a pool of one's own.
    ///
    /// # Errors
    /// Also [`is_closed`](Error::is_closed) after the executor's
    /// [`shutdown`](Executor::shutdown), and [`is_queue_full`](Error::is_queue_full) when as much waits
    /// as its options allow.
    ///
    /// ```
    /// use wharf::{Executor, testing::MemoryNetwork};
    ///
    /// # fn main() -> wharf::Result {
    /// let hashing = Executor::new(2);
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     assert_eq!(event_loop.run_in(&hashing, || 6 * 7).await?, 42);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("run_in_executor"))]
    pub fn run_in<T, F>(&self, executor: &Executor, work: F) -> LoopFuture<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let flag = CancelFlag::default();
        start_job(self.core(), JobOptions { executor: Some(executor), token: None, flag }, work)
    }
}

/// Runs `work` on the loop's own pool, whichever is the default.
pub(crate) fn run_on_own_pool<T, F>(core: &Rc<Core>, work: F) -> LoopFuture<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    start_job(core, JobOptions { executor: None, token: None, flag: CancelFlag::default() }, work)
}

/// How a job is to run.
pub(super) struct JobOptions<'a> {
    /// `None`: on the loop's own pool.
    pub(super) executor: Option<&'a Executor>,
    pub(super) token: Option<CapacityToken>,
    /// Set when nobody waits any more.
    pub(super) flag: CancelFlag,
}

/// Hands a job in.
pub(super) fn start_job<T, F>(core: &Rc<Core>, options: JobOptions<'_>, work: F) -> LoopFuture<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (promise, result) = future(core);
    if let Err(error) = core.check_open() {
        promise.set(Err(error));
    } else if core.driver.runs_jobs_inline() {
        run_inline(core, options, promise, work);
    } else {
        run_on_thread(core, options, promise, work);
    }
    result
}

/// Runs it in the loop's next round, so that equal programs run equally.
fn run_inline<T, F>(core: &Rc<Core>, options: JobOptions<'_>, promise: Promise<T>, work: F)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if options.executor.is_some_and(Executor::is_shut_down) {
        return promise.set(Err(refused(RejectReason::ShutDown)));
    }
    let token = options.token;
    let inline = Rc::clone(core);
    EventLoop::from_core(Rc::clone(core)).call_soon(move || {
        if promise.is_cancelled() {
            return;
        }
        let outcome = fence::run(work).map_err(Panic::into_error);
        take_time(&inline, move || {
            drop(token);
            promise.set(outcome);
        });
    });
}

/// In a simulation a job takes time, and what comes of it is heard of then.
#[cfg(feature = "sim")]
fn take_time(core: &Rc<Core>, then: impl FnOnce() + 'static) {
    let time = core.driver.memory().map_or(Duration::ZERO, |driver| driver.machine().job_time());
    if time.is_zero() {
        return then();
    }
    EventLoop::from_core(Rc::clone(core)).call_later(time, then);
}

#[cfg(not(feature = "sim"))]
fn take_time(_: &Rc<Core>, then: impl FnOnce()) {
    then();
}

fn run_on_thread<T, F>(core: &Rc<Core>, options: JobOptions<'_>, promise: Promise<T>, work: F)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let jobs = &core.jobs;
    let executor = options.executor.cloned().unwrap_or_else(|| jobs.pools.own());
    let id = jobs.next.replace(jobs.next.get() + 1);
    let work = move || Box::new(work()) as BoxedResult;
    let work = RemoteWork { work: Some(work), remote: core.remote(), id };
    let job = match executor.submit(Box::new(move || work.run())) {
        Ok(job) => job,
        Err(rejected) => {
            core.drop_user(rejected.work, "job");
            return promise.set(Err(refused(rejected.reason)));
        }
    };
    promise.on_cancel_at_once({
        let core = Rc::clone(core);
        move || core.jobs.cancel(&core, id)
    });
    let deliver = move |outcome: Outcome| {
        promise.set(match outcome {
            Ok(value) => value
                .downcast::<T>()
                .map(|value| *value)
                .map_err(|_| Error::invalid("a job gave a value of another type")),
            Err(panic) => Err(Panic::from_payload(panic).into_error()),
        });
    };
    let JobOptions { token, flag, .. } = options;
    let waiting = Waiting { deliver: Some(Box::new(deliver)), job, flag, token, executor };
    // In time: the outcome comes by the loop's queue, later than this.
    jobs.waiting.borrow_mut().insert(id, waiting);
}

fn refused(reason: RejectReason) -> Error {
    let kind = match reason {
        RejectReason::QueueFull { .. } => Kind::QueueFull,
        RejectReason::ShutDown | RejectReason::NoThread(_) => Kind::Closed,
    };
    Error::new(kind, reason.to_string())
}

type BoxedResult = Box<dyn Any + Send>;

/// A job on its way: it brings its outcome back to the loop, or itself if it is dropped without having
/// run. What is the user's is dropped on the loop's thread in either case, if the loop is still there.
struct RemoteWork<F: FnOnce() -> BoxedResult + Send + 'static> {
    work: Option<F>,
    remote: Remote,
    id: u64,
}

impl<F: FnOnce() -> BoxedResult + Send + 'static> RemoteWork<F> {
    fn run(mut self) {
        let (id, Some(work)) = (self.id, self.work.take()) else { return };
        let outcome = fence::run(work).map_err(Panic::into_payload);
        // A loop that was closed in the meantime wants no outcome.
        let _ = self.remote.call_soon_threadsafe(move |event_loop| {
            event_loop.core().jobs.finish(event_loop.core(), id, outcome);
        });
    }
}

impl<F: FnOnce() -> BoxedResult + Send + 'static> Drop for RemoteWork<F> {
    fn drop(&mut self) {
        let (id, Some(work)) = (self.id, self.work.take()) else { return };
        if let Some(core) = self.remote.core_here() {
            core.jobs.forget(&core, id);
            core.drop_user(work, "job");
            return;
        }
        let _ = self.remote.call_soon_threadsafe(move |event_loop| {
            let core = event_loop.core();
            core.jobs.forget(core, id);
            core.drop_user(work, "job");
        });
    }
}

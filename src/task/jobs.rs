//! Work that blocks, off the loop's thread.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::executor::{Job, ThreadPool};
use super::future::{LoopFuture, future};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop};
use crate::fence::{self, Panic};

/// The jobs of a loop that run on its threads, or wait for one.
pub(crate) struct Jobs {
    pool: RefCell<Option<ThreadPool>>,
    threads: usize,
    /// Who waits for each job's outcome.
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    next: Cell<u64>,
}

/// A panic is an outcome too.
type Outcome = std::thread::Result<Box<dyn Any + Send>>;

struct Waiting {
    deliver: Box<dyn FnOnce(Outcome)>,
    job: Option<Job>,
}

impl Jobs {
    pub(crate) fn new(threads: usize) -> Self {
        Self { pool: RefCell::new(None), threads, waiting: RefCell::default(), next: Cell::new(0) }
    }

    /// Jobs that have not begun are dropped; nobody waits for those that run.
    pub(crate) fn close(&self, core: &Core) {
        self.drop_waiting(core);
        let pool = self.pool.borrow_mut().take();
        drop(pool);
        let running = std::mem::take(&mut *self.waiting.borrow_mut());
        for (_, waiting) in running {
            core.drop_user(waiting, "job");
        }
    }

    /// Drops the jobs that have not begun: their futures end cancelled.
    fn drop_waiting(&self, core: &Core) {
        let ids: Vec<u64> = self.waiting.borrow().keys().copied().collect();
        for id in ids {
            let work = match self.waiting.borrow().get(&id) {
                Some(Waiting { job: Some(job), .. }) => job.cancel(),
                _ => None,
            };
            if let Some(work) = work {
                let waiting = self.waiting.borrow_mut().remove(&id);
                core.drop_user(work, "job");
                core.drop_user(waiting, "job");
            }
        }
    }

    fn submit(
        &self,
        core: &Rc<Core>,
        id: u64,
        work: impl FnOnce() -> Box<dyn Any + Send> + Send + 'static,
    ) -> Result<Job, Error> {
        let remote = core.remote();
        let work = move || {
            let outcome = fence::run(work).map_err(Panic::into_payload);
            // A loop that was closed in the meantime wants no outcome.
            let _ = remote.call_soon_threadsafe(move |event_loop| {
                event_loop.core().jobs.finish(event_loop.core(), id, outcome);
            });
        };
        let submitted = {
            let mut pool = self.pool.borrow_mut();
            let pool = pool.get_or_insert_with(|| ThreadPool::new(self.threads));
            pool.submit(Box::new(work))
        };
        submitted.map_err(|rejected| {
            core.drop_user(rejected.work, "job");
            Error::new(Kind::Closed, rejected.reason.to_string())
        })
    }

    fn finish(&self, core: &Core, id: u64, outcome: Outcome) {
        let waiting = self.waiting.borrow_mut().remove(&id);
        match (waiting, outcome) {
            (Some(waiting), outcome) => (waiting.deliver)(outcome),
            (None, Ok(value)) => core.drop_user(value, "result"),
            (None, Err(panic)) => drop(Panic::from_payload(panic)),
        }
    }

    fn cancel(&self, core: &Core, id: u64) {
        let waiting = self.waiting.borrow_mut().remove(&id);
        if let Some(job) = waiting.and_then(|waiting| waiting.job) {
            core.drop_user(job.cancel(), "job");
        }
    }
}

/// # Work that blocks
impl EventLoop {
    /// Runs `work`, which may block, on a thread of the loop's pool.
    ///
    /// The pool is bounded (see [`EventLoopBuilder::executor_threads`]); work waits for a free
    /// thread, first come, first served. Cancelling keeps work that has not begun from running. On
    /// a loop in memory the work runs on the loop's own thread, so that runs stay equal.
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
        run_in_executor(self.core(), work)
    }

    /// Drops the jobs that have not begun, whose futures end cancelled, and waits for the running
    /// ones, for at most `timeout`. Returns whether all have ended.
    ///
    /// It blocks the calling thread: for the end of a program, after the last run. A later
    /// `run_in_executor` starts a pool anew.
    pub fn shutdown_default_executor(&self, timeout: Duration) -> bool {
        let jobs = &self.core().jobs;
        let pool = jobs.pool.borrow_mut().take();
        jobs.drop_waiting(self.core());
        match pool {
            Some(pool) => {
                for work in pool.shutdown() {
                    self.core().drop_user(work, "job");
                }
                pool.join(timeout)
            }
            None => true,
        }
    }
}

pub(crate) fn run_in_executor<T, F>(core: &Rc<Core>, work: F) -> LoopFuture<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (promise, result) = future(core);
    if let Err(error) = core.check_open() {
        promise.set(Err(error));
        return result;
    }
    if core.driver.runs_jobs_inline() {
        EventLoop::from_core(Rc::clone(core)).call_soon(move || {
            if promise.is_cancelled() {
                return;
            }
            promise.set(fence::run(work).map_err(Panic::into_error));
        });
        return result;
    }
    let id = core.jobs.next.replace(core.jobs.next.get() + 1);
    promise.on_cancel_at_once({
        let core = Rc::clone(core);
        move || core.jobs.cancel(&core, id)
    });
    match core.jobs.submit(core, id, move || Box::new(work())) {
        Err(error) => promise.set(Err(error)),
        Ok(job) => {
            let deliver = move |outcome: Outcome| {
                promise.set(match outcome {
                    Ok(value) => value
                        .downcast::<T>()
                        .map(|value| *value)
                        .map_err(|_| Error::invalid("a job gave a value of another type")),
                    Err(panic) => Err(Panic::from_payload(panic).into_error()),
                });
            };
            let waiting = Waiting { deliver: Box::new(deliver), job: Some(job) };
            core.jobs.waiting.borrow_mut().insert(id, waiting);
        }
    }
    result
}

//! The pool that a loop's jobs run on, unless they are given another.

use std::cell::RefCell;
use std::time::Duration;

use super::executor::Executor;
use super::pool::deadline;
use crate::event_loop::EventLoop;

/// A loop's own pool, and the one that was put in its place.
pub(super) struct Pools {
    /// The loop's own, once there was work for it.
    own: RefCell<Option<Executor>>,
    threads: usize,
    chosen: RefCell<Option<Executor>>,
}

impl Pools {
    pub(super) fn new(threads: usize) -> Self {
        Self { own: RefCell::new(None), threads, chosen: RefCell::new(None) }
    }

    /// The loop's own pool.
    pub(super) fn own(&self) -> Executor {
        let mut own = self.own.borrow_mut();
        own.get_or_insert_with(|| Executor::new(self.threads)).clone()
    }

    /// The pool of who has put one in the place of the loop's.
    pub(super) fn chosen(&self) -> Option<Executor> {
        self.chosen.borrow().clone()
    }

    pub(super) fn close(&self) {
        let (own, chosen) = (self.own.take(), self.chosen.take());
        drop((own, chosen));
    }
}

/// # Work that blocks
impl EventLoop {
    /// Has jobs run on `executor` from now on, unless they are given another one; with `None` on the loop's own pool
    /// again. asyncio's `set_default_executor`.
    ///
    /// What was handed in before stays where it is. Files keep to the loop's own pool: a queue that is full must not
    /// fail them. In memory jobs run on the loop's thread all the same.
    ///
    /// The pool stays its owner's, who may share it with other loops: a loop that ends waits for its own jobs there, and
    /// does not shut it down, as asyncio would. On a loop that is closed this does nothing.
    ///
    /// ```
    /// use wharf::{EventLoop, Executor, Result};
    ///
    /// fn main() -> Result {
    ///     let workers = Executor::builder().max_threads(2).thread_name("worker").build()?;
    ///     EventLoop::new()?.run(async |event_loop| {
    ///         event_loop.set_default_executor(&workers);
    ///         let name = || std::thread::current().name().map(str::to_owned);
    ///         assert_eq!(event_loop.run_in_executor(name).await?.as_deref(), Some("worker-0"));
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn set_default_executor<'e>(&self, executor: impl Into<Option<&'e Executor>>) {
        if self.is_closed() {
            return;
        }
        let chosen = executor.into().cloned();
        let before = self.core().jobs.pools.chosen.replace(chosen);
        drop(before);
    }

    /// Drops the jobs of the default pool that have not begun, whose futures end cancelled, and waits for
    /// the running ones, for at most `timeout`. Returns whether all have ended.
    ///
    /// It blocks the calling thread: for the end of a program, after the last run. A later
    /// `run_in_executor` starts a pool anew.
    ///
    /// The loop's own pool is shut down. Of one that was [put in its place](Self::set_default_executor) this
    /// is about this loop's jobs alone, and it stays the default.
    pub fn shutdown_default_executor(&self, timeout: Duration) -> bool {
        let core = self.core();
        let until = deadline(timeout);
        let (own, chosen) = (core.jobs.pools.own.take(), core.jobs.pools.chosen());
        for executor in own.iter().chain(&chosen) {
            core.jobs.drop_waiting_of(core, executor);
        }
        let own_has_ended = own.is_none_or(|own| own.shutdown(timeout));
        let chosen_has_ended = chosen.is_none_or(|chosen| core.jobs.join(&chosen, until));
        own_has_ended && chosen_has_ended
    }
}

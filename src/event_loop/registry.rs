//! The loops of this thread: the one that runs, and all others, so that a waker, which has to be
//! `Send`, finds its loop without a lock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::{Core, EventLoop, Ready, RemoteItem, RemoteQueue};
use crate::error::Error;

thread_local! {
    static LOOPS: RefCell<Loops> = const { RefCell::new(Loops { known: BTreeMap::new(), looked_at: 0 }) };
    /// The loop whose callbacks run now.
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// The loops of this thread, by their queues. Nothing depends on the order.
struct Loops {
    known: BTreeMap<*const RemoteQueue, Weak<Core>>,
    /// How many there were when those that are gone were dropped.
    looked_at: usize,
}

/// # The current loop
impl EventLoop {
    /// The loop that is running on this thread: the one whose callback or task asks.
    ///
    /// For code that is not given the loop, such as [`spawn`](crate::spawn) and [`sleep`](crate::sleep).
    /// Callbacks have [`Transport::event_loop`](crate::Transport::event_loop) as well. asyncio's
    /// `get_running_loop`.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// EventLoop::new()?.run(async |_| {
    ///     let event_loop = EventLoop::current()?;
    ///     event_loop.create_task(async { println!("hello") }).await?;
    ///     Ok(())
    /// })?;
    /// assert!(EventLoop::current().is_err_and(|error| error.is_invalid()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when no loop is running on this thread: outside of a run, and on
    /// the threads of [`run_in_executor`](Self::run_in_executor).
    #[doc(alias("get_running_loop", "get_event_loop", "Handle"))]
    pub fn current() -> Result<Self, Error> {
        match current() {
            Some(core) => Ok(Self::from_core(core)),
            None => Err(Error::invalid(NONE_RUNS)),
        }
    }
}

/// What code is told that needs a loop where none runs.
pub(crate) const NONE_RUNS: &str = "no event loop is running on this thread";

pub(crate) fn current() -> Option<Rc<Core>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The loop that runs, for the function `wharf::NAME`, which panics where there is none.
#[track_caller]
pub(crate) fn expect_current(name: &str) -> EventLoop {
    match current() {
        Some(core) => EventLoop::from_core(core),
        None => panic_without_loop(name, Location::caller()),
    }
}

#[cold]
#[track_caller]
fn panic_without_loop(name: &str, caller: &Location<'_>) -> ! {
    panic!(
        "`wharf::{name}` was called at {caller}, but {NONE_RUNS}: call it in a callback or task of one, \
         or in `EventLoop::run`"
    )
}

/// Makes a loop the current one for as long as this lives.
pub(crate) struct Current {
    former: Option<Rc<Core>>,
}

impl Current {
    pub(crate) fn enter(core: &Rc<Core>) -> Self {
        Self { former: replace(Some(Rc::clone(core))) }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        let left = replace(self.former.take());
        drop(left);
    }
}

fn replace(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    CURRENT.try_with(|current| current.replace(core)).ok().flatten()
}

/// Makes a new loop known on its thread.
pub(crate) fn enter(core: &Rc<Core>) {
    LOOPS.with_borrow_mut(|loops| {
        // Not each time: there may be thousands.
        if loops.known.len() >= 2 * loops.looked_at + 8 {
            loops.known.retain(|_, known| known.strong_count() > 0);
            loops.looked_at = loops.known.len();
        }
        loops.known.insert(Arc::as_ptr(&core.remote), Rc::downgrade(core));
    });
}

/// A task's next step, with the queue of its loop. That is not captured by the closure which schedules it: for one
/// that captures anything, `async_task` counts another reference each time.
pub(crate) type Runnable = async_task::Runnable<Arc<RemoteQueue>>;

/// Schedules a task's next step: on its own thread by the ready list, from others through the
/// queue.
#[inline]
pub(crate) fn schedule(runnable: Runnable) {
    let mut runnable = Some(runnable);
    // Nearly always the loop that runs: it need not be looked for.
    let _ = CURRENT.try_with(|current| {
        if let Some(core) = &*current.borrow()
            && let Some(own) = runnable.take_if(|own| Arc::ptr_eq(&core.remote, own.metadata()))
        {
            core.push_ready(Ready::Task(own));
        }
    });
    if let Some(runnable) = runnable {
        schedule_elsewhere(runnable);
    }
}

#[cold]
fn schedule_elsewhere(runnable: Runnable) {
    let queue = Arc::clone(runnable.metadata());
    match find(&queue) {
        Some(core) => core.push_ready(Ready::Task(runnable)),
        None => {
            if let Err(RemoteItem::Task(runnable)) = queue.push(RemoteItem::Task(runnable)) {
                // A closed loop has run all its tasks to their ends, so none is left to schedule.
                // Were there one, it must not be dropped here: it belongs to the loop's thread.
                std::mem::forget(runnable);
            }
        }
    }
}

/// The loop of this thread that `queue` leads to, if it is one of this thread.
pub(crate) fn find(queue: &Arc<RemoteQueue>) -> Option<Rc<Core>> {
    let find = |loops: &RefCell<Loops>| loops.borrow().known.get(&Arc::as_ptr(queue))?.upgrade();
    LOOPS.try_with(find).ok().flatten()
}

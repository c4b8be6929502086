//! The end of a program: what was written is sent before the loop closes.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::run::{NoMain, Running, poll_failed};
use super::{EventLoop, EventLoopBuilder};
use crate::driver::Key;
use crate::error::{Error, Result};

/// How soon peers are looked at again that have not acknowledged everything, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How often tasks are cancelled that others have started when they were: more of them end as the loop closes.
const MOST_GENERATIONS: u32 = 64;

/// Runs a program: makes a loop, runs `main` on it, and closes it in good order. asyncio's `asyncio.run`.
///
/// When `main` is over, however it ended, the loop is closed as by [`EventLoop::close_gracefully`], with five
/// seconds for what was written. [`EventLoop::builder`] has options, and the same
/// [`run`](EventLoopBuilder::run). A panic of `main` goes through to the caller, and the loop is closed at once.
///
/// `SIGINT` (Control-C) ends `main` as with [`EventLoop::run`].
///
/// ```
/// use std::time::Duration;
///
/// fn main() -> wharf::Result {
///     wharf::run(async |_| {
///         wharf::sleep(Duration::from_millis(1)).await;
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
/// What `main` returned; and, as [`Error`], those of [`EventLoop::new`], [`EventLoop::run`] and
/// [`EventLoop::close_gracefully`].
#[doc(alias("block_on", "Runner", "main"))]
pub fn run<T>(main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> Result<T> {
    EventLoopBuilder::default().run(main)
}

/// # Running
impl EventLoop {
    /// Closes the loop in good order, within `grace`. Returns how many connections were cut off.
    ///
    /// In this order:
    /// - Every task that is left is cancelled, and driven to its end; so are those that these start. If they never
    ///   cease to, the last ones end when the loop is closed.
    /// - Servers stop listening, and every connection and endpoint is closed as by its `close`: what was written
    ///   is sent, and `connection_lost` follows. The loop runs meanwhile. It also waits until the peers have
    ///   acknowledged everything, as far as the system tells.
    /// - Jobs of [`run_in_executor`](Self::run_in_executor) that have not begun are dropped. Those that run are
    ///   told ([`CancelFlag`](crate::CancelFlag)), and waited for.
    /// - The loop is closed ([`close`](Self::close)): what has not ended by then is aborted.
    ///
    /// A connection that takes its time, because its peer does not read, has until `grace` is over, and is then
    /// cut off. What begins meanwhile is not waited for. A [`stop`](Self::stop) does not shorten it. With a
    /// `grace` of zero this is `close`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::EventLoop;
    ///
    /// # fn main() -> wharf::Result {
    /// let event_loop = EventLoop::new()?;
    /// event_loop.run(async |_| Ok(()))?;
    /// assert_eq!(event_loop.close_gracefully(Duration::from_secs(3))?, 0);
    /// assert!(event_loop.is_closed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) while the loop runs, inside a protocol's callback, and while another
    /// loop runs on this thread; nothing is closed then. When the loop could not poll, it is closed at once. A
    /// second call changes nothing.
    #[doc(alias("shutdown", "asyncio.run", "shutdown_asyncgens"))]
    pub fn close_gracefully(&self, grace: Duration) -> Result<usize, Error> {
        if self.is_closed() {
            return Ok(0);
        }
        self.check_closable()?;
        let core = self.core();
        let until = core.after(grace);
        let outcome = {
            let _running = Running::begin(core)?;
            core.wind_down(until)
        };
        let left = Duration::from_nanos(until.saturating_sub(core.now()));
        core.jobs.tell_that_nobody_waits();
        self.shutdown_default_executor(left);
        self.close()?;
        outcome
    }
}

impl Core {
    /// Ends what there is in good order, by `until`. Returns how many connections were not over by then.
    fn wind_down(self: &Rc<Self>, until: u64) -> Result<usize, Error> {
        self.end_tasks(until)?;
        let closing = self.close_entries(until);
        let event_loop = EventLoop::from_core(Rc::clone(self));
        // So that no poll waits for longer.
        let deadline = event_loop.call_at(self.instant(until), || {});
        let outcome = self.wait_for_closed(&event_loop, closing, until);
        deadline.cancel();
        outcome
    }

    /// Cancels every task, and those that they start when they end.
    fn end_tasks(self: &Rc<Self>, until: u64) -> Result<(), Error> {
        let mut generations = 0;
        self.go_on(|| {
            while !self.tasks.is_empty() && !self.is_late(until) && generations < MOST_GENERATIONS {
                generations += 1;
                self.tasks.cancel_all();
                self.turn(false)?;
            }
            Ok(())
        })
    }

    /// Closes all that is open, and returns what is not over at once.
    fn close_entries(self: &Rc<Self>, until: u64) -> Vec<Key> {
        let mut closing: Vec<Key> = self.slots.borrow().keys().collect();
        if !self.is_late(until) {
            closing.retain(|key| {
                let entry = self.slots.borrow().entry(*key).cloned();
                entry.is_some_and(|entry| {
                    let takes_time = entry.wind_down(self);
                    self.drop_user(entry, "transport");
                    takes_time
                })
            });
        }
        closing
    }

    /// Runs the loop until nothing of `closing` is open, and all that was sent is acknowledged. Returns how many
    /// connections were not so far by `until`.
    fn wait_for_closed(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        mut closing: Vec<Key>,
        until: u64,
    ) -> Result<usize, Error> {
        let mut pause = FIRST_PAUSE;
        self.go_on(|| {
            loop {
                while closing.last().is_some_and(|key| !self.is_open(*key)) {
                    closing.pop();
                }
                if self.is_late(until) {
                    closing.retain(|key| self.is_open(*key));
                    return Ok(closing.len() + self.give_up_unfinished_lingering(None));
                }
                if !closing.is_empty() {
                    self.turn(true)?;
                    continue;
                }
                if self.unfinished_lingering(None) == 0 {
                    return Ok(0);
                }
                let looking = event_loop.call_later(pause, || {});
                pause = (2 * pause).min(LONGEST_PAUSE);
                self.turn(true)?;
                looking.cancel();
            }
        })
    }

    /// A tick, whether or not a callback has asked for a stop.
    fn turn(self: &Rc<Self>, may_wait: bool) -> Result<(), Error> {
        self.stopping.set(false);
        self.tick(may_wait, &mut NoMain).map_err(poll_failed)
    }

    /// The grace is over, or the owner was dropped, which closes the loop at once.
    fn is_late(&self, until: u64) -> bool {
        self.close_wanted.get() || self.now() >= until
    }

    fn is_open(&self, key: Key) -> bool {
        self.stream(key).is_some() || self.datagram_endpoint(key).is_some()
    }
}

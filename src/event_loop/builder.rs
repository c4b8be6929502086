//! Options of a loop.

use std::time::Duration;

use crate::driver::Driver;
use crate::error::{Error, Result};

use super::{Core, EventLoop};

/// # Making a loop
impl EventLoop {
    /// A new loop on the operating system's readiness and clock.
    ///
    /// # Errors
    /// What the operating system says, as when no file descriptor is left.
    #[doc(alias("new_event_loop"))]
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A new loop with options.
    pub fn builder() -> EventLoopBuilder {
        EventLoopBuilder::default()
    }
}

/// Options of an [`EventLoop`] to be made.
///
/// ```
/// use wharf::EventLoop;
///
/// let event_loop = EventLoop::builder().executor_threads(2).resolver_threads(4).build()?;
/// # event_loop.close()?;
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `build`"]
pub struct EventLoopBuilder {
    spin: u32,
    executor_threads: usize,
    resolver_threads: usize,
    interruptible: bool,
    exit_grace: Duration,
}

impl EventLoopBuilder {
    /// Polls up to `polls` times without waiting before it goes to sleep.
    ///
    /// Lowers the latency of a loop with few busy connections, at the cost of CPU time while it is
    /// idle; no gain with many connections. Off (0) by default.
    pub fn spin(mut self, polls: u32) -> Self {
        self.spin = polls;
        self
    }

    /// The most threads that run `run_in_executor` jobs and read and write files; at least 1, 8 by
    /// default. They are started when there is work for them, and end when there is none.
    pub fn executor_threads(mut self, threads: usize) -> Self {
        self.executor_threads = threads.max(1);
        self
    }

    /// The most threads that look up names; at least 1, 32 by default. They are started when there
    /// is work for them, and end when there is none.
    ///
    /// A look-up takes a thread until the resolver answers, which for a name whose servers are dead
    /// can be many seconds. So that such names do not stop the others, a name that is looked up
    /// already is not looked up a second time, and all names under one domain (the last two labels)
    /// together get at most a quarter of the threads; the others of them wait. That holds for
    /// registries of two labels, too: all names under `co.uk` are one domain. Addresses take no
    /// thread, and when all are busy one more looks up what `/etc/hosts` has. A connect's timeout
    /// gives up its place in the queue.
    pub fn resolver_threads(mut self, threads: usize) -> Self {
        self.resolver_threads = threads.max(1);
        self
    }

    /// Whether `SIGINT` may end a [`run`](EventLoop::run) of this loop; it may by default.
    pub fn interruptible(mut self, interruptible: bool) -> Self {
        self.interruptible = interruptible;
        self
    }

    /// How long [`run`](Self::run) lets connections send what was written, once `main` is over; 5 seconds by
    /// default.
    pub fn exit_grace(mut self, grace: Duration) -> Self {
        self.exit_grace = grace;
        self
    }

    /// Makes a loop, runs `main` on it, and closes it in good order: [`wharf::run`](crate::run) with options.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::EventLoop;
    ///
    /// fn main() -> wharf::Result {
    ///     let program = EventLoop::builder().executor_threads(2).exit_grace(Duration::from_secs(1));
    ///     program.run(async |event_loop| {
    ///         assert_eq!(event_loop.run_in_executor(|| 6 * 7).await?, 42);
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`wharf::run`](crate::run).
    pub fn run<T>(self, main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> Result<T> {
        let grace = self.exit_grace;
        let event_loop = self.build()?;
        let outcome = event_loop.run(main);
        let closed = event_loop.close_gracefully(grace);
        let output = outcome?;
        closed?;
        Ok(output)
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// What the operating system says, as when no file descriptor is left. [`is_invalid`](Error::is_invalid) for a
    /// grace of zero.
    pub fn build(self) -> Result<EventLoop, Error> {
        Error::refuse_zero("the grace at the exit", Some(self.exit_grace))?;
        let driver = Driver::system(self.spin)
            .map_err(|error| Error::io("an event loop could not be made", error))?;
        let core = Core::new(driver, self.executor_threads, self.resolver_threads);
        core.is_interruptible.set(self.interruptible);
        Ok(EventLoop::owner(core))
    }
}

impl Default for EventLoopBuilder {
    fn default() -> Self {
        Self {
            spin: 0,
            executor_threads: 8,
            resolver_threads: 32,
            interruptible: true,
            exit_grace: Duration::from_secs(5),
        }
    }
}

//! Options of a loop.

use crate::driver::Driver;
use crate::driver::os::OsDriver;
use crate::error::Error;

use super::{Core, EventLoop};

/// Options of an [`EventLoop`] to be made.
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `build`"]
pub struct EventLoopBuilder {
    spin: u32,
    executor_threads: usize,
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

    /// The most threads that resolve names and run `run_in_executor` jobs; at least 1, 8 by
    /// default. They are started when there is work for them, and end when there is none.
    pub fn executor_threads(mut self, threads: usize) -> Self {
        self.executor_threads = threads.max(1);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// What the operating system says, as when no file descriptor is left.
    pub fn build(self) -> Result<EventLoop, Error> {
        let driver = OsDriver::new(self.spin)
            .map_err(|error| Error::io("an event loop could not be made", error))?;
        Ok(EventLoop::owner(Core::new(Driver::Os(driver), self.executor_threads)))
    }
}

impl Default for EventLoopBuilder {
    fn default() -> Self {
        Self { spin: 0, executor_threads: 8 }
    }
}

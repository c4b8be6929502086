//! The engine.

mod builder;
mod callbacks;
mod closing;
mod core;
mod entries;
mod exceptions;
pub(crate) mod fence;
mod lingering;
#[cfg(feature = "log")]
mod log;
mod network_loop;
mod ready;
pub(crate) mod registry;
mod remote;
mod run;
mod signals;
mod slots;
mod statistics;
mod tick;
mod wait;
mod watch;

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Error;
use crate::thread_bound::{ThreadBound, UseRemote};

pub use self::builder::EventLoopBuilder;
pub use self::callbacks::{CallbackHandle, TimerHandle};
pub use self::exceptions::{Exception, FailedCallback};
#[cfg(feature = "log")]
pub use self::log::log_exception;
pub use self::remote::{Remote, RemoteHandle};
pub use self::statistics::LoopStatistics;

pub(crate) use self::callbacks::Cancellable;
pub(crate) use self::core::{Core, State, closed, nanoseconds};
pub(crate) use self::entries::{Entry, Ready, ServerCore, Source};
pub(crate) use self::exceptions::{Failing, SlowWatch};
pub(crate) use self::fence::{Guarded, unfenced_panics};
pub(crate) use self::ready::{Callback, Timer};
pub(crate) use self::remote::{RemoteItem, RemoteQueue, TAKEN_AT_ONCE};
pub(crate) use self::wait::{Direction, Wait};

/// The event loop: it waits for readiness and for time, and calls what is due.
///
/// A clone is a cheap reference to the same loop, and cannot leave its thread. The value that
/// [`new`](Self::new) gave owns the loop: dropping it closes the loop; clones do not keep it open.
/// Dropped by a callback of the loop itself, it stops the loop, which closes when the run ends.
///
/// # One tick
/// Poll; append what other threads sent, and the timers that are due, to the ready list; then up to
/// 64 rounds. The first is what the poll's events say, then what was in the ready list; each other
/// one is just what was in the ready list at its start. After each round connections that were
/// written to from elsewhere are flushed; after the last, `connection_lost` is delivered to those
/// that are over. What is scheduled in a round runs in the next one.
#[doc(alias("reactor", "Runtime", "LocalSet", "AbstractEventLoop", "get_event_loop"))]
pub struct EventLoop {
    core: Rc<Core>,
    /// Whether dropping this value closes the loop.
    owner: bool,
    bound: ThreadBound<UseRemote>,
}

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

    pub(crate) fn owner(core: Rc<Core>) -> Self {
        Self { core, owner: true, bound: PhantomData }
    }

    pub(crate) fn from_core(core: Rc<Core>) -> Self {
        Self { core, owner: false, bound: PhantomData }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }
}

/// # State
impl EventLoop {
    /// Whether the loop is running: a callback or a task of it is asking.
    pub fn is_running(&self) -> bool {
        self.core.state.get() == State::Running
    }

    /// Whether the loop is closed. What is asked of it is then refused or does nothing.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Has callbacks that take `limit` or longer reported to the exception handler; `None`: none.
    ///
    /// Off by default: it reads the clock twice a callback. asyncio's `slow_callback_duration`.
    #[doc(alias("slow_callback_duration", "set_debug"))]
    pub fn set_slow_callback_duration(&self, limit: impl Into<Option<Duration>>) {
        self.core.slow_callback.set(limit.into());
    }
}

impl Clone for EventLoop {
    fn clone(&self) -> Self {
        Self::from_core(Rc::clone(&self.core))
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.owner {
            self.core.close_when_idle();
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventLoop")
            .field("driver", &self.core.driver)
            .field("state", &self.core.state.get())
            .finish()
    }
}

//! The engine.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod builder;

mod run;

mod ending;

pub(crate) mod registry;

mod callbacks;

mod watch;

mod wait;

mod signals;

mod remote;

mod exceptions;

mod statistics;

mod closing;
mod core;
mod entries;
pub(crate) mod fence;
mod lingering;
#[cfg(feature = "log")]
mod log;
mod network_loop;
mod read_buffer;
mod ready;
mod round_clock;
mod slots;
mod tick;
mod timers;
mod unserved;
mod waker_slot;
mod wakers;

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use crate::thread_bound::{ThreadBound, UseRemote};

pub use self::builder::EventLoopBuilder;
pub use self::callbacks::{CallbackHandle, TimerHandle};
pub use self::ending::run;
pub use self::exceptions::{Exception, ProtocolCallback};
#[cfg(feature = "log")]
pub use self::log::log_exception;
pub use self::remote::{Remote, RemoteHandle};
pub use self::signals::SignalStream;
pub use self::statistics::LoopStatistics;

pub(crate) use self::callbacks::Cancellable;
pub(crate) use self::core::{Core, closed};
pub(crate) use self::entries::{Entry, ListenerFacts, Ready, ServerCore, Source};
pub(crate) use self::exceptions::{SlowWatch, Subject, print};
pub(crate) use self::fence::{Guarded, unfenced_panics};
pub(crate) use self::ready::{Callback, Timer};
pub(crate) use self::remote::{RemoteItem, RemoteQueue, TAKEN_AT_ONCE};
pub(crate) use self::timers::nanoseconds;
pub(crate) use self::wait::{Direction, Wait};
pub(crate) use self::waker_slot::WakerSlot;
pub(crate) use self::wakers::{Ticket, Wakers};

/// The event loop: it waits for readiness and for time, and calls what is due.
///
/// A clone is a cheap reference to the same loop, and cannot leave its thread. The value that
/// [`new`](Self::new) gave owns the loop: dropping it closes the loop; clones do not keep it open.
/// Dropped by a callback of the loop itself, it stops the loop, which closes when the run ends.
///
/// A loop, a timer and a task; see [`run`](Self::run) for a whole program, and the crate's front page for a server:
///
/// ```
/// use std::time::Duration;
/// use wharf::{EventLoop, Result};
///
/// fn main() -> Result {
///     let event_loop = EventLoop::new()?;
///     event_loop.call_later(Duration::from_millis(2), || println!("two milliseconds later"));
///     event_loop.run(async |event_loop| {
///         let task = event_loop.create_task(async { 6 * 7 });
///         assert_eq!(task.await?, 42);
///         event_loop.sleep(Duration::from_millis(3)).await;
///         Ok(())
///     })
/// }
/// ```
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

impl EventLoop {
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
        self.core.is_running()
    }

    /// Whether the loop is closed. What is asked of it is then refused or does nothing.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Reports callbacks that take `limit` or longer to the exception handler; `None`: none.
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

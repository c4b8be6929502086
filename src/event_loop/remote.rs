//! The way into the loop from other threads.

mod cancel;
mod queue;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use self::cancel::CallState;
use self::queue::{Queue, WakeUp};
use super::registry::Runnable;
use super::{Core, EventLoop, registry};
use crate::driver::Waker;
use crate::error::Error;

/// What the queue is made of; in the models of `tests/loom` it is loom's.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

/// A way into an event loop from any thread.
///
/// Cheap to clone, and it does not keep the loop open.
///
/// ```
/// use std::thread;
/// use wharf::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// let remote = event_loop.remote();
/// let worker = thread::spawn(move || {
///     let answer = 6 * 7;
///     remote.call_soon_threadsafe(move |event_loop| {
///         // On the loop's thread: everything is allowed here.
///         assert_eq!(answer, 42);
///         event_loop.stop();
///     })
/// });
/// event_loop.run_forever()?;
/// worker.join().expect("it does not panic")?;
/// # Ok::<(), wharf::Error>(())
/// ```
///
/// Another thread writes to a connection by its id, which may go anywhere, as handles may not:
///
/// ```
/// use wharf::{EventLoop, Remote, Result, Transport, TransportId};
///
/// fn notify(remote: &Remote, id: TransportId, text: String) -> Result<(), wharf::Error> {
///     remote.call_soon_threadsafe(move |event_loop| {
///         if let Some(transport) = event_loop.transport(id) {
///             transport.write(text.as_bytes());
///         }
///     })?;
///     Ok(())
/// }
/// # let _ = notify;
/// ```
#[derive(Clone)]
pub struct Remote {
    queue: Arc<RemoteQueue>,
}

impl Remote {
    /// Calls `callback` on the loop's thread, in the order of these calls, and wakes the loop.
    ///
    /// Never blocks for longer than it takes to append to a list; wake-ups are coalesced, so that
    /// many calls in a row cost one system call.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the loop is closed. `callback` is then dropped here.
    #[doc(alias("callFromThread", "run_coroutine_threadsafe"))]
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce(&EventLoop) + Send + 'static,
    ) -> Result<RemoteHandle, Error> {
        let handle = RemoteHandle { state: Arc::new(CallState::new()) };
        let call = RemoteCall { state: Arc::clone(&handle.state), callback: Box::new(callback) };
        match self.queue.push(RemoteItem::Call(call)) {
            Ok(()) => Ok(handle),
            Err(_) => Err(super::core::closed()),
        }
    }

    /// Whether the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// The loop, if this is its thread.
    pub(crate) fn core_here(&self) -> Option<Rc<Core>> {
        registry::find(&self.queue)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Remote").field("is_closed", &self.is_closed()).finish()
    }
}

/// A callback that was given to a loop from another thread.
///
/// ```
/// let event_loop = wharf::EventLoop::new()?;
/// let handle = event_loop.remote().call_soon_threadsafe(|_| unreachable!("it was cancelled"))?;
/// assert!(handle.cancel(), "it had not begun");
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RemoteHandle {
    state: Arc<CallState>,
}

impl RemoteHandle {
    /// Keeps the callback from being called. Returns whether it was in time.
    ///
    /// It does not wait for a callback that has begun.
    pub fn cancel(&self) -> bool {
        self.state.cancel()
    }

    /// Whether it was cancelled before it began.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }
}

/// What other threads ask of a loop.
pub(crate) enum RemoteItem {
    Call(RemoteCall),
    Task(Runnable),
}

pub(crate) struct RemoteCall {
    state: Arc<CallState>,
    callback: Box<dyn FnOnce(&EventLoop) + Send>,
}

impl RemoteCall {
    pub(crate) fn run(self, event_loop: &EventLoop) {
        if self.state.start() {
            (self.callback)(event_loop);
        }
    }
}

/// How much of the queue one tick takes: threads that append faster than the loop works it off
/// would else keep it from its timers and its sockets, each tick longer than the last.
pub(crate) const TAKEN_AT_ONCE: usize = 4096;

/// The queue that other threads append to, and the wake-up that goes with it.
pub(crate) type RemoteQueue = Queue<RemoteItem, Waker>;

impl WakeUp for Waker {
    fn wake_up(&self) {
        self.wake();
    }
}

/// # Other threads
///
/// An `EventLoop` and its handles stay on their thread. Other threads reach the loop by its [`Remote`].
impl EventLoop {
    /// A way into this loop from other threads.
    #[doc(alias("call_soon_threadsafe", "callFromThread"))]
    pub fn remote(&self) -> Remote {
        Remote { queue: Arc::clone(&self.core().remote) }
    }
}

impl Core {
    pub(crate) fn remote(&self) -> Remote {
        Remote { queue: Arc::clone(&self.remote) }
    }
}

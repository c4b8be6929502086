//! The way into the loop from other threads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_task::Runnable;

use super::{Core, EventLoop};
use crate::driver::Waker;
use crate::error::Error;

/// A way into an event loop from any thread.
///
/// Cheap to clone, and it does not keep the loop open.
#[derive(Clone)]
pub struct Remote {
    queue: Arc<RemoteQueue>,
}

impl Remote {
    /// Has `callback` called on the loop's thread, in the order of these calls, and wakes the loop.
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
        let handle = RemoteHandle { state: Arc::new(AtomicU8::new(PENDING)) };
        let call = RemoteCall { state: Arc::clone(&handle.state), callback: Box::new(callback) };
        match self.queue.push(RemoteItem::Call(call)) {
            Ok(()) => Ok(handle),
            Err(_) => Err(super::core::closed()),
        }
    }

    /// Whether the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Remote").field("is_closed", &self.is_closed()).finish()
    }
}

const PENDING: u8 = 0;
const STARTED: u8 = 1;
const CANCELLED: u8 = 2;

/// A callback that was given to a loop from another thread.
#[derive(Clone, Debug)]
pub struct RemoteHandle {
    state: Arc<AtomicU8>,
}

impl RemoteHandle {
    /// Keeps the callback from being called; whether it was in time.
    ///
    /// It does not wait for a callback that has begun.
    pub fn cancel(&self) -> bool {
        self.state.compare_exchange(PENDING, CANCELLED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether it was cancelled before it began.
    pub fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::Acquire) == CANCELLED
    }
}

/// What other threads ask of a loop.
pub(crate) enum RemoteItem {
    Call(RemoteCall),
    Task(Runnable),
}

pub(crate) struct RemoteCall {
    state: Arc<AtomicU8>,
    callback: Box<dyn FnOnce(&EventLoop) + Send>,
}

impl RemoteCall {
    pub(crate) fn run(self, event_loop: &EventLoop) {
        let begins = self
            .state
            .compare_exchange(PENDING, STARTED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if begins {
            (self.callback)(event_loop);
        }
    }
}

/// How much of the queue one tick takes: threads that append faster than the loop works it off
/// would else keep it from its timers and its sockets, each tick longer than the last.
const TAKEN_AT_ONCE: usize = 4096;

/// The queue that other threads append to, and the wake-up that goes with it.
///
/// A producer appends under the lock, then wakes the loop if nobody has since the loop last took
/// the queue: a woken loop takes what is there, and stays woken while anything is left.
pub(crate) struct RemoteQueue {
    items: Mutex<Items>,
    /// [`WOKEN`] and [`MAIN_WOKEN`], in one place so that a turn looks at both with one load.
    calls: AtomicU8,
    waker: Waker,
}

/// Something was appended since the queue was last taken.
const WOKEN: u8 = 1;
/// The future that the loop is run for wants to be polled.
const MAIN_WOKEN: u8 = 2;

struct Items {
    list: VecDeque<RemoteItem>,
    closed: bool,
}

impl RemoteQueue {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            items: Mutex::new(Items { list: VecDeque::new(), closed: false }),
            calls: AtomicU8::new(0),
            waker,
        }
    }

    pub(crate) fn push(&self, item: RemoteItem) -> Result<(), RemoteItem> {
        {
            let mut items = self.lock();
            if items.closed {
                return Err(item);
            }
            items.list.push_back(item);
        }
        self.wake();
        Ok(())
    }

    /// Ends the loop's poll, now or when it next polls.
    pub(crate) fn wake(&self) {
        if self.calls.fetch_or(WOKEN, Ordering::AcqRel) & WOKEN == 0 {
            self.waker.wake();
        }
    }

    /// Whether anything may have been appended since it was last taken. Costs one load.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        self.calls.load(Ordering::Acquire) & WOKEN != 0
    }

    /// Whether anything is asked of the loop: [`is_woken`](Self::is_woken) or
    /// [`is_main_woken`](Self::is_main_woken).
    #[inline]
    pub(crate) fn is_called(&self) -> bool {
        self.calls.load(Ordering::Acquire) != 0
    }

    /// Has the main future polled in the loop's next round; whether that is news.
    pub(crate) fn wake_main(&self) -> bool {
        self.calls.fetch_or(MAIN_WOKEN, Ordering::AcqRel) & MAIN_WOKEN == 0
    }

    #[inline]
    pub(crate) fn is_main_woken(&self) -> bool {
        self.calls.load(Ordering::Acquire) & MAIN_WOKEN != 0
    }

    /// To be called before the main future is polled.
    pub(crate) fn clear_main(&self) {
        self.calls.fetch_and(!MAIN_WOKEN, Ordering::AcqRel);
    }

    /// Takes what is there, as much as one tick is to have. The flag is cleared first: what is
    /// appended later wakes again.
    pub(crate) fn take(&self) -> VecDeque<RemoteItem> {
        self.calls.fetch_and(!WOKEN, Ordering::SeqCst);
        let mut items = self.lock();
        if items.list.len() <= TAKEN_AT_ONCE {
            return std::mem::take(&mut items.list);
        }
        let taken = items.list.drain(..TAKEN_AT_ONCE).collect();
        self.calls.fetch_or(WOKEN, Ordering::SeqCst);
        taken
    }

    /// Refuses everything from now on, and hands out what is left, to be dropped on this thread.
    pub(crate) fn close(&self) -> VecDeque<RemoteItem> {
        let mut items = self.lock();
        items.closed = true;
        std::mem::take(&mut items.list)
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
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

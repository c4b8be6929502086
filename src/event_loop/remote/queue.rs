//! The queue that other threads append to, and the wake-up that goes with it.
//!
//! `tests/loom` compiles this file with loom's atomics and locks in place of the standard library's
//! (`super::sync`), and runs it in every order that threads can have.

use std::collections::VecDeque;

use super::sync::{AtomicU8, Mutex, MutexGuard, Ordering, PoisonError};

/// What ends the loop's wait: the one that runs, or else the next one.
pub(crate) trait WakeUp {
    fn wake_up(&self);
}

/// A queue of `T` from any thread to the one that takes.
///
/// A producer appends under the lock, then wakes the loop if nobody has since the loop last took
/// the queue: a woken loop takes what is there, and stays woken while anything is left.
pub(crate) struct Queue<T, W> {
    items: Mutex<Items<T>>,
    /// [`WOKEN`] and [`MAIN_WOKEN`], in one place so that a tick looks at both with one load.
    calls: AtomicU8,
    waker: W,
}

/// Something was appended since the queue was last taken.
const WOKEN: u8 = 1;
/// The future that the loop is run for wants to be polled.
const MAIN_WOKEN: u8 = 2;

struct Items<T> {
    list: VecDeque<T>,
    closed: bool,
}

impl<T, W: WakeUp> Queue<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        Self {
            items: Mutex::new(Items { list: VecDeque::new(), closed: false }),
            calls: AtomicU8::new(0),
            waker,
        }
    }

    /// Appends `item` and wakes the loop. A closed queue hands the item back.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
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
            self.waker.wake_up();
        }
    }

    /// Whether anything may have been appended since it was last taken. Costs one load.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        self.calls.load(Ordering::Acquire) & WOKEN != 0
    }

    /// Whether anything is asked of the loop: [`is_woken`](Self::is_woken) or
    /// [`is_main_woken`](Self::is_main_woken). Only then it must not wait.
    #[inline]
    pub(crate) fn is_called(&self) -> bool {
        self.calls.load(Ordering::Acquire) != 0
    }

    /// Makes the loop poll the main future in its next round. What was written before is visible to
    /// that poll. The loop's own thread is awake already: only `is_elsewhere` has the loop woken.
    pub(crate) fn wake_main(&self, is_elsewhere: impl FnOnce() -> bool) {
        let first = self.calls.fetch_or(MAIN_WOKEN, Ordering::AcqRel) & MAIN_WOKEN == 0;
        if first && is_elsewhere() {
            self.wake();
        }
    }

    #[inline]
    pub(crate) fn is_main_woken(&self) -> bool {
        self.calls.load(Ordering::Acquire) & MAIN_WOKEN != 0
    }

    /// To be called before the main future is polled.
    pub(crate) fn clear_main(&self) {
        self.calls.fetch_and(!MAIN_WOKEN, Ordering::AcqRel);
    }

    /// Takes what is there, at most `most` items. The flag is cleared first: what is appended later
    /// wakes again.
    pub(crate) fn take(&self, most: usize) -> VecDeque<T> {
        self.exchange(most, VecDeque::new())
    }

    /// As [`take`](Self::take). What is appended next gets the memory of the `empty` list.
    pub(crate) fn exchange(&self, most: usize, mut empty: VecDeque<T>) -> VecDeque<T> {
        self.calls.fetch_and(!WOKEN, Ordering::SeqCst);
        let mut items = self.lock();
        if items.list.len() <= most {
            return std::mem::replace(&mut items.list, empty);
        }
        empty.extend(items.list.drain(..most));
        self.calls.fetch_or(WOKEN, Ordering::SeqCst);
        empty
    }

    /// Refuses everything from now on, and hands out what is left, to be dropped on this thread.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut items = self.lock();
        items.closed = true;
        std::mem::take(&mut items.list)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Items<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! `call_soon`, `call_later`, `call_at` and the handles they give.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::entries::Ready;
use super::ready::{Callback, Timer};
use super::{EventLoop, SlowWatch};
use crate::thread_bound::{ThreadBound, UseRemote};
use crate::time::TimerKey;

/// A callback that is going to be called.
///
/// Dropping the handle does not cancel the callback.
///
/// ```
/// let event_loop = wharf::EventLoop::new()?;
/// let handle = event_loop.call_soon(|| unreachable!("it was cancelled"));
/// handle.cancel();
/// assert!(handle.is_cancelled());
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Clone)]
pub struct CallbackHandle {
    core: Rc<Core>,
    callback: Rc<dyn Cancellable>,
    bound: ThreadBound<UseRemote>,
}

impl CallbackHandle {
    pub(crate) fn new(core: &Rc<Core>, callback: Rc<dyn Cancellable>) -> Self {
        Self { core: Rc::clone(core), callback, bound: PhantomData }
    }

    /// Keeps the callback from being called, and drops it. Later calls change nothing.
    pub fn cancel(&self) {
        self.callback.cancel(&self.core);
    }

    /// Whether it was cancelled before it was called, or its loop closed.
    pub fn is_cancelled(&self) -> bool {
        self.callback.is_cancelled()
    }
}

impl fmt::Debug for CallbackHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CallbackHandle")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

/// A callback that is going to be called at a certain time.
///
/// Dropping the handle does not cancel the callback.
///
/// A deadline that each message postpones:
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{MemoryNetwork, advance};
///
/// # fn main() -> wharf::Result {
/// let event_loop = MemoryNetwork::new().event_loop();
/// let stopper = event_loop.clone();
/// let mut deadline = event_loop.call_later(Duration::from_secs(10), move || stopper.stop());
/// advance(&event_loop, Duration::from_secs(9))?;
/// assert!(deadline.reset(Duration::from_secs(10)));
/// assert_eq!(deadline.when() - event_loop.time(), Duration::from_secs(10));
/// deadline.cancel();
/// # Ok(())
/// # }
/// ```
#[doc(alias("DelayedCall"))]
pub struct TimerHandle {
    core: Rc<Core>,
    /// `TimerKey::NONE` once it was cancelled. (A handle is kept small: reading it from memory is most
    /// of what cancelling many timers costs.)
    key: Cell<TimerKey>,
    /// In nanoseconds of the loop's time.
    when: u64,
    bound: ThreadBound<UseRemote>,
}

impl TimerHandle {
    /// Keeps the callback from being called, and drops it. Takes constant time; later calls change
    /// nothing.
    pub fn cancel(&self) {
        let timer = self.core.timers.borrow_mut().remove(self.key.get());
        if let Some(timer) = timer {
            self.key.set(TimerKey::NONE);
            self.core.drop_user(timer, "timer");
        }
    }

    /// Whether it was cancelled before it was called, or its loop closed.
    pub fn is_cancelled(&self) -> bool {
        let key = self.key.get();
        key == TimerKey::NONE || self.core.is_closed() && self.core.timers.borrow().contains(key)
    }

    /// The time it is scheduled for; it stays the same after it was called or cancelled.
    pub fn when(&self) -> Instant {
        self.core.instant(self.when)
    }

    /// Moves a callback that was not called yet, be it due already, to `delay` from now. Returns
    /// whether it still can be.
    ///
    /// Cheaper than cancelling and scheduling again: it takes constant time and no memory.
    pub fn reset(&mut self, delay: Duration) -> bool {
        let when = self.core.after(delay);
        let moved = self.core.reset_timer(self.key.get(), when);
        if moved {
            self.when = when;
        }
        moved
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TimerHandle")
            .field("when", &self.when())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

/// # Callbacks and timers
impl EventLoop {
    /// Calls `callback` in the loop's next round, first come, first served.
    ///
    /// It is never called from here. A panic in it is caught and goes to the exception handler. On
    /// a closed loop it is dropped, and the handle's `is_cancelled` says so.
    ///
    /// ```
    /// let event_loop = wharf::EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.call_soon(move || stopper.stop());
    /// event_loop.run_forever()?;
    /// # Ok::<(), wharf::Error>(())
    /// ```
    #[doc(alias("add_callback"))]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> CallbackHandle {
        let core = self.core();
        let callback = OneShot::new(callback);
        if core.is_closed() {
            callback.cancel(core);
        } else {
            core.push_ready(Ready::Callback(Rc::clone(&callback) as Rc<dyn Callback>));
        }
        CallbackHandle::new(core, callback)
    }

    /// Calls `callback` once `delay` has passed, never early.
    ///
    /// Callbacks that are due are called in the order of their deadlines, those with equal
    /// deadlines in the order in which they were scheduled. A delay of zero means the loop's next
    /// tick. Any delay is accepted; beyond 584 years it means never.
    #[doc(alias("callLater", "add_timeout"))]
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        let when = self.core().after(delay);
        self.schedule(when, callback)
    }

    /// Calls `callback` once the loop's clock has reached `when`, never early.
    ///
    /// A time in the past means the loop's next tick. See [`call_later`](Self::call_later).
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.schedule(self.core().since_start(when), callback)
    }

    /// The loop's clock: monotonic, and in virtual time on a loop in memory.
    #[doc(alias("seconds"))]
    pub fn time(&self) -> Instant {
        self.core().driver.now()
    }

    /// What a generator of random numbers can begin with: another number with each call.
    ///
    /// On a loop in memory equal programs get equal ones, and in a simulation they follow from its seed. So what is left to
    /// chance (jitter, ids) can be repeated. For secrets it is not good enough.
    pub fn random_seed(&self) -> u64 {
        self.core().jitter_seed()
    }

    #[inline]
    fn schedule(&self, when: u64, callback: impl FnOnce() + 'static) -> TimerHandle {
        let core = self.core();
        let key = if core.is_closed() {
            core.drop_user(callback, "timer");
            TimerKey::NONE
        } else {
            core.add_timer(when, Box::new(Timed(callback)))
        };
        TimerHandle { core: Rc::clone(core), key: Cell::new(key), when, bound: PhantomData }
    }
}

pub(crate) trait Cancellable {
    fn cancel(&self, core: &Core);
    fn is_cancelled(&self) -> bool;
}

/// A closure that is called at most once, shared by the loop and a handle.
struct OneShot<F> {
    callback: Cell<Option<F>>,
    cancelled: Cell<bool>,
}

impl<F: FnOnce() + 'static> OneShot<F> {
    fn new(callback: F) -> Rc<Self> {
        Rc::new(Self { callback: Cell::new(Some(callback)), cancelled: Cell::new(false) })
    }
}

impl<F: FnOnce() + 'static> Callback for OneShot<F> {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        if let Some(callback) = self.callback.take() {
            call(core, callback);
        }
    }

    fn discard(self: Rc<Self>, core: &Core) {
        self.cancel(core);
    }
}

impl<F: 'static> Cancellable for OneShot<F> {
    fn cancel(&self, core: &Core) {
        if let Some(callback) = self.callback.take() {
            self.cancelled.set(true);
            core.drop_user(callback, "callback");
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

/// A closure that only a timer holds.
struct Timed<F>(F);

impl<F: FnOnce()> Timer for Timed<F> {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        call(core, self.0);
    }
}

fn call<F: FnOnce()>(core: &Rc<Core>, callback: F) {
    core.counters.count_callback();
    let watch = SlowWatch::start(core);
    core.run_caught("a callback failed", callback);
    watch.stop(core, std::any::type_name::<F>());
}

#[cfg(test)]
mod tests;

//! A callback that is called again and again.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ticks::{MissedTickBehavior, Ticks};
use crate::event_loop::{Core, EventLoop, SlowWatch, Timer};
use crate::thread_bound::{ThreadBound, UseRemote};
use crate::time::TimerKey;

/// A callback that is called again and again: what [`EventLoop::call_every`] gives. Dropping it changes nothing.
///
/// A clone is a handle to the same callback.
#[derive(Clone)]
pub struct PeriodicHandle {
    core: Rc<Core>,
    shared: Rc<Shared>,
    bound: ThreadBound<UseRemote>,
}

impl PeriodicHandle {
    /// Ends the calls, and drops the callback: at once, or when it returns if it is the one that asks. Later calls
    /// change nothing.
    pub fn cancel(&self) {
        self.shared.cancelled.set(true);
        let timer = self.shared.timer.replace(TimerKey::NONE);
        if timer != TimerKey::NONE {
            self.core.cancel_timer(timer);
        }
    }

    /// Whether it was cancelled, or its loop closed.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.get() || self.core.is_closed()
    }

    /// When the next call is due; it stays the same after it was cancelled.
    pub fn when(&self) -> Instant {
        self.core.instant(self.shared.ticks.get().next)
    }

    /// What is done about missed calls.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.shared.ticks.get().missed
    }

    /// Chooses what is done about missed calls: those that were due while the loop was held up.
    /// [`MissedTickBehavior::Burst`] by default.
    pub fn set_missed_tick_behavior(&self, missed: MissedTickBehavior) {
        self.shared.ticks.set(Ticks { missed, ..self.shared.ticks.get() });
    }
}

impl fmt::Debug for PeriodicHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeriodicHandle")
            .field("when", &self.when())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

/// # Callbacks again and again
impl EventLoop {
    /// Calls `callback` each time that `period` has passed, the first time a period from now; never early.
    ///
    /// A call that is late moves none of the others. Calls that were missed are made up for, one in each of the
    /// loop's ticks, unless [`set_missed_tick_behavior`](PeriodicHandle::set_missed_tick_behavior) says otherwise. A
    /// period of zero means once in each tick, which keeps the loop from sleeping.
    ///
    /// A panic in the callback goes to the exception handler, and the calls go on. It may cancel itself. On a closed
    /// loop it is dropped, and the handle's `is_cancelled` says so.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use std::time::Duration;
    /// use wharf::testing::{MemoryNetwork, advance};
    ///
    /// # fn main() -> wharf::Result {
    /// let event_loop = MemoryNetwork::new().event_loop();
    /// let count = Rc::new(Cell::new(0));
    /// let counter = Rc::clone(&count);
    /// let handle = event_loop.call_every(Duration::from_secs(10), move || {
    ///     counter.set(counter.get() + 1);
    /// });
    /// advance(&event_loop, Duration::from_secs(60))?;
    /// assert_eq!(count.get(), 6);
    /// handle.cancel();
    /// advance(&event_loop, Duration::from_secs(60))?;
    /// assert_eq!(count.get(), 6);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("LoopingCall", "PeriodicCallback", "setInterval"))]
    pub fn call_every(&self, period: Duration, callback: impl FnMut() + 'static) -> PeriodicHandle {
        let core = self.core();
        let shared = Rc::new(Shared {
            ticks: Cell::new(Ticks::new(core.after(period), period)),
            timer: Cell::new(TimerKey::NONE),
            cancelled: Cell::new(core.is_closed()),
        });
        if core.is_closed() {
            core.drop_user(callback, "timer");
        } else {
            let periodic = Box::new(Periodic { callback, shared: Rc::clone(&shared) });
            periodic.schedule(core);
        }
        PeriodicHandle { core: Rc::clone(core), shared, bound: PhantomData }
    }
}

struct Shared {
    ticks: Cell<Ticks>,
    timer: Cell<TimerKey>,
    cancelled: Cell<bool>,
}

/// The timer of the next call. It is the same one each time, so that a call allocates nothing.
struct Periodic<F> {
    callback: F,
    shared: Rc<Shared>,
}

impl<F: FnMut() + 'static> Periodic<F> {
    fn schedule(self: Box<Self>, core: &Core) {
        let shared = Rc::clone(&self.shared);
        shared.timer.set(core.add_timer(shared.ticks.get().next, self));
    }
}

impl<F: FnMut() + 'static> Timer for Periodic<F> {
    fn run(mut self: Box<Self>, core: &Rc<Core>) {
        self.shared.timer.set(TimerKey::NONE);
        let mut ticks = self.shared.ticks.get();
        ticks.take(core.now());
        self.shared.ticks.set(ticks);
        core.counters.count_callback();
        let watch = SlowWatch::start(core);
        core.run_caught("a callback failed", &mut self.callback);
        watch.stop(core, std::any::type_name::<F>());
        if self.shared.cancelled.get() || core.is_closed() {
            core.drop_user(self, "timer");
        } else {
            self.schedule(core);
        }
    }
}

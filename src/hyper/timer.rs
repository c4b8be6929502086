//! The loop's timers for hyper.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::hyper::rt::{Sleep, Timer};

use crate::event_loop::registry::NONE_RUNS;
use crate::event_loop::{EventLoop, Remote};
use crate::time::TimerKey;

/// The time and the timers of the loop that is running, for hyper's timeouts (`header_read_timeout`, `keep_alive_interval`):
/// for the `timer` method of its builders.
///
/// On a loop in virtual time they pass in virtual time.
///
/// ```
/// # use std::time::Duration;
/// # use wharf::testing::MemoryNetwork;
/// use hyper::rt::Timer as _;
/// use wharf::hyper::HyperTimer;
///
/// # fn main() -> wharf::Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// let began = event_loop.time();
/// HyperTimer.sleep(Duration::from_secs(3600)).await;
/// assert_eq!(HyperTimer.now() - began, Duration::from_secs(3600));
/// # Ok(())
/// # })
/// # }
/// ```
///
/// Where no loop is running, its `now` is the system's.
#[derive(Clone, Copy, Default, Debug)]
pub struct HyperTimer;

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let now = self.now();
        let farthest = || now + Duration::from_secs(FARTHEST);
        self.sleep_until(now.checked_add(duration).unwrap_or_else(farthest))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HyperSleep { deadline, timer: None, is_over: false })
    }

    fn now(&self) -> Instant {
        EventLoop::current().map_or_else(|_| Instant::now(), |event_loop| event_loop.time())
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<HyperSleep>() {
            Some(sleep) => sleep.get_mut().move_to(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A hundred years, in seconds: a time that does not come.
const FARTHEST: u64 = 100 * 365 * 24 * 3600;

/// Waits until a time: what [`HyperTimer`] gives to hyper.
///
/// It is `Send`, as hyper wants, and belongs to the loop that runs when it is polled first. Dropping it takes its timer
/// back, from another thread in the loop's next tick. On a loop that is closed it never ends.
///
/// # Panics
/// When it is polled where no loop is running.
pub struct HyperSleep {
    deadline: Instant,
    /// Set by the first poll.
    timer: Option<Set>,
    is_over: bool,
}

/// A timer of a loop.
struct Set {
    remote: Remote,
    key: TimerKey,
}

impl HyperSleep {
    fn move_to(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.is_over = false;
        let is_moved = self.timer.as_ref().is_some_and(|timer| {
            timer.remote.core_here().is_some_and(|core| {
                let deadline = core.since_start(deadline);
                core.reset_timer(timer.key, deadline)
            })
        });
        if !is_moved {
            self.take_back();
        }
    }

    fn take_back(&mut self) {
        let Some(Set { remote, key }) = self.timer.take() else { return };
        match remote.core_here() {
            Some(core) => core.cancel_timer(key),
            None => {
                // Refused when the loop is closed, and has no timers.
                let _ = remote.call_soon_threadsafe(move |event_loop| {
                    event_loop.core().cancel_timer(key);
                });
            }
        }
    }
}

impl Future for HyperSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut();
        if sleep.is_over {
            return Poll::Ready(());
        }
        if let Some(timer) = &sleep.timer
            && let Some(core) = timer.remote.core_here()
        {
            if core.renew_alarm(timer.key, context.waker()) {
                return Poll::Pending;
            }
            (sleep.is_over, sleep.timer) = (true, None);
            return Poll::Ready(());
        }
        // It has come from another thread, if it was polled before.
        sleep.take_back();
        let Ok(event_loop) = EventLoop::current() else {
            panic!("a sleep of `HyperTimer` was polled, but {NONE_RUNS}");
        };
        let core = event_loop.core();
        if !core.is_closed() {
            let key = core.add_alarm(core.since_start(sleep.deadline), context.waker().clone());
            sleep.timer = Some(Set { remote: core.remote(), key });
        }
        Poll::Pending
    }
}

impl Sleep for HyperSleep {}

impl Drop for HyperSleep {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl fmt::Debug for HyperSleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HyperSleep").field("until", &self.deadline).finish_non_exhaustive()
    }
}

//! Waiting for time to pass.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use crate::event_loop::EventLoop;
use crate::event_loop::registry::expect_current;

/// Waits for at least `delay`, from now on, when awaited: [`EventLoop::sleep`] of
/// [`EventLoop::current`].
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> wharf::Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let began = event_loop.time();
///     wharf::sleep(Duration::from_secs(3600)).await;
///     assert_eq!(event_loop.time() - began, Duration::from_secs(3600));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    expect_current("sleep").sleep(delay)
}

/// Waits until the clock of the loop that is running has reached `when`, when awaited:
/// [`EventLoop::sleep_until`] of [`EventLoop::current`].
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[track_caller]
pub fn sleep_until(when: Instant) -> Sleep {
    expect_current("sleep_until").sleep_until(when)
}

/// Waits until a time: what [`sleep`] gives. Dropping it takes its timer back.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::MemoryNetwork;
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let began = event_loop.time();
///     event_loop.sleep(Duration::from_secs(5)).await;
///     assert_eq!(event_loop.time() - began, Duration::from_secs(5));
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "it waits only when it is awaited"]
pub struct Sleep {
    alarm: Alarm,
}

/// # Sleeping
impl EventLoop {
    /// Waits for at least `delay`, from now on, when awaited. A delay of zero means the loop's next
    /// tick.
    ///
    /// On a loop that is closed it never ends, as its time does not pass any more.
    #[doc(alias("deferLater"))]
    pub fn sleep(&self, delay: Duration) -> Sleep {
        let core = self.core();
        Sleep { alarm: Alarm::new(core, core.after(delay)) }
    }

    /// Waits until the loop's clock has reached `when`, when awaited.
    pub fn sleep_until(&self, when: Instant) -> Sleep {
        Sleep { alarm: Alarm::new(self.core(), self.core().since_start(when)) }
    }
}

impl Sleep {
    /// Moves the end of the sleep to `delay` from now on. One that has ended sleeps anew.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::testing::MemoryNetwork;
    ///
    /// # fn main() -> wharf::Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     let began = event_loop.time();
    ///     let mut sleep = event_loop.sleep(Duration::from_secs(5));
    ///     sleep.reset(Duration::from_secs(1));
    ///     sleep.await;
    ///     assert_eq!(event_loop.time() - began, Duration::from_secs(1));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset(&mut self, delay: Duration) {
        self.alarm.move_to(self.alarm.core.after(delay));
    }

    /// Moves the end of the sleep to `when`. See [`reset`](Self::reset).
    pub fn reset_until(&mut self, when: Instant) {
        self.alarm.move_to(self.alarm.core.since_start(when));
    }

    /// When it ends.
    pub fn when(&self) -> Instant {
        self.alarm.core.instant(self.alarm.deadline())
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(context)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sleep").field("until", &self.when()).finish()
    }
}

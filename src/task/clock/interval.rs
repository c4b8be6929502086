//! Ticks to await.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::ticks::{MissedTickBehavior, Ticks};
use crate::event_loop::registry::expect_current;
use crate::event_loop::{Core, EventLoop};

/// Ticks that are `period` apart, the first one now: see [`EventLoop::interval`].
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, interval};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let began = event_loop.time();
///     let mut seconds = interval(Duration::from_secs(1));
///     for elapsed in 0..4 {
///         seconds.tick().await;
///         assert_eq!(event_loop.time() - began, Duration::from_secs(elapsed));
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::interval`] needs none.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    expect_current("interval").interval(period)
}

/// Ticks that are `period` apart, the first one at `start`: see [`EventLoop::interval_at`].
///
/// ```
/// use std::time::Duration;
/// use wharf::{MissedTickBehavior, Result, interval_at, sleep};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let start = event_loop.time() + Duration::from_secs(10);
///     let mut ticks = interval_at(start, Duration::from_secs(10));
///     ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
///     // Too long for the first two: one comes late, the other is left out.
///     sleep(Duration::from_secs(25)).await;
///     assert_eq!(ticks.tick().await, start);
///     assert_eq!(ticks.tick().await, start + Duration::from_secs(20));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::interval_at`] needs none.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    expect_current("interval_at").interval_at(start, period)
}

/// Ticks that are a period apart: what [`interval`] and [`EventLoop::interval`] give. Dropping it takes its timer back.
///
/// A tick is never early. One that is late moves none of the others, unless ticks were missed and
/// [`set_missed_tick_behavior`](Self::set_missed_tick_behavior) says so. It needs no timer, and costs nothing, while
/// nobody awaits it.
#[doc(alias("IntervalStream"))]
#[must_use = "it ticks when `tick` is awaited"]
pub struct Interval {
    core: Rc<Core>,
    ticks: Ticks,
    period: Duration,
    /// For the next tick, once somebody has waited for it.
    alarm: Option<Alarm>,
}

impl Interval {
    /// Waits for the next tick. Returns when it was due.
    ///
    /// Dropping this loses no tick. It always lets others have their turn, also when the tick is due already. On a
    /// loop that is closed it never ends.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// As [`tick`](Self::tick), for futures that are written by hand.
    pub fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(&self.core, self.ticks.next));
        if alarm.poll(context).is_pending() {
            return Poll::Pending;
        }
        self.alarm = None;
        let due = self.ticks.take(self.core.now());
        Poll::Ready(self.core.instant(due))
    }

    /// Has the next tick due a period from now.
    pub fn reset(&mut self) {
        self.move_to(self.core.after(self.period));
    }

    /// Has the next tick due at `when`, and the others a period apart from there.
    pub fn reset_at(&mut self, when: Instant) {
        self.move_to(self.core.since_start(when));
    }

    fn move_to(&mut self, next: u64) {
        self.ticks.next = next;
        // With whoever waits: one who polls by hand may not poll again after a reset.
        if let Some(alarm) = &mut self.alarm {
            alarm.move_to(next);
        }
    }

    /// When the next tick is due.
    pub fn when(&self) -> Instant {
        self.core.instant(self.ticks.next)
    }

    /// How far the ticks are apart.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What is done about missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.ticks.missed
    }

    /// Chooses what is done about missed ticks; [`MissedTickBehavior::Burst`] by default.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.ticks.missed = behavior;
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Interval")
            .field("when", &self.when())
            .field("period", &self.period)
            .field("missed_tick_behavior", &self.ticks.missed)
            .finish()
    }
}

/// # Intervals
impl EventLoop {
    /// Ticks that are `period` apart, the first one now. A period of zero ticks once in each of the loop's ticks.
    #[doc(alias("LoopingCall"))]
    pub fn interval(&self, period: Duration) -> Interval {
        self.ticking(self.core().now(), period)
    }

    /// Ticks that are `period` apart, the first one at `start`. Those in the past are missed.
    pub fn interval_at(&self, start: Instant, period: Duration) -> Interval {
        self.ticking(self.core().since_start(start), period)
    }

    fn ticking(&self, first: u64, period: Duration) -> Interval {
        let ticks = Ticks::new(first, period);
        Interval { core: Rc::clone(self.core()), ticks, period, alarm: None }
    }
}

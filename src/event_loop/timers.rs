//! The loop's clock, and its timers.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::core::Core;
use super::ready::{Due, Timer};
use crate::time::TimerKey;

impl Core {
    /// Reads the clock: nanoseconds since the loop was made.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.since_start(self.driver.now())
    }

    /// The clock at the beginning of this tick: what connections' deadlines go by.
    pub(crate) fn tick_time(&self) -> u64 {
        self.since_start(self.tick_instant.get())
    }

    #[inline]
    pub(crate) fn tick_instant(&self) -> Instant {
        self.tick_instant.get()
    }

    pub(crate) fn begin_tick(&self) {
        self.tick_instant.set(self.driver.now());
    }

    /// A moment as the timers count it; those before the loop was made are all due.
    pub(crate) fn since_start(&self, when: Instant) -> u64 {
        nanoseconds(when.saturating_duration_since(self.started))
    }

    /// The moment in `duration` from now, as the timers count it.
    #[inline]
    pub(crate) fn after(&self, duration: Duration) -> u64 {
        self.now().saturating_add(nanoseconds(duration))
    }

    /// A time of the timers as an `Instant`; the farthest there is for those beyond it.
    pub(crate) fn instant(&self, nanoseconds: u64) -> Instant {
        let mut since_start = Duration::from_nanos(nanoseconds);
        loop {
            match self.started.checked_add(since_start) {
                Some(instant) => return instant,
                None => since_start /= 2,
            }
        }
    }

    #[inline]
    pub(crate) fn add_timer(&self, deadline: u64, timer: Box<dyn Timer>) -> TimerKey {
        self.tell();
        self.timers.borrow_mut().insert(deadline, Due::Call(timer))
    }

    /// A timer that wakes `waker`.
    #[inline]
    pub(crate) fn add_alarm(&self, deadline: u64, waker: Waker) -> TimerKey {
        self.tell();
        self.timers.borrow_mut().insert(deadline, Due::Wake(waker))
    }

    /// Moves a timer. `false` if it has gone off.
    #[inline]
    pub(crate) fn reset_timer(&self, key: TimerKey, deadline: u64) -> bool {
        self.tell();
        self.timers.borrow_mut().reset(key, deadline)
    }

    /// Has a timer of [`add_alarm`](Self::add_alarm) wake `waker`. `false` if it has gone off.
    pub(crate) fn renew_alarm(&self, key: TimerKey, waker: &Waker) -> bool {
        let mut timers = self.timers.borrow_mut();
        match timers.get_mut(key) {
            Some(Due::Wake(known)) if known.will_wake(waker) => return true,
            Some(_) => drop(timers),
            // Gone, unless the loop is closed: then its time does not come.
            None => return timers.contains(key),
        }
        // `clone` and `drop` of a waker may be foreign code, so they are called with nothing borrowed.
        let mut waker = Due::Wake(waker.clone());
        if let Some(known) = self.timers.borrow_mut().get_mut(key) {
            std::mem::swap(known, &mut waker);
        }
        self.drop_user(waker, "waker");
        true
    }

    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        let timer = self.timers.borrow_mut().remove(key);
        if let Some(timer) = timer {
            self.drop_user(timer, "timer");
        }
    }
}

/// Saturates after 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(u64::from(duration.subsec_nanos())))
        .unwrap_or(u64::MAX)
}

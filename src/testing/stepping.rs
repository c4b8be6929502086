//! Driving a loop by hand.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::event_loop::EventLoop;

/// After so many turns without coming to rest a loop will not come to rest.
const MOST_STEPS: u32 = 1_000_000;

/// One turn of the loop, without waiting.
///
/// # Errors
/// As [`EventLoop::run_forever`].
pub fn step(event_loop: &EventLoop) -> Result<(), Error> {
    event_loop.core().run_once()
}

/// Turns the loop until nothing is ready any more; no time passes on a loop in memory.
///
/// # Errors
/// As [`EventLoop::run_forever`]; [`is_invalid`](Error::is_invalid) when the loop does not come to
/// rest in a million turns.
pub fn settle(event_loop: &EventLoop) -> Result<(), Error> {
    for _ in 0..MOST_STEPS {
        step(event_loop)?;
        if !event_loop.core().is_busy() {
            return Ok(());
        }
    }
    Err(Error::invalid(format!("the event loop was still busy after {MOST_STEPS} turns")))
}

/// Lets `duration` pass on a loop in memory: every timer in it goes off at its time.
///
/// Time ends 292 years after the loop was made: no more than that passes.
///
/// # Errors
/// As [`settle`]; [`is_unsupported`](Error::is_unsupported) on a loop with a real clock.
#[doc(alias("Clock"))]
pub fn advance(event_loop: &EventLoop, duration: Duration) -> Result<(), Error> {
    let core = event_loop.core();
    let Some(driver) = core.driver.memory() else {
        let text = "only a loop in memory has a clock that can be moved";
        return Err(Error::new(Kind::Unsupported, text));
    };
    let until = driver.after(duration);
    loop {
        settle(event_loop)?;
        let wakeup = core.timers.borrow().next_wakeup().map(|wakeup| core.instant(wakeup));
        let now = driver.now();
        match wakeup {
            Some(wakeup) if wakeup <= until => {
                driver.advance(wakeup.saturating_duration_since(now));
            }
            _ => {
                driver.advance(until.saturating_duration_since(now));
                return settle(event_loop);
            }
        }
    }
}

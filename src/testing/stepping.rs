//! Driving a loop by hand.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::event_loop::EventLoop;

/// A loop that has not come to rest after so many ticks never will.
const MOST_STEPS: u32 = 1_000_000;

/// Timers that were due at once so often in a row will let no time pass.
const MOST_WITHOUT_TIME: u32 = 100_000;

/// One tick of the loop, without waiting.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use wharf::testing::{MemoryNetwork, step};
///
/// let event_loop = MemoryNetwork::new().event_loop();
/// let calls = Rc::new(Cell::new(0));
/// let counted = Rc::clone(&calls);
/// event_loop.call_soon(move || counted.set(counted.get() + 1));
/// assert_eq!(calls.get(), 0);
/// step(&event_loop)?;
/// assert_eq!(calls.get(), 1);
/// # Ok::<(), wharf::Error>(())
/// ```
///
/// # Errors
/// As [`EventLoop::run_forever`].
pub fn step(event_loop: &EventLoop) -> Result<(), Error> {
    event_loop.core().run_once()
}

/// Runs the loop, and the others on its [network](super::MemoryNetwork), until nothing is ready any
/// more; no time passes on a loop in memory.
///
/// ```
/// use wharf::Transport as _;
/// use wharf::testing::{MemoryNetwork, Record, settle};
///
/// # fn main() -> wharf::Result {
/// let event_loop = MemoryNetwork::new().event_loop();
/// let record = Record::new();
/// let server = event_loop.create_server(record.factory(), "10.0.0.1:7").start();
/// let client = event_loop.create_connection(Record::new().factory(), "10.0.0.1:7").start();
/// settle(&event_loop)?;
/// let client = client.take_result().expect("the loop has come to rest")?;
/// client.write(b"hello");
/// settle(&event_loop)?;
/// assert_eq!(record.received(), b"hello");
/// # drop(server);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`EventLoop::run_forever`]; [`is_invalid`](Error::is_invalid) when the loop does not come to
/// rest in a million ticks.
pub fn settle(event_loop: &EventLoop) -> Result<(), Error> {
    let core = event_loop.core();
    for _ in 0..MOST_STEPS {
        step(event_loop)?;
        if !core.is_busy() && !core.driver.others_are_due() {
            return Ok(());
        }
    }
    Err(Error::invalid(format!("the event loop was still busy after {MOST_STEPS} ticks")))
}

/// Lets `duration` pass on a loop in memory, and on the others of its [network](super::MemoryNetwork): every
/// timer in it goes off at its time.
///
/// Time ends 292 years after the network was made: no more than that passes.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use wharf::testing::{MemoryNetwork, advance};
///
/// let event_loop = MemoryNetwork::new().event_loop();
/// let rung = Rc::new(Cell::new(false));
/// let bell = Rc::clone(&rung);
/// event_loop.call_later(Duration::from_secs(3600), move || bell.set(true));
/// advance(&event_loop, Duration::from_secs(3599))?;
/// assert!(!rung.get());
/// advance(&event_loop, Duration::from_secs(1))?;
/// assert!(rung.get());
/// # Ok::<(), wharf::Error>(())
/// ```
///
/// # Errors
/// As [`settle`]; [`is_invalid`](Error::is_invalid) when timers that are due at once, such as one that is set anew
/// for zero each time, let no time pass; [`is_unsupported`](Error::is_unsupported) on a loop with a real clock.
#[doc(alias("Clock"))]
pub fn advance(event_loop: &EventLoop, duration: Duration) -> Result<(), Error> {
    let core = event_loop.core();
    let Some(driver) = core.driver.memory() else {
        let text = "only a loop in memory has a clock that can be moved";
        return Err(Error::new(Kind::Unsupported, text));
    };
    let clock = driver.clock();
    let until = clock.instant_after(duration);
    let mut without_time = 0;
    loop {
        settle(event_loop)?;
        let own = core.timers.borrow().next_wakeup().map(|wakeup| core.instant(wakeup));
        match own.into_iter().chain(driver.next_event_of_others()).min() {
            Some(next) if next <= until => {
                without_time = if next > clock.now() { 0 } else { without_time + 1 };
                if without_time > MOST_WITHOUT_TIME {
                    let text =
                        format!("timers were due at once {MOST_WITHOUT_TIME} times in a row");
                    return Err(Error::invalid(text));
                }
                clock.advance_to(next);
            }
            _ => {
                clock.advance_to(until);
                return settle(event_loop);
            }
        }
    }
}

//! Timers, and the delays between retries.

mod backoff;
mod wheel;

pub(crate) use self::backoff::{Backoff, next_random};
pub(crate) use self::wheel::{TimerKey, Wheel};

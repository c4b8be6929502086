//! Timers.

mod wheel;

pub(crate) use self::wheel::{TimerKey, Wheel};

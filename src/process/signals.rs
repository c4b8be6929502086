//! Signals by their numbers.

use rustix::process::Signal;

use crate::error::Error;

pub(super) const TERMINATE: i32 = Signal::TERM.as_raw();
pub(super) const KILL: i32 = Signal::KILL.as_raw();

pub(super) fn from_number(number: i32) -> Result<Signal, Error> {
    Signal::from_named_raw(number)
        .ok_or_else(|| Error::invalid(format!("{number} is no signal that can be sent")))
}

//! Values of options.

use crate::task::{InvalidName, Kind, Priority, TaskId, Timestamp};

pub(super) fn kind(text: &str) -> Result<Kind, InvalidName> {
    Kind::new(text)
}

pub(super) fn id(text: &str) -> Result<TaskId, InvalidName> {
    TaskId::new(text)
}

pub(super) fn time(text: &str) -> Result<Timestamp, std::num::ParseIntError> {
    text.parse().map(Timestamp)
}

pub(super) fn priority(text: &str) -> Result<Priority, String> {
    let level: u8 = text.parse().map_err(|error| format!("{error}"))?;
    Priority::new(level).ok_or_else(|| "a priority is 0 to 9".to_owned())
}

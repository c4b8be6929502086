//! Names of schedules.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::task::{TaskId, Timestamp};

/// The longest name, in bytes: with a time behind it, it is the id of a task.
const LONGEST: usize = 32;

/// The name of a schedule. Letters, digits, and `.`, `_`, `:`, `-`; at most 32 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(Arc<str>);

/// A name that is empty, too long, or has other characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScheduleName;

impl ScheduleName {
    /// A name.
    ///
    /// # Errors
    /// It is empty, longer than 32 bytes, or has other characters than letters, digits, `.`, `_`, `:` and `-`.
    pub fn new(text: &str) -> Result<Self, InvalidScheduleName> {
        match TaskId::new(text) {
            Ok(_) if text.len() <= LONGEST => Ok(Self(text.into())),
            _ => Err(InvalidScheduleName),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the task that is submitted for a time: `NAME:2030-01-31T12:00:00Z`. There is one for each time, so that no
    /// time has two tasks.
    pub fn task_id(&self, time: Timestamp) -> TaskId {
        let milliseconds = i64::try_from(time.0).unwrap_or(i64::MAX);
        let text = match chrono::DateTime::from_timestamp_millis(milliseconds) {
            Some(moment) if time.0.is_multiple_of(1_000) => {
                format!("{self}:{}", moment.format("%FT%TZ"))
            }
            Some(moment) => format!("{self}:{}", moment.format("%FT%T%.3fZ")),
            None => format!("{self}:{}", time.0),
        };
        // A year of more than four digits has a sign, which no id has.
        TaskId::new(&text.replace('+', "")).unwrap_or_else(|_| unreachable!("{text} is a name"))
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = InvalidScheduleName;

    fn try_from(text: String) -> Result<Self, InvalidScheduleName> {
        Self::new(&text)
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ScheduleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for InvalidScheduleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a schedule's name has 1 to {LONGEST} of letters, digits, '.', '_', ':' and '-'"
        )
    }
}

impl std::error::Error for InvalidScheduleName {}

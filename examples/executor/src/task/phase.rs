//! Where a task is, without what belongs to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Outcome, State};

/// Where a task is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Tasks that it comes after have not succeeded yet.
    Blocked,
    /// Its time has not come.
    Delayed,
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It has succeeded.
    Succeeded,
    /// All attempts have failed: it is on the dead-letter list.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl Phase {
    /// All of them, in the order in which a task goes through them.
    pub const ALL: [Self; 7] = [
        Self::Blocked,
        Self::Delayed,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing more becomes of it by itself.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Its name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Delayed => "delayed",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<&State> for Phase {
    fn from(state: &State) -> Self {
        match state {
            State::Blocked { .. } => Self::Blocked,
            State::Delayed { .. } => Self::Delayed,
            State::Queued { .. } => Self::Queued,
            State::Running { .. } => Self::Running,
            State::Ended { outcome: Outcome::Succeeded, .. } => Self::Succeeded,
            State::Ended { outcome: Outcome::Failed, .. } => Self::Failed,
            State::Ended { outcome: Outcome::Cancelled, .. } => Self::Cancelled,
        }
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::ALL.map(Self::as_str);
        let named = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        named.ok_or_else(|| format!("a state is one of {}", all.join(", ")))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

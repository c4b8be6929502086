//! What tasks write while they run.

use serde::{Deserialize, Serialize};

/// A part of a task's output. It is text: bytes that are no UTF-8 were replaced by U+FFFD before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// What it wrote to its standard output.
    Stdout(String),
    /// What it wrote to its standard error.
    Stderr(String),
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// Of how much; `None`: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

impl Piece {
    /// What was written.
    pub fn text(&self) -> &str {
        match self {
            Self::Stdout(text) | Self::Stderr(text) => text,
        }
    }

    /// What follows it, if that is of the same stream: both are one then.
    pub(crate) fn joined(&mut self, next: &str, is_stderr: bool) -> bool {
        match (self, is_stderr) {
            (Self::Stdout(text), false) | (Self::Stderr(text), true) => {
                text.push_str(next);
                true
            }
            _ => false,
        }
    }

    /// Whether it was written to standard error.
    pub fn is_stderr(&self) -> bool {
        matches!(self, Self::Stderr(_))
    }

    pub(crate) fn of(is_stderr: bool, text: String) -> Self {
        if is_stderr { Self::Stderr(text) } else { Self::Stdout(text) }
    }
}

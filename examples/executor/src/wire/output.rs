//! What is said of the output of tasks.

use serde::{Deserialize, Serialize};

use crate::task::{Piece, Progress, TaskId};

/// What an assignment has written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Which.
    pub fence: u64,
    /// How many bytes it had written before. More than it had said: what is between is not told.
    pub offset: u64,
    /// What it has written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Which part of what a task has written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskOutput {
    /// Which task.
    pub id: TaskId,
    /// From this byte on, of all that it has written in all attempts.
    #[serde(default)]
    pub offset: u64,
    /// No more than about so many bytes at the end, which are 64 KiB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// If there is nothing yet, the answer comes when there is, or when the task has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// What is known of how far it is: the answer comes when that changes, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// A part of what a task has written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPage {
    /// In the order in which it was written.
    pub parts: Vec<OutputPart>,
    /// What follows has this offset, or a higher one.
    pub next: u64,
    /// Nothing follows: this is all that is kept, and the task has ended.
    pub ended: bool,
    /// How far it is, if it runs and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// What one attempt has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPart {
    /// How many bytes the task had written before, in all attempts. What is between two parts is not kept.
    pub offset: u64,
    /// Which attempt.
    pub attempt: u32,
    /// What.
    pub pieces: Vec<Piece>,
}

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::task::TaskId;

/// Why something that a client asked for was not done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The coordinator says that it cannot be done, or what it says cannot be understood.
    Refused(Box<str>),
    /// The coordinator does not let this client in: the token is wrong, or it speaks another version of the protocol.
    NotAdmitted(Box<str>),
    /// There was no connection to the coordinator for longer than
    /// [`ClientOptions::connect_within`](super::ClientOptions::connect_within).
    Unreachable {
        /// For how long it was tried.
        tried: Duration,
        /// What went wrong last.
        why: Box<str>,
    },
    /// There is no such task: it never was, or what became of it has expired.
    UnknownTask(Box<str>),
    /// The task has failed, with this error.
    Failed(Box<str>),
    /// The task was cancelled.
    Cancelled,
    /// The task was not run, since one that it comes after did not succeed. If that one is retried, so is this.
    NotRun {
        /// Which one.
        cause: TaskId,
        /// What became of it.
        error: Box<str>,
    },
    /// What was sent or received is not what it should be.
    Json(Arc<serde_json::Error>),
    /// The client or its loop is closed.
    Closed,
}

impl ClientError {
    /// Whether it is the task that did not succeed: it has failed, was cancelled, or was not run.
    pub fn is_of_task(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Cancelled | Self::NotRun { .. })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(formatter, "refused: {why}"),
            Self::NotAdmitted(why) => {
                write!(formatter, "the coordinator does not let this client in: {why}")
            }
            Self::Unreachable { tried, why } => {
                write!(formatter, "no coordinator was reached within {tried:?}: {why}")
            }
            Self::UnknownTask(id) => write!(formatter, "there is no task {id}"),
            Self::Failed(error) => write!(formatter, "the task has failed: {error}"),
            Self::Cancelled => formatter.write_str("the task was cancelled"),
            Self::NotRun { error, .. } => write!(formatter, "the task was not run: {error}"),
            Self::Json(error) => write!(formatter, "not what was expected: {error}"),
            Self::Closed => formatter.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for ClientError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

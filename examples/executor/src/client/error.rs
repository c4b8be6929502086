use std::fmt;
use std::sync::Arc;

/// Why something that a client asked for was not done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The coordinator says that it cannot be done, or that this client may not talk.
    Refused(Box<str>),
    /// The coordinator is not there, and why.
    Unreachable(Box<str>),
    /// There is no such task: it never was, or what became of it has expired.
    UnknownTask(Box<str>),
    /// The task has failed, with this error.
    Failed(Box<str>),
    /// The task was cancelled.
    Cancelled,
    /// What was sent or received is not what it should be.
    Json(Arc<serde_json::Error>),
    /// The client or its loop is closed.
    Closed,
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(formatter, "refused: {why}"),
            Self::Unreachable(why) => write!(formatter, "the coordinator is not there: {why}"),
            Self::UnknownTask(id) => write!(formatter, "there is no task {id}"),
            Self::Failed(error) => write!(formatter, "the task has failed: {error}"),
            Self::Cancelled => formatter.write_str("the task was cancelled"),
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

//! How commands end.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use wharf::Failure;

use super::output::printable;
use crate::client::ClientError;

/// Why a command did not succeed: its exit code says so, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Something else: a file, the store, the network.
    Other = 1,
    /// The command line, a variable, the configuration or a file of tasks cannot be understood.
    Usage = 2,
    /// A task that was waited for has failed or was cancelled.
    TaskFailed = 3,
    /// The coordinator does not do it.
    Refused = 4,
    /// The coordinator is not there.
    Unreachable = 5,
    /// There is no such task or schedule.
    Unknown = 6,
    /// It was not waited for any longer.
    TimedOut = 7,
    /// SIGINT.
    Interrupted = 130,
    /// Nobody reads the output, as after SIGPIPE.
    OutputClosed = 141,
}

/// A command's error, if it is not that of a client.
#[derive(Debug)]
pub(super) struct CommandError {
    exit: Exit,
    text: String,
}

impl CommandError {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for CommandError {}

impl Exit {
    /// Which one an error is.
    pub(super) fn of(failure: &Failure) -> Self {
        let nested = failure.downcast_ref::<wharf::Error>();
        let command = failure.downcast_ref::<CommandError>();
        let command = command.or_else(|| nested?.downcast_ref());
        let client = failure.downcast_ref::<ClientError>();
        let client = client.or_else(|| nested?.downcast_ref());
        match (command, client) {
            (Some(error), _) => error.exit,
            (_, Some(error)) => Self::of_client(error),
            _ => Self::Other,
        }
    }

    /// Which one a client's error is.
    pub(super) fn of_client(error: &ClientError) -> Self {
        match error {
            ClientError::Refused(_) | ClientError::NotAdmitted(_) => Self::Refused,
            ClientError::Unreachable { .. } => Self::Unreachable,
            ClientError::UnknownTask(_) => Self::Unknown,
            ClientError::Failed(_) | ClientError::Cancelled | ClientError::NotRun { .. } => {
                Self::TaskFailed
            }
            _ => Self::Other,
        }
    }

    /// The name of it in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::TaskFailed => "task_failed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::OutputClosed => "output_closed",
        }
    }

    /// Says on standard error what is wrong.
    pub(super) fn tell(self, text: &str, json: bool) {
        // Who closed the output knows.
        if self == Self::OutputClosed {
            return;
        }
        let mut error = std::io::stderr().lock();
        let _ = match json {
            true => writeln!(error, "{}", json!({"error": {"code": self.name(), "message": text}})),
            false => writeln!(error, "error: {}", printable(text)),
        };
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

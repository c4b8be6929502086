//! What came of a task, as commands print it.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;
use wharf::Result;

use super::output::{Output, one_line, printable};
use crate::task::{Outcome, Record, TaskId};

/// What came of a task.
#[derive(Serialize)]
pub(super) struct Ended<'a> {
    id: &'a TaskId,
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    attempts: u32,
}

impl<'a> Ended<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        let outcome = record.outcome();
        let has_succeeded = outcome == Some(Outcome::Succeeded);
        Self {
            id: &record.id,
            outcome,
            result: record.result.as_deref().filter(|_| has_succeeded),
            // One that has succeeded may have failed before.
            error: record.error.as_deref().filter(|_| !has_succeeded),
            attempts: record.attempts,
        }
    }

    /// Prints it with its id. As text, what did not succeed goes to standard error.
    pub(super) fn print(&self, output: Output) -> Result {
        let line = format!("{}\t{self}", self.id);
        if output.json || self.outcome == Some(Outcome::Succeeded) {
            return output.print(self, line);
        }
        self.tell(&line);
        Ok(())
    }

    /// Prints it alone.
    pub(super) fn print_alone(&self, output: Output) -> Result {
        if output.json || self.outcome == Some(Outcome::Succeeded) {
            return output.print(self, self);
        }
        self.tell(&self.to_string());
        Ok(())
    }

    fn tell(&self, line: &str) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

impl fmt::Display for Ended<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outcome, self.result, self.error) {
            (Some(Outcome::Succeeded), Some(result), _) => {
                formatter.write_str(&one_line(result.get()))
            }
            (Some(Outcome::Succeeded), None, _) => formatter.write_str("null"),
            (Some(Outcome::Cancelled), ..) => formatter.write_str("the task was cancelled"),
            (_, _, error) => {
                let error = printable(error.unwrap_or("no reason"));
                write!(formatter, "the task has failed: {error}")
            }
        }
    }
}

//! What commands print: text for people, or JSON.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;
use wharf::{Failure, Result};

use super::exit::{CommandError, Exit};

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// One JSON value in each line.
    pub(super) json: bool,
}

impl Output {
    /// Prints a value as JSON, or else as a text.
    pub(super) fn print(self, value: &impl Serialize, text: impl Display) -> Result {
        if self.json { say(one_line(&serde_json::to_string(value)?)) } else { say(text) }
    }

    /// Something was done, which goes without saying, but for programs.
    pub(super) fn changed(self, value: &impl Serialize) -> Result {
        if self.json { self.print(value, "") } else { Ok(()) }
    }
}

/// JSON without the ends of lines, which are between its values only.
pub(super) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// A text of somebody else, without what would move the cursor of a terminal.
pub(super) fn printable(text: &str) -> String {
    let may_be = |letter: char| !letter.is_control() || letter == '\n' || letter == '\t';
    text.chars().map(|letter| if may_be(letter) { letter } else { ' ' }).collect()
}

/// Prints a line.
pub(super) fn say(line: impl Display) -> Result {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    written.map_err(not_written)
}

/// What it means that something could not be written.
pub(super) fn not_written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            CommandError::new(Exit::OutputClosed, "nobody reads the output").into()
        }
        _ => error.into(),
    }
}

//! What came of a task, as commands print it: as JSON as it is on the wire.

use std::fmt;
use std::io::{self, Write as _};

use wharf::Result;

use super::output::{Output, one_line, printable};
use crate::task::Outcome;
use crate::wire::Ended;

/// Prints what came of a task, with its id. As text, what did not succeed goes to standard error.
pub(super) fn print(ended: &Ended, output: Output) -> Result {
    print_as(ended, &format!("{}\t{}", ended.id, Text(ended)), output)
}

/// Prints it without its id.
pub(super) fn print_alone(ended: &Ended, output: Output) -> Result {
    print_as(ended, &Text(ended).to_string(), output)
}

fn print_as(ended: &Ended, line: &str, output: Output) -> Result {
    if output.json || ended.outcome == Some(Outcome::Succeeded) {
        return output.print(ended, line);
    }
    // Who does not read errors misses them.
    let _ = writeln!(io::stderr().lock(), "{line}");
    Ok(())
}

/// For people.
struct Text<'a>(&'a Ended);

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.outcome, &self.0.result) {
            (Some(Outcome::Succeeded), Some(result)) => {
                formatter.write_str(&one_line(result.get()))
            }
            (Some(Outcome::Succeeded), None) => formatter.write_str("null"),
            (Some(Outcome::Cancelled), _) => formatter.write_str("the task was cancelled"),
            _ => {
                let error = printable(self.0.error.as_deref().unwrap_or("no reason"));
                write!(formatter, "the task has failed: {error}")
            }
        }
    }
}

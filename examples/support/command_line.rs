//! How the examples read their command lines, and how they end.

use std::io::{self, Write};
use std::process::ExitCode;

use wharf::Result;

/// Runs an example, and turns its failure into one line on standard error and an exit code: 2 for
/// a command line that is wrong, 1 for everything else.
pub(crate) fn run(usage: &str, example: impl FnOnce(lexopt::Parser) -> Result) -> ExitCode {
    let name = env!("CARGO_CRATE_NAME");
    if std::env::args_os().any(|argument| argument == "--help" || argument == "-h") {
        // Nobody may be reading: that is no failure.
        let _ = io::stdout().write_all(usage.trim_start().as_bytes());
        return ExitCode::SUCCESS;
    }
    let Err(error) = example(lexopt::Parser::from_env()) else { return ExitCode::SUCCESS };
    let (hint, code) = match error.is::<lexopt::Error>() {
        true => (" (--help tells more)", 2),
        false => ("", 1),
    };
    let _ = writeln!(io::stderr(), "{name}: {error:#}{hint}");
    ExitCode::from(code)
}

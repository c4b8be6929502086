//! The commands of a binary that is an executor: the one of this package, or one with functions of its own.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use wharf_executor::{commands, functions};
//!
//! fn main() -> ExitCode {
//!     let mut functions = functions::built_in().expect("these are names");
//!     functions.add("add", |(left, right): (i64, i64), _| Ok::<_, String>(left + right)).expect("a name");
//!     commands::main(functions)
//! }
//! ```

mod arguments;
mod demo;
mod inspect;
mod render;
mod serve;
mod submit;
mod work;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use wharf::Result;

use crate::work::Functions;
use arguments::{Command, CommandLine};

/// Does what the command line says, with these functions in its workers.
pub fn main(functions: Functions) -> ExitCode {
    let line = CommandLine::parse();
    match run(line, functions) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line.
fn say(line: impl Display) -> Result {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()?;
    Ok(())
}

fn run(line: CommandLine, functions: Functions) -> Result<ExitCode> {
    let done = |outcome: Result| outcome.map(|()| ExitCode::SUCCESS);
    match line.command {
        Command::Serve(arguments) => done(serve::run(arguments)),
        Command::Work(arguments) => done(work::run(arguments, functions)),
        Command::Submit(arguments) => submit::run(arguments),
        Command::Status(arguments) => done(inspect::status(&arguments)),
        Command::Result(arguments) => inspect::result(&arguments),
        Command::Cancel(arguments) => inspect::cancel(&arguments),
        Command::Retry(arguments) => inspect::retry(&arguments),
        Command::Drain(arguments) => done(inspect::drain(&arguments)),
        Command::Render(arguments) => done(render::run(&arguments)),
        Command::Demo(arguments) => done(demo::run(&arguments)),
    }
}

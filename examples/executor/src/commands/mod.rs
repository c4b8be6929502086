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

mod connect;
mod demo;
mod drain;
mod list;
mod one_task;
mod parse;
mod render;
mod serve;
mod submit;
mod work;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wharf::Result;

use crate::work::Functions;

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

/// A durable distributed task executor.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The coordinator: keeps tasks, and gives them to workers, until SIGINT or SIGTERM
    Serve(serve::Serve),
    /// A worker: runs tasks, until SIGINT or SIGTERM
    Work(work::Work),
    /// Submits tasks
    Submit(submit::Submit),
    /// What is known of a task, as JSON
    Status(one_task::OneTask),
    /// Waits for a task, and prints its result
    Result(one_task::OneTask),
    /// Tasks, the newest first: id, state, attempts, what, and what came of it
    List(list::List),
    /// A task is not wanted any more
    Cancel(one_task::OneTask),
    /// A task that has failed or was cancelled is tried again
    Retry(one_task::OneTask),
    /// The coordinator takes no new tasks, and gives none to workers
    Drain(drain::Drain),
    /// Has the Mandelbrot set drawn, tile by tile
    Render(render::Render),
    /// A coordinator, three workers, and a picture; a worker is killed half-way
    Demo(demo::Demo),
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
        Command::Status(arguments) => done(one_task::status(&arguments)),
        Command::Result(arguments) => one_task::result(&arguments),
        Command::List(arguments) => done(list::run(arguments)),
        Command::Cancel(arguments) => one_task::cancel(&arguments),
        Command::Retry(arguments) => one_task::retry(&arguments),
        Command::Drain(arguments) => done(drain::run(&arguments)),
        Command::Render(arguments) => done(render::run(&arguments)),
        Command::Demo(arguments) => done(demo::run(&arguments)),
    }
}

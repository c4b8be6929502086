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

mod backup;
mod completions;
mod connect;
mod dashboard;
mod demo;
mod descriptors;
mod drain;
mod ended;
mod exit;
mod list;
mod listening;
mod logs;
mod nats;
mod one_task;
mod output;
mod parse;
mod progress;
mod render;
mod restart;
mod schedule;
mod secrets;
mod serve;
mod service;
mod settings;
mod submit;
mod task_options;
mod top;
mod words;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use wharf::Result;

use crate::work::Functions;
use exit::Exit;
use output::Output;

/// Does what the command line says, with these functions in its workers.
pub fn main(functions: Functions) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // It is asked for before the rest is understood: also that is an error as JSON.
    let json = words.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let command = match settings::applied(CommandLine::command(), &words) {
        Ok(command) => command,
        Err(error) => {
            Exit::Usage.tell(&error.to_string(), json);
            return Exit::Usage.into();
        }
    };
    let parsed = command.clone().try_get_matches_from(words);
    let line = match parsed.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) if json && error.use_stderr() => {
            Exit::Usage.tell(error.to_string().trim_end(), json);
            return Exit::Usage.into();
        }
        Err(error) => error.exit(),
    };
    let output = Output { json: line.json };
    run(line.command, functions, command, output).unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        exit.tell(&format!("{error:#}"), output.json);
        exit.into()
    })
}

/// A durable distributed task executor.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct CommandLine {
    /// One JSON value in each line of output, errors included
    #[arg(long, global = true)]
    json: bool,
    /// A file with options, as TOML
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
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
    /// What is known of a task
    Status(one_task::OneTask),
    /// Waits for a task, and prints its result
    Result(one_task::WaitForOne),
    /// What a task has written
    Logs(logs::Logs),
    /// Tasks, the newest first: id, state, attempts, what, and what came of it
    List(list::List),
    /// A task is not wanted any more
    Cancel(one_task::OneTask),
    /// A task that has failed or was cancelled is tried again
    Retry(one_task::OneTask),
    /// Tasks that are submitted again and again
    Schedule(schedule::Schedules),
    /// A live view in the terminal, until q: what waits, the throughput, workers and what they run, failed tasks
    Top(top::Top),
    /// Serves the dashboard of an executor, on NATS or of a coordinator elsewhere, until SIGINT or SIGTERM
    Dashboard(dashboard::ServeDashboard),
    /// No new tasks are taken, and workers begin none
    Drain(drain::Drain),
    /// Copies the coordinator's store to a file, while it works
    Backup(backup::Backup),
    /// Has the Mandelbrot set drawn, tile by tile
    Render(render::Render),
    /// A coordinator, three workers, and a picture; a worker is killed half-way
    Demo(demo::Demo),
    /// A script for a shell that completes these commands
    Completions(completions::Completions),
    /// The manual, for man -l -
    Man,
}

fn run(
    command: Command,
    functions: Functions,
    line: clap::Command,
    output: Output,
) -> Result<ExitCode> {
    let done = |outcome: Result| outcome.map(|()| ExitCode::SUCCESS);
    match command {
        Command::Serve(arguments) => done(serve::run(arguments, output)),
        Command::Work(arguments) => done(work::run(arguments, functions, output)),
        Command::Submit(arguments) => submit::run(arguments, output),
        Command::Status(arguments) => done(one_task::status(&arguments, output)),
        Command::Result(arguments) => one_task::result(&arguments, output),
        Command::Logs(arguments) => done(logs::run(&arguments, output)),
        Command::List(arguments) => done(list::run(arguments, output)),
        Command::Cancel(arguments) => done(one_task::cancel(&arguments, output)),
        Command::Retry(arguments) => done(one_task::retry(&arguments, output)),
        Command::Schedule(arguments) => done(schedule::run(arguments, output)),
        Command::Top(arguments) => done(top::run(&arguments, output)),
        Command::Dashboard(arguments) => done(dashboard::run(&arguments, output)),
        Command::Drain(arguments) => done(drain::run(&arguments, output)),
        Command::Backup(arguments) => done(backup::run(&arguments, output)),
        Command::Render(arguments) => done(render::run(&arguments, output)),
        Command::Demo(arguments) => done(demo::run(&arguments, output)),
        Command::Completions(arguments) => done(completions::run(&arguments, line)),
        Command::Man => done(completions::manual(line)),
    }
}

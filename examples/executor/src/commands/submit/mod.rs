//! New tasks, and what comes of them.

mod lines;
mod sending;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use futures_util::future::{Either, select};
use wharf::signal::SIGINT;
use wharf::{EventLoop, Result};

use super::connect::Connect;
use super::exit::{CommandError, Exit};
use super::output::Output;
use super::parse::{self, Moment};
use super::task_options::{Members, TaskOptions, set, spec};
use super::words;
use crate::task::{Kind, Spec, TaskId, Timestamp};
use lines::Lines;
use sending::Sending;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Submit {
    #[command(flatten)]
    connect: Connect,
    /// What to do: a function that some worker has, or exec
    #[arg(required_unless_present = "file", value_parser = parse::kind)]
    kind: Option<Kind>,
    /// What to do it with: JSON, words (a string, or an array of them), or NAME=VALUE (an object). A number that is to be a
    /// string has quotes of its own: '"5"'
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// A file with a task in each line, as JSON; "-" is standard input. Options are for lines that do not say otherwise
    #[arg(long, conflicts_with_all = ["kind", "args", "id"])]
    file: Option<PathBuf>,
    /// Which task this is: a second one with the same id is the same task
    #[arg(long, value_parser = parse::id)]
    id: Option<TaskId>,
    /// Not before so much time has passed: 10s, 1m30s
    #[arg(long, value_parser = parse::duration)]
    delay: Option<Duration>,
    /// Not before then: 2030-01-31T12:00:00Z, or milliseconds since 1970
    #[arg(long, conflicts_with = "delay", value_parser = parse::time)]
    at: Option<Timestamp>,
    /// Until when it must have ended, all attempts included: a time, or a duration from now
    #[arg(long, value_parser = parse::moment)]
    deadline: Option<Moment>,
    #[command(flatten)]
    options: TaskOptions,
    /// Tasks that must have succeeded before
    #[arg(long, value_delimiter = ',', value_parser = parse::id)]
    after: Vec<TaskId>,
    /// Prints results as they come; fails if a task does
    #[arg(long)]
    wait: bool,
}

/// What every worker can do, and how that is written.
const EXAMPLES: &str = "\
Examples, of all that workers have by themselves:
  submit wordcount 'to be or not to be' --wait
  submit sha256 'some text' --wait
  submit sleep 1500 --wait                  (milliseconds)
  submit fail 'no reason' --retries 2 --backoff 100ms..1s --wait
  submit --wait exec -- ls -l               (programs, if a worker was started with --exec)
  submit --file tasks.jsonl --wait          (lines as {\"kind\": \"sleep\", \"args\": 10, \"priority\": 9})";

pub(super) fn run(arguments: Submit, output: Output) -> Result<ExitCode> {
    let members = arguments.members()?;
    // What cannot be understood is not worth a connection.
    let source = match &arguments.file {
        Some(path) => Source::File(Lines::open(path, members).map_err(|error| {
            CommandError::new(Exit::Other, format!("{}: {error}", path.display()))
        })?),
        None => Source::One(Box::new(spec(&members)?)),
    };
    wharf::run(async move |event_loop| {
        let mut signals = event_loop.signals([SIGINT])?;
        let client = arguments.connect.client(&event_loop).await?;
        let sending = Rc::new(Sending::new(&event_loop, client, arguments.wait, output));
        let interrupted = pin!(signals.next());
        match select(pin!(source.send(&event_loop, &sending)), interrupted).await {
            Either::Left((sent, _)) => sent.map(|()| sending.exit_code()),
            Either::Right(_) => Err(sending.interrupted().into()),
        }
    })
}

/// Where tasks come from.
enum Source {
    One(Box<Spec>),
    File(Lines),
}

impl Source {
    async fn send(self, event_loop: &EventLoop, sending: &Rc<Sending>) -> Result {
        match self {
            Self::One(spec) => sending.one(*spec).await,
            Self::File(lines) => sending.file(lines, event_loop).await,
        }
    }
}

impl Submit {
    fn members(&self) -> Result<Members> {
        let mut members = self.options.members()?;
        let at = self.at.or_else(|| Some(Timestamp::now().after(self.delay?)));
        set(&mut members, "at", at)?;
        set(&mut members, "deadline", self.deadline.map(Moment::timestamp))?;
        set(&mut members, "id", self.id.as_ref())?;
        set(&mut members, "after", Some(&self.after).filter(|after| !after.is_empty()))?;
        if let Some(kind) = &self.kind {
            set(&mut members, "kind", Some(kind))?;
            members.insert("args".to_owned(), words::arguments(kind, &self.args)?);
        }
        Ok(members)
    }
}

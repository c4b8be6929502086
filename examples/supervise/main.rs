//! Keeps programs running: starts them, shows what they write, and starts again what has failed.
//!
//! ```text
//! cargo run --release --example supervise -- 'web: python3 -m http.server' 'tick: sleep 3; false'
//! cargo run --release --example supervise -- --file Procfile
//! ```
//!
//! Read on in `printer.rs`, which is the protocol of one child, then in `supervisor.rs`.
#![forbid(unsafe_code)]

mod plan;
mod printer;
mod screen;
mod supervisor;

use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::EventLoop;

use self::plan::Plan;
use self::supervisor::Supervisor;
use wharf_examples::command_line::{count, run, seconds};

const USAGE: &str = "
Runs programs and shows what they write, line by line, each with its name. One that fails is started
again, after a delay that doubles each time; one that ends well is done. SIGINT, SIGTERM, SIGHUP and
SIGQUIT are passed on to all; whoever is left after the grace is killed, and so are all at the second
signal. What a program has started ends with it. If nobody reads standard output any more, all
programs are ended.

usage: supervise [options] 'NAME: COMMAND'...    COMMAND is run by /bin/sh
       supervise [options] --file FILE           one 'NAME: COMMAND' a line, as in a Procfile

  --restarts N      start a program again N times in a row at most (5)
  --no-restart      do not start a program again
  --delay MS        before the first restart, in milliseconds (200)
  --stable SECONDS  one that has run so long begins to count anew (10)
  --grace SECONDS   to end after a signal (5)
  --color           colours also where standard output is no terminal

exit code: 0 if all ended well or after a signal within the grace, and all they wrote was shown; 1 if
not
";

fn main() -> ExitCode {
    run(USAGE, |arguments| {
        let plan = parse(arguments)?;
        let run = async |event_loop| Supervisor::run(&event_loop, plan).await;
        // Each failure was told when it came.
        Ok(match EventLoop::new()?.run(run)? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

fn parse(mut arguments: lexopt::Parser) -> wharf::Result<Plan> {
    let (mut plan, mut restarts, mut no_restart) = (Plan::default(), None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("file") => plan.read_file(&arguments.value()?)?,
            Arg::Long("restarts") => restarts = Some(arguments.value()?.parse_with(count)?),
            Arg::Long("no-restart") => no_restart = true,
            Arg::Long("delay") => {
                let milliseconds = arguments.value()?.parse_with(count)?;
                plan.delay = Duration::from_millis(milliseconds.try_into()?);
            }
            Arg::Long("stable") => plan.stable = arguments.value()?.parse_with(seconds)?,
            Arg::Long("grace") => plan.grace = arguments.value()?.parse_with(seconds)?,
            Arg::Long("color") => plan.color = true,
            Arg::Value(line) => plan.add_line(&line.string()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    plan.restarts = match (restarts, no_restart) {
        (Some(_), true) => {
            return Err(lexopt::Error::from("--restarts and --no-restart contradict").into());
        }
        (_, true) => 0,
        (restarts, false) => restarts.unwrap_or(plan.restarts),
    };
    if plan.services.is_empty() {
        return Err(lexopt::Error::from("there is nothing to run").into());
    }
    Ok(plan)
}

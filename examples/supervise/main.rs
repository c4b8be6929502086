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
mod supervisor;

#[path = "../support/command_line.rs"]
mod command_line;

use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::EventLoop;

use self::plan::Plan;
use self::supervisor::Supervisor;

const USAGE: &str = "
Runs programs and shows what they write, line by line, each with its name. One that fails is started
again, after a delay that doubles each time; one that ends well is done. SIGINT and SIGTERM are
passed on to all; whoever is left after the grace is killed, and so are all at the second signal.

usage: supervise [options] 'NAME: COMMAND'...    COMMAND is run by /bin/sh
       supervise [options] --file FILE           one 'NAME: COMMAND' a line, as in a Procfile

  --restarts N      start a program again N times in a row at most (5)
  --delay MS        before the first restart, in milliseconds (200)
  --stable SECONDS  one that has run so long begins to count anew (10)
  --grace SECONDS   to end after a signal (5)
  --color           colours also where standard output is no terminal

exit code: 0 if all ended well or after a signal within the grace, 1 if not
";

fn main() -> ExitCode {
    // Not an error, which would be a line of its own: each failure was told when it came.
    let mut all_well = true;
    let code = command_line::run(USAGE, |mut arguments| {
        let mut plan = Plan::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("file") => plan.read_file(&arguments.value()?)?,
                Arg::Long("restarts") => plan.restarts = arguments.value()?.parse()?,
                Arg::Long("delay") => {
                    plan.delay = Duration::from_millis(arguments.value()?.parse()?);
                }
                Arg::Long("stable") => {
                    plan.stable = Duration::from_secs(arguments.value()?.parse()?);
                }
                Arg::Long("grace") => plan.grace = Duration::from_secs(arguments.value()?.parse()?),
                Arg::Long("color") => plan.color = true,
                Arg::Value(line) => plan.add_line(&line.string()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if plan.services.is_empty() {
            return Err(lexopt::Error::from("there is nothing to run").into());
        }
        let event_loop = EventLoop::new()?;
        all_well = event_loop.run(async |event_loop| Supervisor::run(&event_loop, plan).await)?;
        Ok(())
    });
    if all_well { code } else { ExitCode::FAILURE }
}

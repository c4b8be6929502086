//! One operation of tasks, by one library, many times: what `numbers tasks` runs.
//!
//! `tasks --by wharf --what spawn-one [--count 1000000] [--warm-up 1000] [--shortest MS --longest MS]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::tasks::run))
}

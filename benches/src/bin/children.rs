//! What a child process costs: wharf's `run_process` beside tokio's and std's.
//!
//! ```text
//! cargo run --profile release-lto -p wharf-benches --bin children -- [--rounds 15]
//!     [--children 1000] [--check]
//! ```
//!
//! With `--check` the exit code says whether wharf kept every limit.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::children::run))
}

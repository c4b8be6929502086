//! What a timer costs: wharf's `call_later` beside a bare timer wheel and a binary heap.
//!
//! ```text
//! cargo run --profile release-lto -p wharf-benches --bin timers -- [--rounds 15]
//!     [--timers 1000000] [--live 10000] [--check]
//! ```
//!
//! With `--check` the exit code says whether wharf kept every limit.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::timers::run))
}

//! The runner: prints the tables of `docs/numbers.md`.
//!
//! ```text
//! cargo run --release -p wharf-benches --bin numbers -- TABLE [--rounds 15] [--only NAME,NAME] [--check]
//! ```
//!
//! `TABLE` is `echo`, `churn`, `instructions`, `syscalls`, `memory`, `latency` or `all`. With
//! `--check` the exit code says whether wharf kept every limit.

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::numbers::run))
}

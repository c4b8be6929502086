//! The runner: prints the tables of `docs/numbers.md`.
//!
//! ```text
//! cargo run --profile release-lto -p wharf-benches --bin numbers -- TABLE
//!     [--rounds 15] [--only NAME,NAME] [--rows TEXT] [--control] [--check]
//!     [--python python3]
//! ```
//!
//! `TABLE` is `echo`, `churn`, `instructions`, `syscalls`, `memory`, `latency`, `udp`, `relay`,
//! `files`, `tls` or `all`. `--rows
//! '4 KiB, 1000'` measures only the rows of the echo, relay and TLS tables that are called so. `--python` says which
//! interpreter runs the contenders in Python. `--control`
//! measures raw mio twice, to show what the noise makes of a ratio of 1. With `--check` the exit
//! code says whether wharf kept every limit.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::numbers::run))
}

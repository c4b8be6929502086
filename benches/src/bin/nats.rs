//! Contender: wharf's client for NATS, which does one thing many times.
//!
//! ```text
//! nats --server ADDRESS --what publish|pull|core-publish|core-subscribe|idle [--count 100000] [--warm-up 1000]
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;

fn main() -> ExitCode {
    wharf_benches::exit_code(Arguments::from_environment().and_then(wharf_benches::nats::run))
}

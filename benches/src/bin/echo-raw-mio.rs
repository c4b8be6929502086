//! Contender: the hand-written mio loop.
//!
//! `echo-raw-mio --listen 127.0.0.1:0 [--short-read-is-drained] [--spin POLLS]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::raw_mio;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment()
            .and_then(raw_mio::Options::from_arguments)
            .and_then(raw_mio::run),
    )
}

//! Contender: tokio's `copy_bidirectional`, on its `current_thread` runtime.
//!
//! `relay-tokio --listen 127.0.0.1:0 --connect ADDRESS [--buffer BYTES]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::relays::tokio;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(tokio::Options::from_arguments).and_then(tokio::run),
    )
}

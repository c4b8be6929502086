//! Contender: wharf's streams.
//!
//! `echo-streams --listen 127.0.0.1:0 --by read|read_chunk|fill_buf`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::{Options, streams};

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(Options::from_arguments).and_then(streams::run),
    )
}

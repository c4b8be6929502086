//! Contender: wharf's `relay`.
//!
//! `relay-wharf --listen 127.0.0.1:0 --connect ADDRESS [--splicing automatic|never|always]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::relays::wharf;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(wharf::Options::from_arguments).and_then(wharf::run),
    )
}

//! A server that sends a file: wharf's.
//!
//! `file-wharf --listen 127.0.0.1:0 [--file-mib 256] [--read]`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::files;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment()
            .and_then(files::Options::from_arguments)
            .and_then(files::wharf),
    )
}

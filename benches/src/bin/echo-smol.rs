//! Contender: smol, on its `LocalExecutor`.
//!
//! `echo-smol --listen 127.0.0.1:0`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::smol;

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(smol::Options::from_arguments).and_then(smol::run),
    )
}

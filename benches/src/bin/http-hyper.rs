//! Contender: hyper, which answers with a short text.
//!
//! `http-hyper --listen 127.0.0.1:0 --by tokio`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::{Options, hyper};

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(Options::from_arguments).and_then(hyper::run),
    )
}

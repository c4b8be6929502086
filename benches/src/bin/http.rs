//! Contender: a server of HTTP/1.1, which answers with a short text.
//!
//! `http --listen 127.0.0.1:0 --by wharf`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::{Options, http};

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(Options::from_arguments).and_then(http::run),
    )
}

//! Contenders under TLS.
//!
//! `echo-tls --listen 127.0.0.1:0 --by raw|raw-shared|state|tokio|wharf`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::{Options, tls};

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(Options::from_arguments).and_then(tls::run),
    )
}

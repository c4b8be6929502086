//! Contender: a server of a protocol that echoes messages.
//!
//! `messages --listen 127.0.0.1:0 --by websocket`, `websocket-deflate` or `lines`
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_benches::arguments::Arguments;
use wharf_benches::servers::{Options, messages};

fn main() -> ExitCode {
    wharf_benches::exit_code(
        Arguments::from_environment().and_then(Options::from_arguments).and_then(messages::run),
    )
}

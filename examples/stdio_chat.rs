//! The client of the chat example, with standard input and output as transports.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:7000
//! cargo run --release --example stdio_chat -- --connect 127.0.0.1:7000
//! ```
//!
//! Everything is in `chat/client.rs` and `chat/stdio.rs`. It is at home in a pipeline, too:
//!
//! ```text
//! printf '/nick teller\nthe time is:\n' | cat - <(date) | stdio_chat --connect 127.0.0.1:7000
//! stdio_chat --connect 127.0.0.1:7000 < /dev/null | grep --line-buffered teller
//! ```
#![forbid(unsafe_code)]

#[path = "chat/client.rs"]
mod client;
#[path = "chat/stdio.rs"]
mod stdio;
#[path = "chat/visit.rs"]
mod visit;

use std::process::ExitCode;

use lexopt::{Arg, ValueExt};

use wharf_examples::command_line::{address, missing, run, set_once};

const USAGE: &str = "
Takes part in a chat: standard input is said there, and what the others say is written to standard
output. At the end of the input it leaves.

usage: stdio_chat --connect ADDRESS

exit code: 0 if it left by itself, 1 if the server ended the connection or it broke
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let mut connect = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("connect") => {
                    set_once(&mut connect, arguments.value()?.parse_with(address)?)?;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        stdio::run(connect.ok_or_else(|| missing("--connect ADDRESS"))?, None)
    })
}

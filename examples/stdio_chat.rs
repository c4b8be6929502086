//! The client of the chat example, with standard input and output as transports.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:7000
//! cargo run --release --example stdio_chat -- --connect 127.0.0.1:7000
//! ```
//!
//! Everything is in `chat/client.rs`. It is at home in a pipeline, too:
//!
//! ```text
//! printf '/nick teller\nthe time is:\n' | cat - <(date) | stdio_chat --connect 127.0.0.1:7000
//! stdio_chat --connect 127.0.0.1:7000 < /dev/null | grep --line-buffered teller
//! ```
#![forbid(unsafe_code)]

#[path = "chat/client.rs"]
mod client;
#[path = "support/command_line.rs"]
mod command_line;

use std::process::ExitCode;

use lexopt::{Arg, ValueExt};

const USAGE: &str = "
Takes part in a chat: standard input is said there, and what the others say is written to standard
output. At the end of the input it leaves.

usage: stdio_chat --connect ADDRESS
";

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let mut address = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("connect") => address = Some(arguments.value()?.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        client::run(address.ok_or_else(|| lexopt::Error::from("--connect is needed"))?, None)
    })
}

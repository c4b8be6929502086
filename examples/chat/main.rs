//! A chat: rooms, nicknames, and a client for the terminal.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:7000
//! cargo run --release --example chat -- --connect 127.0.0.1:7000
//! ```
//!
//! The protocol is lines of text, so `nc 127.0.0.1 7000` is a client too. Read on in `server.rs`,
//! then in `member.rs`, which is the protocol of one connection; `hall.rs` is what all of them share.
#![forbid(unsafe_code)]

mod client;
mod command;
mod hall;
mod member;
mod server;

#[path = "../support/command_line.rs"]
mod command_line;
#[path = "../support/serving.rs"]
mod serving;

use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{EventLoop, Result};

use self::server::chat_server;
use self::serving::{Listen, serve_until_signal};

const USAGE: &str = "
A chat with rooms and nicknames.

usage: chat --listen ADDRESS [--idle-timeout SECONDS]    serve, until SIGINT or SIGTERM
       chat --unix PATH [--idle-timeout SECONDS]         serve on a Unix socket
       chat --connect ADDRESS                            take part; type /help there
";

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let (mut listen, mut connect, mut idle) = (None, None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => listen = Some(Listen::Address(arguments.value()?.string()?)),
                Arg::Long("unix") => listen = Some(Listen::Unix(arguments.value()?.into())),
                Arg::Long("connect") => connect = Some(arguments.value()?.string()?),
                Arg::Long("idle-timeout") => {
                    idle = Some(Duration::from_secs(arguments.value()?.parse()?));
                }
                other => return Err(other.unexpected().into()),
            }
        }
        match (listen, connect) {
            (Some(listen), None) => serve(listen, idle),
            (None, Some(address)) => client::run(address),
            _ => Err(lexopt::Error::from("one of --listen, --unix and --connect is needed").into()),
        }
    })
}

fn serve(listen: Listen, idle: Option<Duration>) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let server = chat_server(&event_loop, listen, idle).await?;
        serve_until_signal(server).await
    })
}

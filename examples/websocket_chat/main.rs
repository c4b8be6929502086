//! The chat in a browser: a page, and members of the same rooms over WebSocket and over lines.
//!
//! ```text
//! cargo run --release --example websocket_chat -- --listen 127.0.0.1:8000 --lines 127.0.0.1:7000
//! ```
//!
//! Then open `http://127.0.0.1:8000/`, and take part in a terminal with
//! `cargo run --release --example chat -- --connect 127.0.0.1:7000`. What the rooms are, and what members can say, is
//! the chat's: see `../chat/hall.rs` and `../chat/member.rs`.
#![forbid(unsafe_code)]

#[path = "../chat/command.rs"]
mod command;
#[path = "../chat/hall.rs"]
mod hall;
#[path = "../chat/member.rs"]
mod member;
mod visitor;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::Arg;
use wharf::{Result, Timeout};
use wharf_protocols::http::HttpServer;
use wharf_protocols::websocket::{DeflateOptions, ServerHandshake, WebSocketOptions};

use self::hall::Hall;
use self::member::{MAX_LINE, Member};
use self::visitor::Site;
use wharf_examples::command_line::{missing, run, set_once};
use wharf_examples::serving::{GRACE, Listen, announce, serve_until_signal};

const USAGE: &str = "
A chat with a page for browsers, until SIGINT or SIGTERM.

usage: websocket_chat --listen ADDRESS [--lines ADDRESS]

--listen ADDRESS    the page, at http://ADDRESS/
--lines ADDRESS     the same rooms for the terminal: see the example chat
";

/// The most bytes that may wait for one member: see the example chat.
const WRITE_CAP: usize = 256 * 1024;

/// The longest message, in bytes. A page sends lines; one that is too long is refused with a word, as at a terminal, and
/// only what no page sends ends the connection.
const MAX_MESSAGE: usize = 4 * MAX_LINE;

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut lines) = (None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("lines") => set_once(&mut lines, Listen::address(&mut arguments)?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        match (listen, lines) {
            (Some(Listen::Address(pages)), None) => serve(pages, None),
            (Some(Listen::Address(pages)), Some(Listen::Address(lines))) => {
                serve(pages, Some(lines))
            }
            _ => Err(missing("--listen ADDRESS").into()),
        }
    })
}

fn serve(pages: String, lines: Option<String>) -> Result {
    let hall = Rc::new(RefCell::new(Hall::default()));
    wharf::run(async |event_loop| {
        let site = Site {
            hall: Rc::clone(&hall),
            handshake: Rc::new(ServerHandshake::new().deflate(DeflateOptions::new())),
            options: Rc::new(WebSocketOptions::new().max_message_length(MAX_MESSAGE)),
        };
        let site = move || site.clone();
        let server = event_loop.create_server(HttpServer::new().serve_with(site), pages);
        let server = server.write_buffer_cap(Some(WRITE_CAP)).await?;
        let mut terminals = None;
        if let Some(lines) = lines {
            let member = move || Member::new(Rc::clone(&hall));
            let server = event_loop
                .create_server(member, lines)
                .write_buffer_cap(Some(WRITE_CAP))
                .connection_timeout(Timeout::WriteStall, Some(Duration::from_secs(60)))
                .await?;
            announce(&server);
            terminals = Some(server);
        }
        serve_until_signal(server).await?;
        if let Some(terminals) = terminals {
            terminals.shutdown(GRACE).await?;
        }
        Ok(())
    })
}

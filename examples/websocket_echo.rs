//! A WebSocket server that sends back whatever it receives.
//!
//! ```text
//! cargo run --release --example websocket_echo -- --listen 127.0.0.1:9001
//! ```
//!
//! Then, in a browser's console: `s = new WebSocket("ws://127.0.0.1:9001"); s.onmessage = console.log`, and
//! `s.send("hello")`. With `--deflate` messages are compressed if the client offers that.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::rc::Rc;

use lexopt::{Arg, ValueExt};
use wharf::Result;
use wharf_protocols::websocket::{
    DeflateOptions, ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
    WebSocketSession,
};

use wharf_examples::command_line::{bytes, missing, run, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};

const USAGE: &str = "
Sends back whatever messages it receives, until SIGINT or SIGTERM.

usage: websocket_echo --listen ADDRESS [OPTIONS]    such as 127.0.0.1:9001, or :9001 for all interfaces

OPTIONS are --deflate              compress messages, if the client offers it
            --max-message BYTES    the longest message to take, such as 500k or 16Mi; by default 64Mi
";

/// One value of this type is made for each connection.
struct Echo;

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut deflates, mut max_message) = (None, false, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("deflate") => deflates = true,
                Arg::Long("max-message") => {
                    set_once(&mut max_message, arguments.value()?.parse_with(bytes)?)?;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let Some(Listen::Address(address)) = listen else {
            return Err(missing("--listen ADDRESS").into());
        };
        let max_message = max_message.map_or(64 << 20, |bytes| bytes.get() as usize);
        serve(address, deflates, max_message)
    })
}

fn serve(address: String, deflates: bool, max_message: usize) -> Result {
    // It says the same to everybody, so that it does not matter which page asks.
    let mut handshake = ServerHandshake::new().allow_any_origin();
    if deflates {
        handshake = handshake.deflate(DeflateOptions::new());
    }
    let handshake = Rc::new(handshake);
    let options = Rc::new(WebSocketOptions::new().max_message_length(max_message));
    wharf::run(async |event_loop| {
        let factory = move || WebSocketSession::server(Echo, handshake.clone(), options.clone());
        let server = event_loop.create_server(factory, address).await?;
        serve_until_signal(server).await
    })
}

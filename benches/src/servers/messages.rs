//! Servers of `wharf-protocols` that echo messages.

use std::net::SocketAddr;
use std::rc::Rc;

use wharf::{EventLoop, Protocol, Transport};
use wharf_protocols::line::{LineProtocol, Lines};
use wharf_protocols::websocket::{
    DeflateOptions, ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
    WebSocketSession,
};

use super::wharf::serve_until_told;
use super::{Options, prepare};
use crate::Result;

/// Serves until SIGTERM.
///
/// # Errors
/// Listening or accepting fails, or there is no such server.
pub fn run(options: Options) -> Result {
    let handshake = ServerHandshake::new();
    match options.by.as_str() {
        "lines" => serve(options.listen, || Lines::new(Echo)),
        "websocket" => serve_websockets(options.listen, handshake),
        "websocket-deflate" => {
            serve_websockets(options.listen, handshake.deflate(DeflateOptions::new()))
        }
        other => Err(format!("there are no messages by {other}").into()),
    }
}

fn serve_websockets(listen: SocketAddr, handshake: ServerHandshake) -> Result {
    let (handshake, options) = (Rc::new(handshake), Rc::new(WebSocketOptions::new()));
    serve(listen, move || WebSocketSession::server(Echo, handshake.clone(), options.clone()))
}

fn serve<P: Protocol>(listen: SocketAddr, factory: impl Fn() -> P + 'static) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(factory, listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

struct Echo;

impl LineProtocol for Echo {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> wharf::Result {
        transport.write_vectored(&[line, b"\n"].map(std::io::IoSlice::new));
        Ok(())
    }
}

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> wharf::Result {
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> wharf::Result {
        socket.send_binary(bytes)?;
        Ok(())
    }
}

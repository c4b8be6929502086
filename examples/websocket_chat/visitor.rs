//! A browser: it gets the page, and is a member by a WebSocket.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Error, Result, Transport};
use wharf_examples::text::shown;
use wharf_protocols::http::{Exchange, HttpHandler, RequestHead};
use wharf_protocols::websocket::{
    CloseCode, Closure, Role, ServerHandshake, UpgradeRequest, WebSocket, WebSocketOptions,
    WebSocketProtocol, WebSocketSession,
};

use super::hall::{Ear, Hall};
use super::member::obey;

const PAGE: &[u8] = include_bytes!("page.html");

/// Answers one connection's requests.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) hall: Rc<RefCell<Hall>>,
    pub(crate) handshake: Rc<ServerHandshake>,
    pub(crate) options: Rc<WebSocketOptions>,
}

impl HttpHandler for Site {
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        match request.path() {
            "/" => {
                let fields: [(&str, &[u8]); 2] = [
                    ("Content-Type", b"text/html; charset=utf-8"),
                    ("Content-Security-Policy", b"default-src 'self' 'unsafe-inline'"),
                ];
                exchange.respond(200, &fields, PAGE)?;
            }
            "/chat" => self.upgrade(request, exchange)?,
            _ => exchange.respond(404, &[("Content-Type", b"text/plain")], b"not found\n")?,
        }
        Ok(())
    }
}

impl Site {
    /// The HTTP server has read the request, and sends the answer; then the connection is a WebSocket's.
    fn upgrade(&self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        let fields = request.headers().iter();
        let accepted = UpgradeRequest::from_fields(request.method(), request.path(), fields)
            .and_then(|request| self.handshake.accept(&request));
        let acceptance = match accepted {
            Ok(acceptance) => acceptance,
            Err(error) => {
                let text = format!("{error}\n");
                exchange.respond(
                    error.status(),
                    &[("Content-Type", b"text/plain"), ("Sec-WebSocket-Version", b"13")],
                    text.as_bytes(),
                )?;
                return Ok(());
            }
        };
        let fields: Vec<(&str, &[u8])> =
            acceptance.fields().map(|(name, value)| (name, value.as_bytes())).collect();
        let visitor = Visitor { hall: Rc::clone(&self.hall) };
        let (agreed, options) = (acceptance.agreed().clone(), Rc::clone(&self.options));
        exchange.later()?.upgrade(101, &fields, move |stream| {
            let role = Role::Server;
            // Halves of one connection: it does not fail.
            let _ = WebSocketSession::take_over_stream(stream, role, visitor, agreed, options);
        })?;
        Ok(())
    }
}

/// A member in a browser.
struct Visitor {
    hall: Rc<RefCell<Hall>>,
}

impl WebSocketProtocol for Visitor {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        self.hall.borrow_mut().enter(socket.transport().id(), Box::new(socket.clone()));
        Ok(())
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        let id = socket.transport().id();
        for line in text.lines() {
            let leaves = obey(&mut self.hall.borrow_mut(), id, socket, &shown(line.as_bytes()));
            if leaves && socket.is_open() {
                socket.close(CloseCode::NORMAL, "good-bye")?;
            }
        }
        Ok(())
    }

    fn connection_lost(
        &mut self,
        socket: &WebSocket,
        _: &Closure,
        error: Option<&Error>,
    ) -> Result {
        let reason = match error {
            None => "quit".to_owned(),
            Some(error) if error.is_write_cap() => "reads too slowly".to_owned(),
            Some(error) => format!("{error:#}"),
        };
        self.hall.borrow_mut().leave(socket.transport().id(), &reason);
        Ok(())
    }
}

impl Ear for WebSocket {
    fn hear(&self, line: &Bytes) {
        // What is said is text; a member who is leaving hears nothing more.
        if let Ok(text) = std::str::from_utf8(line) {
            let _ = self.send_text(text.trim_end_matches('\n'));
        }
    }
}

//! A browser: it gets the page, and is a member by a WebSocket.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Error, Result, Transport};
use wharf_examples::text::shown;
use wharf_protocols::http::{Exchange, HttpHandler, RequestHead};
use wharf_protocols::websocket::{
    CloseCode, Closure, ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
};

use super::hall::{Ear, Hall, tell};
use super::member::{MAX_LINE, obey};

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
            "/chat" => {
                let visitor = Visitor { hall: Rc::clone(&self.hall) };
                let options = Rc::clone(&self.options);
                self.handshake.answer(request, exchange, options, visitor)?;
            }
            _ => exchange.respond(404, &[("Content-Type", b"text/plain")], b"not found\n")?,
        }
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
            if line.len() > MAX_LINE {
                tell(socket, &format!("! a line is longer than {MAX_LINE} bytes"));
                continue;
            }
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

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wharf::EventLoop;
use wharf_protocols::http::HttpServer;
use wharf_protocols::websocket::{ServerHandshake, WebSocketOptions};

use super::access::{Access, AccessError};
use super::hub::Hub;
use super::site::Site;
use super::source::Source;
use super::visitors::{Ticket, Visit, Visitors};

/// The longest message from a page, in bytes.
const MOST_MESSAGE: usize = 4096;

/// Serves a page that shows what a [`Source`] does. It goes on for as long as its servers do; clones are the same one.
#[derive(Clone)]
pub struct Dashboard {
    shared: Rc<Shared>,
}

/// What a [`Dashboard`] is told.
#[derive(Clone)]
pub struct DashboardOptions {
    /// What people and programs must know; `None`: whoever is on this machine may look.
    pub token: Option<Box<str>>,
    /// Names of this host besides `localhost` and its addresses.
    pub names: Vec<String>,
    /// How often pages are told what has changed; 100 ms by default.
    pub interval: Duration,
}

pub(super) struct Shared {
    pub(super) access: Access,
    pub(super) hub: Rc<Hub>,
    pub(super) visitors: Rc<Visitors>,
    pub(super) handshake: ServerHandshake,
    pub(super) sockets: Rc<WebSocketOptions>,
}

impl Dashboard {
    /// A dashboard that is to be served at `address`.
    ///
    /// # Errors
    /// Others than those on this machine could reach `address`, and there is no token.
    pub fn new(
        event_loop: &EventLoop,
        source: impl Source,
        address: &str,
        options: DashboardOptions,
    ) -> Result<Self, AccessError> {
        let access = Access::new(address, options.token.as_deref(), options.names)?;
        let shared = Shared {
            access,
            hub: Hub::new(event_loop, Rc::new(source), options.interval),
            visitors: Rc::default(),
            // Pages of the same host only.
            handshake: ServerHandshake::new(),
            sockets: Rc::new(WebSocketOptions::new().max_message_length(MOST_MESSAGE)),
        };
        Ok(Self { shared: Rc::new(shared) })
    }

    /// For a server: makes the protocol of each connection.
    pub fn factory(&self) -> impl FnMut() -> Visit + use<> {
        let shared = Rc::clone(&self.shared);
        // Of the connection that is being made.
        let made = Rc::new(Cell::new(None));
        let ticket = Rc::clone(&made);
        let mut connection = HttpServer::new().serve_with(move || {
            let ticket = Ticket::new(&shared.visitors);
            made.set(Some(Rc::clone(&ticket)));
            Site::new(Rc::clone(&shared), ticket)
        });
        move || {
            let connection = connection();
            Visit::new(connection, ticket.take())
        }
    }

    #[cfg(test)]
    pub(super) fn visitors(&self) -> usize {
        self.shared.visitors.count()
    }
}

impl Default for DashboardOptions {
    fn default() -> Self {
        Self { token: None, names: Vec::new(), interval: Duration::from_millis(100) }
    }
}

impl fmt::Debug for DashboardOptions {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DashboardOptions")
            .field("names", &self.names)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Dashboard").finish_non_exhaustive()
    }
}

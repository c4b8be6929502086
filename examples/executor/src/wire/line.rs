use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use wharf::{EventLoop, Timeout, Transport, TransportHandle};

use super::{Outbox, WireError};

/// How long a coordinator may take to welcome somebody. One that takes connections and says nothing is one of several, and
/// the next may be better.
const WELCOME_WITHIN: Duration = Duration::from_secs(30);

/// What is wrong with a coordinator that says so.
pub(crate) const WELCOME_TWICE: &str = "a second welcome";

/// What a worker or a client says to its coordinator, while there is a connection. What is said in one turn of the loop
/// goes out together at its end.
#[derive(Clone)]
pub(crate) struct Line(Rc<Inner>);

struct Inner {
    event_loop: EventLoop,
    transport: RefCell<Option<TransportHandle>>,
    outbox: RefCell<Outbox>,
    is_sending_soon: Cell<bool>,
}

impl Line {
    /// There is no connection yet.
    pub(crate) fn new(event_loop: &EventLoop) -> Self {
        Self(Rc::new(Inner {
            event_loop: event_loop.clone(),
            transport: RefCell::default(),
            outbox: RefCell::default(),
            is_sending_soon: Cell::new(false),
        }))
    }

    /// There is a connection, and the coordinator listens.
    pub(crate) fn connected(&self, transport: &dyn Transport) {
        transport.set_timeout(Timeout::User, None);
        *self.0.transport.borrow_mut() = Some(transport.handle());
    }

    /// The connection is gone, and what was not sent.
    pub(crate) fn disconnected(&self) {
        *self.0.transport.borrow_mut() = None;
        self.0.outbox.borrow_mut().clear();
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.0.transport.borrow().is_some()
    }

    /// Says something; without a connection it is lost.
    pub(crate) fn say(&self, message: &impl Serialize) {
        self.add(|outbox| outbox.push(message));
    }

    /// The same, for what is JSON already.
    pub(crate) fn say_json(&self, message: &[u8]) {
        self.add(|outbox| outbox.push_json(message));
    }

    /// What is said consists of what has limits, and so keeps that of a message.
    fn add(&self, push: impl FnOnce(&mut Outbox) -> Result<(), WireError>) {
        if !self.is_connected() || push(&mut self.0.outbox.borrow_mut()).is_err() {
            return;
        }
        if self.0.outbox.borrow().is_full() {
            self.send();
        } else if !self.0.is_sending_soon.replace(true) {
            let line = self.clone();
            self.0.event_loop.call_soon(move || {
                line.0.is_sending_soon.set(false);
                line.send();
            });
        }
    }

    fn send(&self) {
        if let Some(transport) = &*self.0.transport.borrow() {
            self.0.outbox.borrow_mut().write_to(transport);
        }
    }
}

/// Says something at once: what comes first on a connection. The answer must come in time.
pub(crate) fn greet(transport: &dyn Transport, message: &impl Serialize) -> Result<(), WireError> {
    let mut outbox = Outbox::new();
    outbox.push(message)?;
    outbox.write_to(transport);
    transport.set_timeout(Timeout::User, Some(WELCOME_WITHIN));
    Ok(())
}

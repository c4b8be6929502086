//! Connections of visitors: so many, and of more the one goes that is the least missed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport, TransportHandle};
use wharf_protocols::http::HttpConnection;

use super::site::Site;

/// So many connections at once. Each has one request at a time, so no more wait for the answer to a wrong token.
pub(super) const MOST_VISITORS: usize = 256;

/// All connections, the least missed first.
#[derive(Default)]
pub(super) struct Visitors {
    order: RefCell<BTreeMap<Place, TransportHandle>>,
    /// How often any of them was used.
    uses: Cell<u64>,
}

/// Who it is, and when it was used: of the same kind those go first that have been idle the longest. No two are the same.
type Place = (Kind, u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It has not shown that it may look. Whoever opens thousands sends away others of this kind.
    Stranger,
    /// It may look.
    Known,
    /// It is an open page.
    Page,
}

/// The place of one connection, which it has until this is dropped.
pub(super) struct Ticket {
    visitors: Rc<Visitors>,
    place: Cell<Option<Place>>,
}

impl Visitors {
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.order.borrow().len()
    }

    fn put(&self, kind: Kind, transport: TransportHandle) -> Place {
        self.uses.set(self.uses.get() + 1);
        let place = (kind, self.uses.get());
        self.order.borrow_mut().insert(place, transport);
        place
    }
}

impl Ticket {
    pub(super) fn new(visitors: &Rc<Visitors>) -> Rc<Self> {
        Rc::new(Self { visitors: Rc::clone(visitors), place: Cell::new(None) })
    }

    fn entered(&self, transport: &dyn Transport) {
        let is_full = self.visitors.order.borrow().len() >= MOST_VISITORS;
        let leaves = if is_full { self.visitors.order.borrow_mut().pop_first() } else { None };
        if let Some((_, transport)) = leaves {
            // Its descriptor is wanted: an orderly end could take long.
            transport.abort();
        }
        self.place.set(Some(self.visitors.put(Kind::Stranger, transport.handle())));
    }

    /// There is a request.
    pub(super) fn used(&self) {
        self.is_at_least(Kind::Stranger);
    }

    /// It may look.
    pub(super) fn known(&self) {
        self.is_at_least(Kind::Known);
    }

    /// It is a page that is open from now on.
    pub(super) fn is_page(&self) {
        self.is_at_least(Kind::Page);
    }

    fn is_at_least(&self, kind: Kind) {
        let Some(place) = self.place.get() else { return };
        let transport = self.visitors.order.borrow_mut().remove(&place);
        // None: it was sent away.
        self.place.set(transport.map(|transport| self.visitors.put(kind.max(place.0), transport)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.visitors.order.borrow_mut().remove(&place);
        }
    }
}

/// A connection, until it is an open page.
pub struct Visit {
    connection: HttpConnection<Site>,
    ticket: Option<Rc<Ticket>>,
}

impl Visit {
    pub(super) fn new(connection: HttpConnection<Site>, ticket: Option<Rc<Ticket>>) -> Self {
        Self { connection, ticket }
    }
}

impl Protocol for Visit {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if let Some(ticket) = &self.ticket {
            ticket.entered(transport);
        }
        self.connection.connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.connection.data_received(transport, data)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.connection.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.connection.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.connection.resume_writing(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        self.connection.timed_out(transport, timeout)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.connection.shutting_down(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.connection.connection_lost(transport, error)
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Visit").finish_non_exhaustive()
    }
}

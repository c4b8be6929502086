use std::rc::Rc;

use wharf::{Error, Transport};

/// What is told of a connection: see [`tapped`](super::tapped).
///
/// The transport is the real one, with addresses and TLS. A tap looks; what it does to the transport is done to the
/// connection.
pub trait Tap: 'static {
    /// The connection is up.
    fn opened(&self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// Bytes came from the peer; the protocol gets them next.
    fn received(&self, transport: &dyn Transport, data: &[u8]);

    /// Bytes of the protocol go to the peer.
    fn sent(&self, transport: &dyn Transport, data: &[u8]);

    /// The connection is gone.
    fn closed(&self, transport: &dyn Transport, error: Option<&Error>) {
        let _ = (transport, error);
    }
}

/// Taps can be shared.
impl<T: Tap + ?Sized> Tap for Rc<T> {
    fn opened(&self, transport: &dyn Transport) {
        (**self).opened(transport);
    }

    fn received(&self, transport: &dyn Transport, data: &[u8]) {
        (**self).received(transport, data);
    }

    fn sent(&self, transport: &dyn Transport, data: &[u8]) {
        (**self).sent(transport, data);
    }

    fn closed(&self, transport: &dyn Transport, error: Option<&Error>) {
        (**self).closed(transport, error);
    }
}

/// Both are told, the first one first.
impl<T: Tap, U: Tap> Tap for (T, U) {
    fn opened(&self, transport: &dyn Transport) {
        self.0.opened(transport);
        self.1.opened(transport);
    }

    fn received(&self, transport: &dyn Transport, data: &[u8]) {
        self.0.received(transport, data);
        self.1.received(transport, data);
    }

    fn sent(&self, transport: &dyn Transport, data: &[u8]) {
        self.0.sent(transport, data);
        self.1.sent(transport, data);
    }

    fn closed(&self, transport: &dyn Transport, error: Option<&Error>) {
        self.0.closed(transport, error);
        self.1.closed(transport, error);
    }
}

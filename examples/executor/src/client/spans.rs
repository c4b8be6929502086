//! What has run in slots.

use std::collections::VecDeque;

use super::backend::Backend;
use super::handle::Client;
use crate::coordinator::Span;

impl Client {
    /// Whether [`spans`](Self::spans) are heard. A coordinator tells none to clients.
    pub(crate) fn watch_spans(&self, on: bool) {
        if let Backend::Nats(nats) = &self.shared.backend {
            nats.client().watch_spans(on);
        }
    }

    /// What has run in slots since the last call, and how much more of which nothing is known.
    pub(crate) fn spans(&self) -> (VecDeque<Span>, u64) {
        match &self.shared.backend {
            Backend::Nats(nats) => nats.client().spans(),
            Backend::Coordinator(_) => (VecDeque::new(), 0),
        }
    }
}

use std::cell::Cell;

use wharf::{Error, Transport};

use super::Tap;

/// A [`Tap`] that counts, over all the connections that share it.
#[derive(Debug, Default)]
pub struct Counters {
    received: Cell<u64>,
    sent: Cell<u64>,
    opened: Cell<u64>,
    closed: Cell<u64>,
    failed: Cell<u64>,
}

impl Counters {
    /// Bytes from peers.
    pub fn bytes_received(&self) -> u64 {
        self.received.get()
    }

    /// Bytes to peers.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.get()
    }

    /// Connections that there have been.
    pub fn connections(&self) -> u64 {
        self.opened.get()
    }

    /// Connections that there are.
    pub fn open(&self) -> u64 {
        self.opened.get() - self.closed.get()
    }

    /// Connections that an error has ended.
    pub fn failed(&self) -> u64 {
        self.failed.get()
    }
}

impl Tap for Counters {
    fn opened(&self, _: &dyn Transport) {
        add(&self.opened, 1);
    }

    fn received(&self, _: &dyn Transport, data: &[u8]) {
        add(&self.received, data.len());
    }

    fn sent(&self, _: &dyn Transport, data: &[u8]) {
        add(&self.sent, data.len());
    }

    fn closed(&self, _: &dyn Transport, error: Option<&Error>) {
        add(&self.closed, 1);
        add(&self.failed, usize::from(error.is_some()));
    }
}

fn add(counter: &Cell<u64>, number: usize) {
    counter.set(counter.get() + number as u64);
}

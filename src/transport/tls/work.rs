//! What a loop has for all its TLS connections.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use rustls::pki_types::UnixTime;

use super::scratch::Scratch;
use crate::event_loop::Core;
use crate::tls::clock;
use crate::transport::Stream;

/// Buffers that are used one at a time, and the handshakes that wait for their turn.
#[derive(Default)]
pub(crate) struct TlsWork {
    records: Cell<Option<Scratch>>,
    plaintext: Cell<Vec<u8>>,
    waiting: RefCell<VecDeque<Rc<Stream>>>,
    /// The tick that `left` is of.
    tick: Cell<u64>,
    left: Cell<u32>,
}

impl TlsWork {
    /// How many steps of handshakes one tick takes. Each can be a signature, which is long: whoever
    /// has finished its handshake is served in between.
    pub(crate) const STEPS_PER_TICK: u32 = 4;

    /// Lends the memory that records are made in.
    pub(crate) fn with_records<R>(&self, action: impl FnOnce(&mut Scratch) -> R) -> R {
        let mut records = self.records.take().unwrap_or_default();
        records.clear();
        let result = action(&mut records);
        self.records.set(Some(records));
        result
    }

    /// Lends the memory that small writes are joined in.
    pub(crate) fn with_plaintext<R>(&self, action: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut plaintext = self.plaintext.take();
        plaintext.clear();
        let result = action(&mut plaintext);
        self.plaintext.set(plaintext);
        result
    }

    /// Whether a handshake may go on in this tick; each call is a step.
    pub(crate) fn may_step(&self, tick: u64) -> bool {
        if self.tick.replace(tick) != tick {
            self.left.set(Self::STEPS_PER_TICK);
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// Lets the handshake go on in a later tick.
    pub(crate) fn put_off(&self, stream: Rc<Stream>) {
        self.waiting.borrow_mut().push_back(stream);
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Takes those whose turn it is.
    pub(crate) fn next_waiting(&self) -> Option<Rc<Stream>> {
        self.waiting.borrow_mut().pop_front()
    }

    pub(crate) fn forget_waiting(&self) -> VecDeque<Rc<Stream>> {
        self.waiting.take()
    }
}

impl Core {
    /// Runs `action` by the loop's clock, where that is not the system's.
    pub(crate) fn by_the_clock<R>(&self, action: impl FnOnce() -> R) -> R {
        match self.driver.date() {
            Some(since_epoch) => clock::at(UnixTime::since_unix_epoch(since_epoch), action),
            None => action(),
        }
    }
}

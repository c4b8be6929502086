//! The receiving side: what an event leads to.

use std::io;
use std::rc::Rc;

use super::callback::NotDone;
use super::flags::Flags;
use super::{Datagram, DatagramEndpoint, Datagrams};
use crate::driver::drained::is_batch_drained;
use crate::driver::{Details, RECEIVE_BATCH, ReceiveBuffers, Received};
use crate::error::Error;
use crate::event_loop::Core;
use crate::fence::{self, Trip};

/// How many batches one endpoint receives in its turn, before the others have theirs.
const BATCHES_PER_TURN: u32 = 4;

/// The least a receive asks for. Asking for more than there is costs little, but not nothing.
pub(super) const LEAST_BATCH: usize = 4;

/// What was received when reading was paused in the middle of a batch.
#[derive(Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    received: Vec<Received>,
    details: Vec<Details>,
}

impl DatagramEndpoint {
    /// Does what the endpoint is ready for. Sends first: so that there is room for answers.
    pub(crate) fn dispatch(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::QUEUED);
        fence::trip(Trip::Dispatch);
        if self.has(Flags::CLOSED) {
            return;
        }
        if self.needs_update() {
            self.update(core);
        }
        if self.has(Flags::HAS_KEPT) && self.is_reading() {
            self.deliver_kept(core);
        }
        if self.has(Flags::READABLE) && self.is_reading() {
            self.receive(core);
        }
        if self.has(Flags::READABLE.union(Flags::HAS_KEPT)) && self.is_reading() {
            // The driver does not tell again.
            self.enqueue(core);
        }
    }

    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        !self.has(Flags::NOT_READING)
    }

    pub(super) fn pause_reading(&self) {
        self.set(Flags::PAUSED);
    }

    pub(super) fn resume_reading(self: &Rc<Self>, core: &Core) {
        if self.has(Flags::PAUSED) {
            self.clear(Flags::PAUSED);
            if self.has(Flags::READABLE.union(Flags::HAS_KEPT)) {
                self.enqueue(core);
            }
        }
    }

    fn receive(self: &Rc<Self>, core: &Rc<Core>) {
        let mut buffers = core.datagrams.borrow_buffers();
        for _ in 0..BATCHES_PER_TURN {
            if !self.receive_batch(core, buffers.value()) {
                break;
            }
        }
    }

    /// Receives and delivers one batch. Returns whether to go on.
    #[inline]
    fn receive_batch(self: &Rc<Self>, core: &Rc<Core>, buffers: &mut ReceiveBuffers) -> bool {
        let wanted = self.receive_hint.get();
        let result = self.socket.borrow().receive(buffers, wanted);
        match result {
            Ok(count) => {
                if is_batch_drained(count, wanted, self.has(Flags::ERROR)) {
                    self.clear(Flags::READABLE);
                }
                self.receive_hint.set((count * 2).clamp(LEAST_BATCH, RECEIVE_BATCH));
                let (bytes, received, details) = buffers.parts();
                self.deliver(core, Datagrams::new(bytes, received, details, &self.flags));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE.union(Flags::ERROR));
            }
            Err(error) => self.receive_failed(core, error),
        }
        if self.needs_update() {
            self.update(core);
        }
        self.has(Flags::READABLE) && self.is_reading()
    }

    /// What the network said to an earlier datagram, mostly: the endpoint goes on.
    #[cold]
    fn receive_failed(self: &Rc<Self>, core: &Rc<Core>, error: io::Error) {
        use rustix::io::Errno;
        let code = Errno::from_io_error(&error);
        if code == Some(Errno::BADF) || code == Some(Errno::NOTSOCK) {
            // Not of the network: it would never be otherwise.
            let error = Error::io("datagrams cannot be received", error);
            return self.end(core, Some(error));
        }
        self.tell_earlier(error);
    }

    /// Delivers a batch: what a callback that failed, or was paused, has not taken is not lost.
    #[inline]
    fn deliver(self: &Rc<Self>, core: &Rc<Core>, mut batch: Datagrams<'_>) {
        while !batch.is_empty() && self.is_reading() {
            let before = batch.taken_datagrams();
            let outcome = self.call(core, "datagrams_received", |protocol, transport| {
                protocol.datagrams_received(transport, &mut batch)
            });
            match outcome {
                Ok(()) if self.is_reading() => {
                    // What it did not take it does not want.
                    while batch.next().is_some() {}
                }
                Ok(()) => {}
                Err(NotDone::Busy) => break,
                Err(NotDone::Failed) if batch.taken_datagrams() == before => {
                    // It fails without taking any: the first is what it fails on.
                    batch.next();
                }
                Err(NotDone::Failed) => {}
            }
        }
        let taken = batch.taken();
        self.counts.change(|counts| {
            counts.received += batch.taken_datagrams() as u64;
            counts.truncated += taken.truncated as u64;
        });
        core.counters.add_received(taken.bytes);
        if !batch.is_empty() {
            self.keep_rest(batch);
        }
    }

    /// Reading was paused, or the endpoint closed, in the middle of a batch.
    #[cold]
    fn keep_rest(&self, mut batch: Datagrams<'_>) {
        if self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            let rest = batch.remaining() as u64;
            return self.counts.change(|counts| counts.discarded_unread += rest);
        }
        let mut kept = self.kept.borrow_mut();
        let kept = kept.get_or_insert_default();
        while let Some(Datagram { data, from, to, interface, ecn, truncated }) = batch.pop() {
            let (start, len) = (kept.bytes.len(), data.len());
            kept.bytes.extend_from_slice(data);
            kept.received.push(Received { start, len, from: from.clone() });
            kept.details.push(Details { stride: len, to, interface, ecn, truncated });
        }
        self.set(Flags::HAS_KEPT);
    }

    #[cold]
    fn deliver_kept(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::HAS_KEPT);
        let kept = self.kept.take();
        if let Some(kept) = kept {
            let Kept { bytes, received, details } = &*kept;
            self.deliver(core, Datagrams::new(bytes, received, details, &self.flags));
        }
        if self.needs_update() {
            self.update(core);
        }
    }

    /// The endpoint is closed: what was kept is dropped.
    pub(super) fn discard_kept(&self) {
        self.clear(Flags::HAS_KEPT);
        if let Some(kept) = self.kept.take() {
            let rest = kept.received.len() as u64;
            self.counts.change(|counts| counts.discarded_unread += rest);
        }
    }
}

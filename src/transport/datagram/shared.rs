//! What the datagram endpoints of one loop share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::DatagramEndpoint;
use crate::cell::Borrowed;
use crate::driver::{Outbox, ReceiveBuffers};
use crate::event_loop::Core;

/// What the datagram endpoints of one loop share.
#[derive(Default)]
pub(crate) struct DatagramShared {
    /// What the running callback sent from its own endpoint.
    pub(super) gather: RefCell<Outbox>,
    /// Always empty: for callbacks whose datagrams are not gathered.
    pub(super) never: RefCell<Outbox>,
    /// Where datagrams are received, made when the first one comes.
    buffers: Cell<Option<Box<ReceiveBuffers>>>,
    /// Sent from outside their own callbacks: flushed at the end of the round.
    dirty: RefCell<Vec<Rc<DatagramEndpoint>>>,
    /// Closed: `connection_lost` is due.
    lost: RefCell<VecDeque<Rc<DatagramEndpoint>>>,
}

impl DatagramShared {
    /// The buffers, as long as the guard lives.
    pub(super) fn borrow_buffers(&self) -> Borrowed<'_, Box<ReceiveBuffers>> {
        Borrowed::take(&self.buffers, || Box::new(ReceiveBuffers::new()))
    }

    pub(super) fn push_dirty(&self, core: &Core, endpoint: Rc<DatagramEndpoint>) {
        core.mark_unsettled();
        self.dirty.borrow_mut().push(endpoint);
    }

    pub(super) fn push_lost(&self, core: &Core, endpoint: Rc<DatagramEndpoint>) {
        core.mark_unsettled();
        self.lost.borrow_mut().push_back(endpoint);
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.dirty.borrow().is_empty() || !self.lost.borrow().is_empty()
    }

    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.borrow().is_empty()
    }

    /// Whether nothing of it is borrowed.
    pub(crate) fn is_free(&self) -> bool {
        self.gather.try_borrow_mut().is_ok()
            && self.dirty.try_borrow_mut().is_ok()
            && self.lost.try_borrow_mut().is_ok()
    }

    /// The end of the round: flushes what was sent from elsewhere.
    pub(crate) fn update_dirty(&self, core: &Rc<Core>) {
        let count = self.dirty.borrow().len();
        for position in 0..count {
            let endpoint = Rc::clone(&self.dirty.borrow()[position]);
            endpoint.update_dirty(core);
        }
        self.dirty.borrow_mut().drain(..count);
    }

    /// The end of the tick: delivers `connection_lost` to those that are closed.
    pub(crate) fn finish_lost(&self, core: &Rc<Core>) {
        let count = self.lost.borrow().len();
        for _ in 0..count {
            // It stays in the list until it is finished: something may unwind.
            let Some(endpoint) = self.lost.borrow().front().map(Rc::clone) else { break };
            endpoint.finish(core);
            let finished = self.lost.borrow_mut().pop_front();
            drop(finished);
        }
    }

    /// A callback was interrupted: what it sent is forgotten.
    pub(crate) fn forget_gathered(&self) {
        *self.gather.borrow_mut() = Outbox::default();
    }

    /// The loop is closed: lets go of everything.
    pub(crate) fn clear(&self) {
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        drop(dirty);
        self.buffers.set(None);
    }
}

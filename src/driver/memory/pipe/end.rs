//! One end of a connection, as its own side knows it.

use std::cell::{Cell, RefCell};
use std::io;

use super::keep_alive::KeepAlive;
use crate::address::Address;
use crate::driver::memory::kernel::{Blocked, Descriptor, Kernel};
use crate::driver::memory::ports::PortUse;
use crate::driver::{Key, Readiness, Signals};

#[derive(Default)]
pub(super) struct End {
    registration: RefCell<Option<(Key, Signals)>>,
    pub(super) address: RefCell<Option<Address>>,
    /// What the connection has failed with: told once, when the input is read. Then there is an end, and nobody to write to.
    error: Cell<Option<io::ErrorKind>>,
    failed: Cell<bool>,
    pub(super) closed: Cell<bool>,
    /// It is known here that the other end was closed.
    pub(super) deserted: Cell<bool>,
    /// A write was told so.
    pub(super) broken: Cell<bool>,
    /// Closing this end resets the connection.
    pub(super) resets: Cell<bool>,
    /// The connection is over here, and its kernel has forgotten it.
    pub(super) gone: Cell<bool>,
    /// Connecting goes on: nothing is ready before it is over.
    pub(super) connecting: Cell<bool>,
    pub(super) keep_alive: KeepAlive,
    pub(super) kernel: Kernel,
    pub(super) blocked: Blocked,
    descriptor: Cell<Option<Descriptor>>,
    /// The addresses that it has, on a simulated host.
    port: RefCell<Option<PortUse>>,
    /// The other side's end was there before its own was sent: then nobody waits here for anything.
    ends_second: Cell<bool>,
}

impl End {
    pub(super) fn new(address: Option<Address>, kernel: Kernel) -> Self {
        Self { address: RefCell::new(address), kernel, ..Self::default() }
    }

    /// The descriptor that it has until it is closed.
    pub(super) fn own(&self, descriptor: Descriptor) {
        self.descriptor.set(Some(descriptor));
    }

    pub(super) fn register(&self, key: Key, signals: Signals) {
        *self.registration.borrow_mut() = Some((key, signals));
    }

    /// It is not used any more.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.registration.borrow_mut().take();
        self.descriptor.take();
    }

    /// The addresses that it has until others can have them.
    pub(super) fn hold_port(&self, port: PortUse) {
        self.ends_second.set(false);
        let former = self.port.replace(Some(port));
        former.into_iter().for_each(PortUse::free);
    }

    /// It is over, and others can have its addresses.
    pub(super) fn free_port(&self) {
        let port = self.port.take();
        port.into_iter().for_each(PortUse::free);
    }

    /// It sends its end.
    pub(super) fn ends(&self, is_second: bool) {
        self.ends_second.set(is_second);
    }

    /// Its own end has arrived, and is the last that passes, or the other side's comes later.
    pub(super) fn end_has_arrived(&self) {
        if self.ends_second.get() {
            self.free_port();
        } else if self.closed.get()
            && let Some(port) = &*self.port.borrow()
        {
            port.end();
        }
    }

    /// The other side's end has arrived after its own was sent: whatever is still under way between these addresses must
    /// not be taken for another connection's.
    pub(super) fn waits(&self) {
        if let Some(port) = self.port.take() {
            port.end();
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// What it has failed with, if no call has said so.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.error.take().map(io::Error::from)
    }

    /// Adds what it is ready for when it has failed.
    pub(super) fn add_failure(&self, readiness: &mut Readiness) {
        let ended = Readiness::READ_CLOSED.union(Readiness::WRITE_CLOSED);
        readiness.set(Readiness::READ.union(Readiness::WRITE).union(ended), self.failed.get());
        let error = self.error.take();
        readiness.set(Readiness::ERROR, error.is_some());
        self.error.set(error);
    }

    pub(super) fn fail(&self, kind: io::ErrorKind) {
        self.gone.set(true);
        self.free_port();
        if self.closed.get() || self.has_failed() {
            return;
        }
        self.error.set(Some(kind));
        self.failed.set(true);
        let mut readiness = Readiness::READ;
        self.add_failure(&mut readiness);
        self.signal(readiness);
    }

    pub(super) fn signal(&self, mut readiness: Readiness) {
        let more = Readiness::READ.union(Readiness::WRITE);
        readiness.set(more, !self.connecting.get() && self.kernel.is_spurious());
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.push(*key, readiness);
        }
    }
}

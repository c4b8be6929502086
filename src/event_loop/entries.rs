//! The concrete things that a loop drives: what its slots hold, what its ready list runs, and the tables
//! that other modules keep in its [`Core`].
//!
//! The modules above (`task`, `transport`, `net`, `process`) import the engine, and this file alone
//! imports them back. It is the only circle between the top-level modules. It is there for speed: the
//! engine matches an event to a [`Stream`] and calls it directly, so the whole way of a message is
//! inlined. Behind a trait, each event would cost a virtual call. A unit test (`src/layers.rs`) finds any
//! other import against the order of the modules.

use std::rc::Rc;

use super::core::Core;
use super::ready::Callback;
use super::registry::Runnable;
use super::slots::Slots;
use crate::address::Address;
use crate::driver::{Key, Readiness};
use crate::error::Error;
use crate::time::TimerKey;

pub(crate) use crate::net::{Lookups, ServerCore};
pub(crate) use crate::process::ProcessTable;
pub(crate) use crate::task::{Jobs, TaskTable, discard};
#[cfg(feature = "tls-core")]
pub(crate) use crate::transport::TlsWork;
pub(crate) use crate::transport::{
    DatagramEndpoint, DatagramShared, Lingering, Stream, StreamPool,
};

/// What a slot holds.
#[derive(Clone)]
pub(crate) enum Entry {
    Stream(Rc<Stream>),
    Datagram(Rc<DatagramEndpoint>),
    Source(Rc<dyn Source>),
}

/// Something other than a transport that readiness is reported for: a listener, a connect, a watcher.
pub(crate) trait Source {
    /// Notes what it is ready for in the slot `key`, of which it may have several. Returns whether
    /// it has to be put in the ready list for that.
    fn note(&self, key: Key, readiness: Readiness) -> bool;

    /// Does what it is ready for. Called from the ready list.
    fn run(self: Rc<Self>, core: &Rc<Core>);

    /// The program is over, and what it has written is to be sent: nothing new begins.
    fn wind_down(self: Rc<Self>, core: &Rc<Core>) {
        let _ = core;
    }

    /// The loop is about to close: what takes its time to end begins to.
    fn prepare_close(self: Rc<Self>, core: &Rc<Core>) {
        let _ = core;
    }

    /// What a dump says of it, if it is a listener.
    fn as_listener(&self) -> Option<ListenerFacts> {
        None
    }

    /// The loop closes: let go of everything.
    fn close(self: Rc<Self>, core: &Rc<Core>);
}

/// What a dump says of a listener.
pub(crate) struct ListenerFacts {
    pub(crate) address: Option<Address>,
    pub(crate) is_serving: bool,
    pub(crate) connections: usize,
}

/// What runs in the next round of the ready list.
pub(crate) enum Ready {
    /// A stream is readable or writable.
    Stream(Rc<Stream>),
    /// A datagram endpoint has something to deliver or to send.
    Datagram(Rc<DatagramEndpoint>),
    /// A timer has fired. Its callback stays with the timers, where it can be cancelled or reset.
    Timer(TimerKey),
    Source(Rc<dyn Source>),
    /// `call_soon`, or something of the engine's own.
    Callback(Rc<dyn Callback>),
    Task(Runnable),
}

impl Entry {
    /// Ends it at once: the loop closes.
    pub(super) fn abort(&self, core: &Rc<Core>) {
        match self {
            Self::Stream(stream) => stream.abort(core),
            Self::Datagram(endpoint) => endpoint.abort(core),
            Self::Source(source) => {
                let source = Rc::clone(source);
                core.run_caught("closing failed", || source.close(core));
            }
        }
    }

    /// Ends it in good order: what was written is sent first. Returns whether that may take a while.
    pub(super) fn wind_down(&self, core: &Rc<Core>) -> bool {
        match self {
            Self::Stream(stream) => stream.close(core),
            Self::Datagram(endpoint) => endpoint.close(core),
            Self::Source(source) => {
                let source = Rc::clone(source);
                core.run_caught("closing failed", || source.wind_down(core));
                return false;
            }
        }
        true
    }

    /// Something has unwound through a tick: ends the entry if it was interrupted in a callback, and has it
    /// go on if not.
    pub(super) fn go_on_or_end(&self, core: &Rc<Core>, error: &Error) {
        match self {
            Self::Stream(stream) => stream.go_on_or_end(core, error),
            Self::Datagram(endpoint) => endpoint.go_on_or_end(core, error),
            Self::Source(_) => {}
        }
    }
}

impl Slots<Entry> {
    #[inline]
    pub(crate) fn stream(&self, key: Key) -> Option<&Rc<Stream>> {
        match self.entry(key) {
            Some(Entry::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn datagram_endpoint(&self, key: Key) -> Option<&Rc<DatagramEndpoint>> {
        match self.entry(key) {
            Some(Entry::Datagram(endpoint)) => Some(endpoint),
            _ => None,
        }
    }

    pub(crate) fn source(&self, key: Key) -> Option<&Rc<dyn Source>> {
        match self.entry(key) {
            Some(Entry::Source(source)) => Some(source),
            _ => None,
        }
    }
}

//! What a probe has seen.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use wharf::{Error, Timeout, TimeoutKind, TransportHandle};

use super::rules::violate;
use super::traces;

/// A callback that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Made,
    Data,
    Eof,
    Pause,
    Resume,
    TimedOut(Timeout),
    ShuttingDown,
    TlsEstablished,
    Lost,
}

/// What a [`Probe`](super::Probe) saw; clones share it.
#[derive(Clone, Default)]
pub struct Log(pub(super) Rc<State>);

#[derive(Default)]
pub(super) struct State {
    pub(super) calls: RefCell<Vec<Call>>,
    pub(super) received: RefCell<Vec<u8>>,
    pub(super) chunks: RefCell<Vec<usize>>,
    pub(super) handle: OnceCell<TransportHandle>,
    pub(super) lost: RefCell<Option<Option<Cause>>>,
    /// Where a probe took over from another, which got `connection_made` in its stead.
    pub(super) successor: Cell<bool>,
    pub(super) drops: Cell<u32>,
}

/// What `connection_lost` was told, as far as tests ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub text: String,
    pub io_kind: Option<io::ErrorKind>,
    pub timeout: Option<TimeoutKind>,
    pub is_application: bool,
    pub is_panic: bool,
    pub is_write_cap: bool,
    pub is_invalid: bool,
    pub is_tls: bool,
    pub is_truncated: bool,
}

impl Log {
    pub fn new() -> Self {
        let log = Self::default();
        traces::note(&log);
        log
    }

    /// The log of a probe that `set_protocol` installs: no `connection_made` comes.
    pub fn successor() -> Self {
        let log = Self::new();
        log.0.successor.set(true);
        log
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    /// The calls, with neighbouring `Data` as one.
    pub fn order(&self) -> Vec<Call> {
        let mut calls = self.calls();
        calls.dedup_by(|second, first| *first == Call::Data && *second == Call::Data);
        calls
    }

    pub fn count(&self, call: Call) -> usize {
        self.0.calls.borrow().iter().filter(|other| **other == call).count()
    }

    pub fn received(&self) -> Vec<u8> {
        self.0.received.borrow().clone()
    }

    pub fn received_len(&self) -> usize {
        self.0.received.borrow().len()
    }

    /// The lengths of what `data_received` was given.
    pub fn chunks(&self) -> Vec<usize> {
        self.0.chunks.borrow().clone()
    }

    pub fn handle(&self) -> TransportHandle {
        self.0.handle.get().expect("connection_made was called").clone()
    }

    pub fn is_made(&self) -> bool {
        self.0.handle.get().is_some()
    }

    pub fn is_lost(&self) -> bool {
        self.0.lost.borrow().is_some()
    }

    /// What `connection_lost` was told.
    #[track_caller]
    pub fn cause(&self) -> Option<Cause> {
        self.0.lost.borrow().clone().expect("connection_lost was called")
    }

    /// How often a probe with this log was dropped.
    pub fn drops(&self) -> u32 {
        self.0.drops.get()
    }

    pub(super) fn note(&self, call: Call) {
        let mut calls = self.0.calls.borrow_mut();
        let first = calls.is_empty() && !self.0.successor.get();
        if first != (call == Call::Made) {
            violate(format!("{call:?} after {calls:?}"));
        }
        if calls.last() == Some(&Call::Lost) {
            violate(format!("{call:?} after connection_lost"));
        }
        if matches!(call, Call::Data | Call::Eof) && calls.contains(&Call::Eof) {
            violate(format!("{call:?} after eof_received"));
        }
        let flow = |call: &&Call| matches!(call, Call::Pause | Call::Resume);
        match call {
            Call::Pause if calls.iter().rev().find(flow) == Some(&Call::Pause) => {
                violate("pause_writing twice".into());
            }
            Call::Resume if calls.iter().rev().find(flow) != Some(&Call::Pause) => {
                violate("resume_writing without pause_writing".into());
            }
            _ => {}
        }
        calls.push(call);
    }
}

impl Cause {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            text: format!("{error:#}"),
            io_kind: error.io_kind(),
            timeout: error.timeout_kind(),
            is_application: error.is_application(),
            is_panic: error.is_panic(),
            is_write_cap: error.is_write_cap(),
            is_invalid: error.is_invalid(),
            #[cfg(feature = "tls")]
            is_tls: error.is_tls(),
            #[cfg(feature = "tls")]
            is_truncated: error.is_truncated(),
            #[cfg(not(feature = "tls"))]
            is_tls: false,
            #[cfg(not(feature = "tls"))]
            is_truncated: false,
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Log")
            .field("order", &self.order())
            .field("received", &self.received_len())
            .field("lost", &self.0.lost.borrow())
            .finish()
    }
}

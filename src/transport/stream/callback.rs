//! Calling protocols: they are out of their place meanwhile, what they write is gathered, and their
//! panics are caught.
//!
//! What is inlined and what is out of line, here, in `read/dispatch.rs` and in `write/gather.rs`, is
//! chosen by the benchmarks `echo` and `gather`, which count instructions (`docs/numbers.md`).

use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::access::Lent;
use super::flags::Flags;
use crate::cell::put_back;
use crate::driver::TransportId;
use crate::error::{Error, Failure, Result};
use crate::event_loop::{Core, SlowWatch, Subject};
use crate::fence::{self, Panic, Trip};
use crate::protocol::{Protocol, type_name_in};
use crate::transport::Transport;

impl Stream {
    /// Calls `data_received`, and updates the stream if that is needed. `tail` gives the last bytes of
    /// `data`, as many as the protocol gives back.
    #[inline(always)]
    pub(super) fn deliver(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        tail: impl FnOnce(usize) -> Bytes,
    ) {
        self.call(core, "data_received", |protocol, transport| {
            protocol.data_received(transport, data)
        });
        if self.needs_update() {
            if self.has(Flags::UNREAD) {
                // It is delivered in the next round, if the protocol reads then.
                self.keep_leftover(core, tail(core.unread.get().min(data.len())));
                self.enqueue(core);
            }
            self.update_after_read(core);
        }
    }

    /// Updates the stream after a callback that delivers input.
    #[cold]
    pub(super) fn update_after_read(self: &Rc<Self>, core: &Rc<Core>) {
        self.set(Flags::IN_READ);
        self.update(core);
        self.clear(Flags::IN_READ);
    }

    /// Calls the protocol, and sends what it wrote to its own connection.
    ///
    /// `None` when the callback failed (the connection is then closed), and when there is no
    /// protocol to call.
    #[inline(always)]
    pub(super) fn call<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> Option<R> {
        debug_assert!(!core.gathering.get(), "a callback would run inside another");
        match self.run_callback(core, name, callback) {
            Ok(result) => Some(result),
            Err(Failed::Busy) => None,
            Err(Failed::With(failure)) => {
                self.callback_failed(core, name, failure.into_error());
                None
            }
        }
    }

    /// The call itself.
    #[inline(always)]
    pub(crate) fn run_callback<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> std::result::Result<R, Failed> {
        if core.slow_callback.get().is_none() {
            self.run_unwatched(core, callback)
        } else {
            self.run_watched(core, name, callback)
        }
    }

    #[cold]
    fn run_watched<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> std::result::Result<R, Failed> {
        let watch = SlowWatch::start(core);
        let outcome = self.run_unwatched(core, callback);
        if let Some(took) = watch.took_too_long(core) {
            core.report_slow_callback(&self.subject(), name, took);
        }
        outcome
    }

    #[inline(always)]
    fn run_unwatched<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> std::result::Result<R, Failed> {
        let Some(mut protocol) = self.protocol.take() else { return Err(Failed::Busy) };
        core.debug_assert_nothing_borrowed();
        // Inside another's callback (`Connection::with`) writes are queued: one gathers at a time.
        let gathers = !core.gathering.replace(true);
        if gathers {
            self.set(Flags::IN_CALLBACK);
        }
        core.counters.count_callback();
        let outcome = fence::run(|| callback(&mut *protocol, &Lent { core, stream: self }));
        // This comes first: what unwinds from here on does not take the protocol along.
        put_back(&self.protocol, protocol);
        // The outcomes are told apart first, so that few values are kept across what follows.
        match outcome {
            Ok(Ok(result)) => {
                self.end_callback(core, gathers);
                Ok(result)
            }
            Ok(Err(failure)) => {
                self.end_failed_callback(core, gathers);
                Err(Failed::With(CallbackFailure::Returned(failure)))
            }
            Err(panic) => {
                self.end_failed_callback(core, gathers);
                Err(Failed::With(CallbackFailure::Panicked(panic)))
            }
        }
    }

    #[cold]
    fn end_failed_callback(self: &Rc<Self>, core: &Rc<Core>, gathers: bool) {
        self.end_callback(core, gathers);
    }

    #[inline(always)]
    fn end_callback(self: &Rc<Self>, core: &Rc<Core>, gathers: bool) {
        fence::trip(Trip::EndOfCallback);
        if gathers {
            self.flush_gathered(core);
            self.clear(Flags::IN_CALLBACK.union(Flags::UNUSED));
            core.gathering.set(false);
        }
    }

    /// An `Err` or a panic: the connection ends. The exception handler is told, unless it is the peer's or the
    /// network's doing.
    #[cold]
    pub(super) fn callback_failed(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        error: Error,
    ) {
        core.report_callback(&self.subject(), name, &error);
        self.end(core, Some(error));
    }

    /// What a report says of this connection.
    #[cold]
    pub(super) fn subject(&self) -> Subject {
        let peer = self.info().peer_address.clone();
        Subject::new(TransportId(self.key), type_name_in(&self.protocol), peer)
    }
}

/// Why a callback gave nothing.
pub(crate) enum Failed {
    /// The protocol is inside another of its callbacks, or gone.
    Busy,
    With(CallbackFailure),
}

pub(crate) enum CallbackFailure {
    Returned(Failure),
    Panicked(Panic),
}

impl CallbackFailure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Returned(failure) => Error::from(failure),
            Self::Panicked(panic) => panic.into_error(),
        }
    }
}

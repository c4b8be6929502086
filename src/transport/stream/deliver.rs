//! Calling protocols: out of their place, gathering what they write, catching what they throw.

use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::access::Lent;
use super::flags::Flags;
use crate::cell::put_back;
use crate::driver::{Readiness, TransportId};
use crate::error::{Error, Failure, Result};
use crate::event_loop::{Core, Exception, SlowWatch};
use crate::fence::{self, Panic, Trip};
use crate::protocol::Protocol;
use crate::transport::Transport;

impl Stream {
    /// Calls the protocol, and sends what it wrote to its own connection.
    ///
    /// `None` when the callback failed (the connection is then lost), and when there is no
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
    #[inline(never)]
    fn run_watched<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> std::result::Result<R, Failed> {
        let watch = SlowWatch::start(core);
        let outcome = self.run_unwatched(core, callback);
        watch.stop(core, name, Some(TransportId(self.key)));
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
        // First of all: what unwinds from here on does not take the protocol along.
        put_back(&self.protocol, protocol);
        // Told apart before anything else is done, so that little is kept over it.
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
    #[inline(never)]
    fn end_failed_callback(self: &Rc<Self>, core: &Rc<Core>, gathers: bool) {
        self.end_callback(core, gathers);
    }

    #[inline(always)]
    fn end_callback(self: &Rc<Self>, core: &Rc<Core>, gathers: bool) {
        fence::trip(Trip::EndOfCallback);
        if gathers {
            self.flush_gathered(core);
            self.clear(Flags::IN_CALLBACK.and(Flags::UNTOUCHED));
            core.gathering.set(false);
        }
    }

    /// An `Err` or a panic: the connection is over, and the application's own are reported.
    #[cold]
    fn callback_failed(self: &Rc<Self>, core: &Rc<Core>, name: &'static str, error: Error) {
        if error.kind().is_reported() {
            let message = format!("protocol.{name}() failed");
            core.report(&Exception::new(&message, Some(&error), Some(TransportId(self.key))));
        }
        self.lose(core, Some(error));
    }

    /// Takes over what its socket was found ready for before there was a stream.
    pub(crate) fn note_before_start(&self, readiness: Readiness) {
        self.note(readiness);
        self.clear(Flags::QUEUED);
    }

    /// The first callback.
    pub(crate) fn begin(self: &Rc<Self>, core: &Rc<Core>) {
        self.active_at.set(core.tick_instant());
        self.set(Flags::MADE);
        core.counters.connection_opened();
        let sent = core.counters.bytes_sent();
        self.call(core, "connection_made", |protocol, transport| {
            protocol.connection_made(transport)
        });
        if self.server.is_some()
            && core.counters.bytes_sent() == sent
            && !self.has(Flags::HAS_QUEUE)
        {
            self.set(Flags::UNTOUCHED);
        }
        if self.is_unsettled() || self.has_deadlines() {
            self.settle(core);
        }
        if self.has(Flags::READABLE) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// Asks the protocol to come to an end, as its server is shutting down.
    pub(crate) fn ask_to_shut_down(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSING) {
            return;
        }
        if !self.has(Flags::MADE) {
            // Its handshake is not done: there is no protocol to ask.
            return self.lose(core, None);
        }
        self.call(core, "shutting_down", |protocol, transport| protocol.shutting_down(transport));
        self.settle(core);
    }

    pub(super) fn set_protocol(
        self: &Rc<Self>,
        core: &Rc<Core>,
        next: Box<dyn Protocol>,
        leftover: Bytes,
    ) {
        if self.has(Flags::LOST) {
            core.drop_user(next, "protocol");
            return core.drop_user(leftover, "buffer");
        }
        // Of several in one callback the last protocol counts, and it gets all that was left.
        let former = self.with_extra(|extra| extra.next.replace(next));
        self.keep_leftover(core, leftover);
        self.set(Flags::SWITCHING);
        self.settle_soon(core);
        if let Some(former) = former {
            core.drop_user(former, "protocol");
        }
    }

    /// Keeps what was received until the protocol, or the next one, reads.
    pub(super) fn keep_leftover(&self, core: &Core, leftover: Bytes) {
        if leftover.is_empty() {
            return core.drop_user(leftover, "buffer");
        }
        let former = self.with_existing_extra(|extra| std::mem::take(&mut extra.leftover));
        let joined = if former.is_empty() {
            leftover
        } else {
            // Their owners are foreign code: dropped at the end of the round.
            let joined = [&former[..], &leftover[..]].concat().into();
            core.with_spent(|spent| spent.extend([former, leftover]));
            joined
        };
        // There is nothing in its place that could be dropped.
        self.with_extra(|extra| extra.leftover = joined);
        self.set(Flags::LEFTOVER);
    }

    /// Puts the protocol that was set in the former one's place.
    pub(super) fn switch_protocol(self: &Rc<Self>, core: &Rc<Core>) {
        let Some(former) = self.protocol.take() else { return };
        self.clear(Flags::SWITCHING);
        let next = self.with_existing_extra(|extra| extra.next.take());
        let next = next.map(|next| self.note_kind(next));
        let (installed, former) = match next {
            Some(next) => (next, Some(former)),
            None => (former, None),
        };
        self.protocol.set(Some(installed));
        if let Some(former) = former {
            core.drop_user(former, "protocol");
            if self.has(Flags::EOF) && !self.is_write_only() {
                // The new protocol has to be told, too: the socket says it again.
                self.clear(Flags::EOF);
                self.set(Flags::READABLE);
                self.enqueue(core);
            }
        }
        if self.has(Flags::WRITING_PAUSED) && !self.has(Flags::CLOSING.and(Flags::LOST)) {
            self.call(core, "pause_writing", |protocol, transport| {
                protocol.pause_writing(transport)
            });
        }
        if self.has(Flags::LEFTOVER) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// The last callback; then everything is let go of.
    ///
    /// If it unwinds it is called again, and goes on behind what it has done.
    pub(crate) fn finish(self: &Rc<Self>, core: &Rc<Core>) {
        let error = self.with_existing_extra(|extra| extra.error.take());
        let mut end = End { stream: self, error };
        fence::trip(Trip::Finish);
        if self.flags.get().just(Flags::MADE, Flags::MADE.and(Flags::TOLD_LOST)) {
            self.tell_lost(core, end.error.as_ref());
        }
        #[cfg(feature = "tls-core")]
        if !self.has(Flags::MADE) {
            self.handshake_failed(core, end.error.take());
        }
        self.leave_info();
        if !self.has(Flags::LET_GO) {
            self.set(Flags::LET_GO);
            if self.has(Flags::MADE) {
                core.counters.connection_closed();
            }
            self.release_socket(core);
        }
        fence::trip(Trip::LetGo);
        // One at a time: a panic while another unwinds would end the process.
        core.drop_user(self.protocol.take(), "protocol");
        if let Some(extra) = self.extra.take() {
            let extra = *extra;
            core.drop_user(extra.next, "protocol");
            core.drop_user(extra.leftover, "buffer");
            core.drop_user(extra.error, "user's error");
            #[cfg(feature = "tls-core")]
            core.drop_user(extra.tls, "TLS session");
        }
        if let Some(error) = end.error.take() {
            core.drop_user(error, "user's error");
        }
        if let Some(server) = &self.server {
            server.client_is_gone(core);
        }
    }

    #[inline]
    fn tell_lost(self: &Rc<Self>, core: &Rc<Core>, error: Option<&Error>) {
        let outcome = self.run_callback(core, "connection_lost", |protocol, transport| {
            self.set(Flags::TOLD_LOST);
            protocol.connection_lost(transport, error)
        });
        if let Err(Failed::With(failure)) = outcome {
            let error = failure.into_error();
            let message = "protocol.connection_lost() failed";
            core.report(&Exception::new(message, Some(&error), Some(TransportId(self.key))));
            core.drop_user(error, "user's error");
        }
    }
}

/// What `connection_lost` is told. It goes back to its place if something unwinds before it was.
struct End<'a> {
    stream: &'a Stream,
    error: Option<Error>,
}

impl Drop for End<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            self.stream.with_extra(|extra| extra.error = Some(error));
        }
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
    #[cold]
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Returned(failure) => Error::from(failure),
            Self::Panicked(panic) => panic.into_error(),
        }
    }
}

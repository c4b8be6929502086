//! The end of a connection: one machine for every stream, whatever it goes over.
//!
//! ```text
//!          close(), or the       all is handed to the system:
//!          peer's end            close_notify, then FIN
//!   Open ───────────────▶ Flushing ───────────────┬─────▶ AwaitingPeer ─────▶ Over(Linger)
//!    │                        │                   │      (TLS, if asked for)       ▲
//!    │                        │                   └────────────────────────────────┤
//!    │ abort, error, deadline │                                                    │ TLS broke,
//!    └────────────┬───────────┘                                                    │ its alert is out
//!                 ├──────────────── output was dropped ────────▶ Over(Reset)       │
//!                 └──────────────── nothing was dropped ───────▶ Over(Close)  ─────┘
//! ```
//!
//! `connection_lost` is called when the phase is `Over`. Only then something is done with the socket,
//! as its [`Parting`] says: it is closed, reset, or lingers without its protocol (`lingering.rs`).
//!
//! While a stream is `Flushing` its input is read and dropped, so that two ends that both close with
//! much to send do not wait for each other; a bounded amount between two steps of the output.

mod lingering;
#[cfg(feature = "tls-core")]
mod tls;

use std::io;
use std::rc::Rc;
#[cfg(not(feature = "tls-core"))]
use std::time::Duration;

use super::Stream;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::Core;

pub(crate) use self::lingering::Lingering;

/// How much input is dropped while the output makes no progress. Then reading stops, which makes the
/// peer stop sending.
const DISCARDED_AT_MOST: usize = 8 * 1024 * 1024;

/// How far the end of a stream has come. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has asked for it. (The write side may be ended by itself: `EOF_WANTED`, `SHUT_DOWN`.)
    Open,
    /// What was written is being sent, with the end of TLS behind it.
    Flushing,
    /// The write side is ended; the peer's `close_notify` is waited for, as the user wished.
    AwaitingPeer,
    /// The protocol is told.
    Over(Parting),
}

/// What becomes of the socket when the protocol was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// It is closed: nothing of what was written can be destroyed by that.
    Close,
    /// Output was dropped, and the peer must not take what it has for all.
    Reset,
    /// It stays until the peer has everything.
    Linger,
}

impl Stream {
    /// Whether nothing is taken any more that is to be written.
    pub(super) fn is_closing(&self) -> bool {
        self.has(Flags::CLOSING.and(Flags::LOST).and(Flags::WRITE_FAILED))
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The only place where the phase changes, and with it the flags that mirror it for the masks of the
    /// hot paths.
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.set(match phase {
            Phase::Open => return,
            Phase::Flushing | Phase::AwaitingPeer => Flags::CLOSING,
            Phase::Over(_) => Flags::CLOSING.and(Flags::LOST),
        });
    }

    pub(crate) fn close(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::CLOSING.and(Flags::LOST)) {
            if !self.has(Flags::MADE) && self.has(Flags::TLS) {
                // Still in its handshake: nobody has anything to say yet.
                return self.lose(core, None);
            }
            self.begin_closing(core);
            self.settle_soon(core);
        }
    }

    pub(crate) fn abort(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::LOST) {
            self.lose(core, None);
        }
    }

    pub(super) fn begin_closing(&self, core: &Core) {
        self.enter(Phase::Flushing);
        self.note_closing(core);
    }

    /// The connection is over: nothing more is sent or delivered but `connection_lost`.
    pub(crate) fn lose(self: &Rc<Self>, core: &Core, error: Option<Error>) {
        let parting = if self.drops_output(core) { Parting::Reset } else { Parting::Close };
        self.part(core, error, parting);
    }

    /// As [`lose`](Self::lose), after everything was handed to the system and the write side ended.
    pub(super) fn lose_and_linger(self: &Rc<Self>, core: &Core, error: Option<Error>) {
        let parting = if self.socket.can_reset() { Parting::Linger } else { Parting::Close };
        self.part(core, error, parting);
    }

    pub(super) fn part(self: &Rc<Self>, core: &Core, error: Option<Error>, parting: Parting) {
        if self.has(Flags::LOST) {
            return drop_error(core, error);
        }
        #[cfg(feature = "tls-core")]
        if let Some(error) = &error {
            self.report_tls_panic(core, error);
        }
        self.enter(Phase::Over(parting));
        self.discard_queue(core, error.as_ref());
        self.stop_deadlines(core);
        if self.has(Flags::LIMITED) {
            self.forget_limits(core);
        }
        core.push_lost(Rc::clone(self));
        if error.is_some() || self.has_extra() {
            self.replace_error(core, error);
        }
    }

    /// Keeps what `connection_lost` is to be told.
    #[inline(never)]
    fn replace_error(&self, core: &Core, error: Option<Error>) {
        let former = match error {
            Some(error) => self.with_extra(|extra| extra.error.replace(error)),
            None => self.with_existing_extra(|extra| extra.error.take()),
        };
        drop_error(core, former);
    }

    /// Something has unwound through the turn. A connection whose callback it interrupted, or whose TLS
    /// it took along, is over; any other has its turn again, since what it was told of is not told
    /// twice.
    #[cold]
    pub(crate) fn go_on_or_end(self: &Rc<Self>, core: &Core, error: &Error) {
        #[cfg(feature = "tls-core")]
        let is_whole = !self.has(Flags::TLS) || self.with_tls(|_| ()).is_some();
        #[cfg(not(feature = "tls-core"))]
        let is_whole = true;
        if self.has(Flags::IN_CALLBACK) || !is_whole {
            self.clear(Flags::IN_CALLBACK);
            self.lose(core, Some(error.duplicate()));
        } else if !self.has(Flags::LOST) {
            self.set(Flags::UNSETTLED);
            self.clear(Flags::QUEUED);
            self.enqueue(core);
        }
    }

    /// Whether something that was written would be lost if the connection ended now.
    fn drops_output(&self, core: &Core) -> bool {
        self.has(Flags::HAS_QUEUE)
            || (self.has(Flags::IN_CALLBACK) && !core.gather.borrow().is_empty())
    }

    /// Everything written is sent: ends the write side if that was asked for, and closes if that
    /// was.
    pub(super) fn advance_close(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.has(Flags::CLOSING.and(Flags::EOF_WANTED)) {
            return;
        }
        if self.has(Flags::WRITE_FAILED) {
            if self.has(Flags::CLOSING) {
                // Not everything written was sent, as the end of an orderly close would say.
                self.end_of_input(core, None);
            }
            return;
        }
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) && !self.close_tls(core) {
            return;
        }
        match self.phase.get() {
            Phase::Open => {
                self.end_write_side(core);
            }
            Phase::Flushing => self.finish_flushing(core),
            Phase::AwaitingPeer | Phase::Over(_) => {}
        }
    }

    fn finish_flushing(self: &Rc<Self>, core: &Rc<Core>) {
        let waits_for_peer = self.shutdown_timeout().is_some();
        let can_close = !self.socket.can_reset() && !waits_for_peer;
        if can_close || self.input_is_over() || self.peer_is_gone() {
            // Nothing can come any more that would be answered with a reset.
            return self.lose(core, None);
        }
        if !self.end_write_side(core) {
            return;
        }
        if waits_for_peer && !self.has(Flags::EOF) {
            self.enter(Phase::AwaitingPeer);
            self.set(Flags::READABLE);
            self.note_closing(core);
            return self.enqueue(core);
        }
        self.lose_and_linger(core, None);
    }

    /// Ends the write side, once; whether the connection goes on.
    fn end_write_side(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        if self.has(Flags::SHUT_DOWN) {
            return true;
        }
        self.set(Flags::SHUT_DOWN);
        let Err(error) = self.socket.shutdown() else { return true };
        // The peer has reset the connection: reading tells, unless nothing is read.
        if self.has(Flags::CLOSING) {
            let error = (error.kind() != io::ErrorKind::NotConnected).then_some(error);
            self.lose(core, error.map(Error::from));
        } else if !self.is_reading() {
            self.write_failed(core, error);
        }
        !self.has(Flags::LOST)
    }

    /// Whether the socket's own end was read: TLS's `close_notify` is not that, as more can follow it.
    pub(super) fn input_is_over(&self) -> bool {
        self.has(Flags::ENDED) || (self.has(Flags::EOF) && !self.has(Flags::TLS))
    }

    /// Under TLS, when the peer has said that it has ended: whether its socket has, too. Asked only
    /// where the poll has said so.
    fn peer_is_gone(&self) -> bool {
        const SAID: Flags = Flags::EOF.and(Flags::READ_CLOSED);
        let mut scratch = [0; 512];
        self.flags.get().just(SAID, SAID)
            && match self.socket.read(&mut scratch) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            }
    }

    /// Whether input is there that is to be read and dropped.
    ///
    /// That is so while the stream closes; and after the peer's `close_notify`, when what follows
    /// means nothing, but must not keep the peer from ending.
    pub(super) fn discards(&self) -> bool {
        let has_ended = Flags::EOF.and(Flags::TLS);
        self.flags.get().just(
            Flags::READABLE,
            Flags::READABLE.and(Flags::LOST).and(Flags::DISCARD_LIMIT_REACHED),
        ) && (self.has(Flags::CLOSING) || self.flags.get().just(has_ended, has_ended))
            && !self.input_is_over()
    }

    /// Reads once and drops it, unless that is too much.
    pub(super) fn discard_input(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        match self.socket.read(buffer) {
            Ok(0) => {
                self.set(Flags::EOF.and(Flags::ENDED));
                self.clear(Flags::READABLE);
            }
            Ok(count) => {
                self.note_discarded(core, count);
                if self.discards() {
                    self.enqueue(core);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE);
                if self.has(Flags::ERROR) {
                    self.note_error(core);
                }
            }
            Err(error) => self.lose(core, Some(error.into())),
        }
    }

    /// Ends the stream's hold on its socket, as the [`Parting`] says. Its protocol was told.
    pub(super) fn release_socket(self: &Rc<Self>, core: &Rc<Core>) {
        if self.phase.get() != Phase::Over(Parting::Close) && self.lingers_or_resets(core) {
            return;
        }
        core.driver.deregister(&self.socket);
        core.free_slot(self.key);
    }

    /// What has to be done with a socket that is not just closed; whether it lingers.
    #[inline(never)]
    fn lingers_or_resets(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        match self.phase.get() {
            Phase::Over(Parting::Linger) => Lingering::begin(self, core),
            Phase::Over(Parting::Reset) => {
                self.socket.reset_when_closed();
                false
            }
            _ => false,
        }
    }

    /// What was written is not all that there should have been. Under TLS the peer is not told that it is,
    /// by `close_notify`: the connection just ends, after all bytes. Without TLS there is no such thing.
    pub(crate) fn withhold_close_notify(&self) {
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            self.with_tls(|tls| tls.is_cut_off = true);
        }
    }

    #[cfg(not(feature = "tls-core"))]
    pub(super) fn shutdown_timeout(&self) -> Option<Duration> {
        None
    }
}

#[cold]
#[inline(never)]
fn drop_error(core: &Core, error: Option<Error>) {
    if let Some(error) = error {
        core.drop_user(error, "user's error");
    }
}

/// Whether so much was dropped that reading stops.
pub(super) fn is_too_much(discarded: usize) -> bool {
    discarded > DISCARDED_AT_MOST
}

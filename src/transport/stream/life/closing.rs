//! Ending a stream: one way for all, plain, under TLS, in memory and over pipes.

use std::io;
use std::rc::Rc;

use super::phase::{AfterFlush, Phase, SocketEnd};
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::CloseReason;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

impl Stream {
    pub(crate) fn close(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            if !self.has(Flags::MADE) && self.has(Flags::TLS) {
                // Still in its handshake: nobody has anything to say yet.
                return self.end(core, None);
            }
            self.begin_closing(core);
            self.update_soon(core);
        }
    }

    pub(crate) fn abort(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::CLOSED) {
            self.clear(Flags::CLOSED_BY_PEER);
            self.end(core, None);
        }
    }

    /// The peer's end is what closes the connection, unless it is closing already.
    pub(in crate::transport::stream) fn note_closed_by_peer(&self) {
        if !self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            self.set(Flags::CLOSED_BY_PEER);
        }
    }

    /// Why it is closed; `None` until it is.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        if !self.has(Flags::CLOSED) {
            return None;
        }
        Some(match self.life.rare.change_existing(|rare| rare.error.clone()) {
            Some(error) => CloseReason::Failed(error),
            None if self.has(Flags::CLOSED_BY_PEER) => CloseReason::Peer,
            None => CloseReason::Local,
        })
    }

    pub(in crate::transport::stream) fn begin_closing(&self, core: &Core) {
        self.enter(Phase::Flushing);
        self.note_closing(core);
    }

    /// Closes the connection now: nothing more is sent or delivered but `connection_lost`.
    pub(crate) fn end(self: &Rc<Self>, core: &Core, error: Option<Error>) {
        let drops_output = self.drops_output(core);
        self.end_with(core, error, if drops_output { SocketEnd::Reset } else { SocketEnd::Close });
    }

    /// As [`end`](Self::end), after everything was handed to the system and the write side ended.
    pub(in crate::transport::stream) fn end_and_linger(
        self: &Rc<Self>,
        core: &Core,
        error: Option<Error>,
    ) {
        let can_reset = self.socket.can_reset();
        self.end_with(core, error, if can_reset { SocketEnd::Linger } else { SocketEnd::Close });
    }

    /// As [`end`](Self::end), where it is known what becomes of the socket.
    pub(in crate::transport::stream) fn end_with(
        self: &Rc<Self>,
        core: &Core,
        error: Option<Error>,
        socket_end: SocketEnd,
    ) {
        if self.has(Flags::CLOSED) {
            return drop_error(core, error);
        }
        if let Some(error) = &error {
            self.report_tls_panic(core, error);
        }
        self.enter(Phase::Closed(socket_end));
        if self.has(Flags::AWAITED) {
            self.note_output_at_end(core, socket_end == SocketEnd::Reset || error.is_some());
        }
        self.discard_queue(core, error.as_ref());
        if self.life.rare.is_there() {
            self.stop_deadlines(core);
        }
        if self.has(Flags::LIMITED) {
            self.forget_limits(core);
        }
        core.push_lost(Rc::clone(self));
        if error.is_some() || self.life.rare.is_there() {
            self.life.replace_error(core, error);
        }
    }

    /// Something unwound through a tick. A connection whose callback it interrupted, or whose TLS it
    /// took along, is closed; any other has its turn again, since what it was told of is not told twice.
    #[cold]
    pub(crate) fn go_on_or_end(self: &Rc<Self>, core: &Core, error: &Error) {
        if self.has(Flags::IN_CALLBACK) || self.has_lost_tls() {
            self.clear(Flags::IN_CALLBACK);
            self.end(core, Some(error.clone()));
        } else if !self.has(Flags::CLOSED) {
            self.set(Flags::NEEDS_UPDATE);
            self.clear(Flags::QUEUED);
            self.enqueue(core);
        }
    }

    /// Whether something that was written would be lost if the connection ended now.
    fn drops_output(&self, core: &Core) -> bool {
        self.has(Flags::HAS_QUEUE)
            || (self.has(Flags::IN_CALLBACK) && !core.gather.borrow().is_empty())
    }

    /// Once everything written is sent: ends the write side if that was asked for, and closes if that
    /// was.
    pub(in crate::transport::stream) fn advance_close(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.has(Flags::CLOSING.union(Flags::EOF_WANTED))
            || self.has(Flags::HAS_QUEUE.union(Flags::CLOSED))
        {
            return;
        }
        if self.has(Flags::TLS) && !self.has(Flags::WRITE_FAILED) && !self.close_tls(core) {
            return;
        }
        let can_reset = self.socket.can_reset();
        let waits_for_peer = self.shutdown_timeout().is_some();
        let ended = || self.input_has_ended() || self.peer_is_gone();
        match AfterFlush::of(self.flags.get(), can_reset, waits_for_peer, ended) {
            AfterFlush::Nothing => {}
            AfterFlush::Fail => self.end_of_input(core, None),
            AfterFlush::EndWriteSide => {
                self.end_write_side(core);
            }
            AfterFlush::Close => self.end(core, None),
            AfterFlush::EndAndAwaitPeer => {
                if self.end_write_side(core) {
                    self.enter(Phase::AwaitingPeer);
                    self.set(Flags::READABLE);
                    self.note_closing(core);
                    self.enqueue(core);
                }
            }
            AfterFlush::EndAndLinger => {
                if self.end_write_side(core) {
                    self.end_and_linger(core, None);
                }
            }
        }
    }

    /// Ends the write side, once. Returns whether the connection goes on.
    fn end_write_side(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        if self.has(Flags::SHUT_DOWN) {
            return true;
        }
        self.set(Flags::SHUT_DOWN);
        let Err(error) = self.socket.shutdown() else { return true };
        // The peer has reset the connection: reading shows it, unless nothing is read.
        if self.has(Flags::CLOSING) {
            let error = (error.kind() != io::ErrorKind::NotConnected).then_some(error);
            self.end(core, error.map(Error::from));
        } else if !self.is_reading() {
            self.write_failed(core, error);
        }
        !self.has(Flags::CLOSED)
    }

    /// Whether the peer's socket has ended, too, after its `close_notify`. Asked only where the
    /// poll has said so.
    fn peer_is_gone(&self) -> bool {
        const SAID: Flags = Flags::EOF.union(Flags::READ_CLOSED);
        let mut scratch = [0; 512];
        self.flags.get().matches(SAID, SAID)
            && match self.socket.read(&mut scratch) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            }
    }
}

#[cold]
fn drop_error(core: &Core, error: Option<Error>) {
    if let Some(error) = error {
        core.drop_user(error, "user's error");
    }
}

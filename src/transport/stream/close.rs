//! The end of a connection.

use std::io;
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::Core;

impl Stream {
    pub(super) fn is_closing(&self) -> bool {
        self.has(Flags::CLOSING.and(Flags::LOST))
    }

    pub(crate) fn close(self: &Rc<Self>, core: &Core) {
        if !self.is_closing() {
            if !self.has(Flags::MADE) && self.has(Flags::TLS) {
                // Still in its handshake: nobody has anything to say yet.
                return self.lose(core, None);
            }
            self.set(Flags::CLOSING);
            self.note_closing(core);
            self.settle_soon(core);
        }
    }

    pub(crate) fn abort(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::LOST) {
            self.lose(core, None);
        }
    }

    /// The connection is over: nothing more is sent or delivered but `connection_lost`.
    pub(crate) fn lose(self: &Rc<Self>, core: &Core, error: Option<Error>) {
        if self.has(Flags::LOST) {
            return;
        }
        self.set(Flags::LOST.and(Flags::CLOSING));
        self.discard_queue(core, error.as_ref());
        match error {
            Some(error) => self.with_extra(|extra| extra.error = Some(error)),
            None => self.with_existing_extra(|extra| extra.error = None),
        }
        self.cancel_deadlines(core);
        if self.has(Flags::LIMITED) {
            self.forget_limits(core);
        }
        core.push_lost(Rc::clone(self));
    }

    /// Everything written is sent: ends the write side if that was asked for, and closes if that
    /// was.
    pub(super) fn advance_close(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.has(Flags::CLOSING.and(Flags::EOF_WANTED)) {
            return;
        }
        if self.has(Flags::CLOSING) && self.has(Flags::WRITE_FAILED) {
            // Not everything written was sent, as the end of an orderly close would say.
            return self.end_of_input(core, None);
        }
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) && !self.close_tls(core) {
            return;
        }
        if self.has(Flags::CLOSING) && self.has(Flags::EOF) {
            return self.lose(core, None);
        }
        if !self.has(Flags::SHUT_DOWN) {
            self.set(Flags::SHUT_DOWN);
            if let Err(error) = self.socket.shutdown() {
                // The peer has reset the connection: reading tells, unless nothing is read.
                if !self.is_reading() {
                    let error = (error.kind() != io::ErrorKind::NotConnected).then_some(error);
                    return self.lose(core, error.map(Error::from));
                }
            }
        }
        if self.has(Flags::CLOSING) && !self.has(Flags::DISCARDING) {
            self.finish_or_discard(core);
        }
    }

    /// Closing with unread input would make the system send a reset, which can destroy what was
    /// sent last. So input that is there is read and dropped, until the peer's end or a deadline.
    fn finish_or_discard(self: &Rc<Self>, core: &Rc<Core>) {
        if self.shutdown_timeout().is_some() {
            return self.discard_from_now(core);
        }
        if self.is_one_descriptor() {
            return self.lose(core, None);
        }
        let mut scratch = [0; 2048];
        match self.socket.read(&mut scratch) {
            Ok(count) if count > 0 => self.discard_from_now(core),
            #[cfg(feature = "tls-core")]
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && self.has(Flags::TLS)
                    && self.tls_expects_more() =>
            {
                self.discard_from_now(core);
            }
            _ => self.lose(core, None),
        }
    }

    fn discard_from_now(self: &Rc<Self>, core: &Rc<Core>) {
        self.set(Flags::DISCARDING.and(Flags::READABLE));
        self.note_closing(core);
        self.enqueue(core);
    }

    /// Reads and drops, a bounded amount at a time: while what was written is still being sent, so
    /// that two ends that both close with much to send do not wait for each other, and after.
    pub(super) fn discard_input(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        match self.socket.read(buffer) {
            Ok(0) if self.has(Flags::DISCARDING) => self.lose(core, None),
            Ok(0) => {
                self.set(Flags::EOF);
                self.clear(Flags::READABLE);
            }
            Ok(_) => self.enqueue(core),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE);
                if self.has(Flags::ERROR) {
                    self.note_error(core);
                }
            }
            Err(_) if self.has(Flags::DISCARDING) => self.lose(core, None),
            Err(error) => self.lose(core, Some(error.into())),
        }
    }
}

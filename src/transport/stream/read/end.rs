//! The end of input, and the errors of the socket.

use std::io;
use std::rc::Rc;

use crate::driver::Direction;
use crate::error::Error;
use crate::event_loop::Core;
use crate::protocol::Eof;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// With any of these set there is something to do before a connection closes.
const DELAYS_CLOSE: Flags =
    Flags::HAS_QUEUE.union(Flags::CLOSED).union(Flags::SWITCHING).union(Flags::TLS);

impl Stream {
    /// The peer has ended its side: told once.
    pub(in crate::transport::stream) fn eof(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::WRITE_FAILED) {
            return self.end_of_input(core, None);
        }
        self.set(Flags::EOF);
        if !self.has(Flags::TLS) {
            self.clear(Flags::READABLE);
        }
        let answer =
            self.call(core, "eof_received", |protocol, transport| protocol.eof_received(transport));
        // A transport that only reads has nothing left to keep open, unless a next protocol is to
        // be told, too.
        let is_over = || self.is_read_only() && !self.has(Flags::SWITCHING);
        if answer == Some(Eof::Close) || (answer.is_some() && is_over()) {
            self.note_closed_by_peer();
            if !self.has(DELAYS_CLOSE) {
                return self.end(core, None);
            }
            self.begin_closing(core);
        }
        self.update(core);
    }

    /// All input was delivered, and the connection is broken.
    pub(in crate::transport::stream) fn end_of_input(
        self: &Rc<Self>,
        core: &Rc<Core>,
        error: Option<io::Error>,
    ) {
        let error = self
            .life
            .take_error()
            .or(error.map(Error::from))
            .or_else(|| self.socket.take_error().map(Error::from));
        match error {
            Some(error) => self.end(core, Some(error)),
            None => self.clear(Flags::ERROR),
        }
    }

    /// A write has failed, and nothing is read. What was received before comes first: a protocol that
    /// has paused, or waits for its limit, gets it when it goes on, if that is soon enough.
    pub(in crate::transport::stream) fn end_unless_input_waits(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) {
        let input_waits = self.may_wait_for_reader(core)
            && if self.has(Flags::TLS) {
                self.look_ahead(core, buffer)
            } else {
                self.input_waits()
            };
        if !input_waits {
            self.end_of_input(core, None);
        }
    }

    /// An error was reported while nothing is read: it is not kept waiting, unless input has to come
    /// before it.
    pub(in crate::transport::stream) fn note_error(self: &Rc<Self>, core: &Rc<Core>) {
        match self.socket.take_error() {
            Some(error) if self.waits_by_itself(core) && self.input_waits() => {
                self.clear(Flags::ERROR);
                self.write_failed(core, error);
            }
            Some(error) if self.is_about_output(&error) => {
                self.clear(Flags::ERROR);
                if self.has(Flags::HAS_QUEUE) {
                    self.write_failed(core, error);
                }
            }
            Some(error) => self.end(core, Some(error.into())),
            None => self.clear(Flags::ERROR),
        }
    }

    /// Whether an error of the socket only says that the peer takes nothing any more: what it sent
    /// before can still be read.
    ///
    /// A reset that comes after the peer's end is called a broken pipe. And a peer that closes with our
    /// tickets unread resets the connection, though it was sent nothing else.
    fn is_about_output(&self, error: &io::Error) -> bool {
        if self.has(Flags::CLOSING.union(Flags::EOF)) || self.socket.pipe_direction().is_some() {
            return false;
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => true,
            io::ErrorKind::ConnectionReset => self.tls_said_nothing() && self.input_waits(),
            _ => false,
        }
    }

    /// As [`may_wait_for_reader`](Self::may_wait_for_reader), and it is not the protocol that has paused:
    /// it is a limit, a hold, or a relay whose other side lags behind.
    fn waits_by_itself(&self, core: &Core) -> bool {
        self.may_wait_for_reader(core) && (self.is_relayed() || !self.has(Flags::PAUSED))
    }

    /// The poll said that an end was reached, while nothing is read.
    pub(in crate::transport::stream) fn note_hang_up(self: &Rc<Self>, core: &Rc<Core>) {
        if self.is_write_only() {
            // What the reader has not taken is lost; only what is still here is known of.
            let unsent = self.has(Flags::HAS_QUEUE);
            self.note_closed_by_peer();
            let error = unsent.then(|| Error::from(io::Error::from(io::ErrorKind::BrokenPipe)));
            self.end(core, error);
        } else if self.has(Flags::ERROR) {
            self.note_error(core);
        }
    }

    /// When a pipe hangs up, the poll does not say that it can be read, nor, if it is full, that it
    /// can be written, as it does for sockets. Only reading and writing show that it has ended.
    pub(in crate::transport::stream) fn note_joined_hang_up(&self) {
        if self.socket.pipe_direction() == Some(Direction::Joined) {
            self.set(Flags::READABLE);
            if self.has(Flags::ERROR) && self.has(Flags::HAS_QUEUE) {
                self.set(Flags::WRITABLE);
            }
        }
    }
}

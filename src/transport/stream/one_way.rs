//! Streams that go one way, and those whose ways cannot end apart: pipes, terminals, files.
//!
//! They are what the flags say from the start: the write side of one that only reads is shut down,
//! and the input of one that only writes is at its end. So no other stream has to ask.

use std::io;
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::driver::Direction;
use crate::error::Error;
use crate::event_loop::Core;

impl Stream {
    /// Notes what kind of pipe the socket is. To be called before the stream begins.
    pub(crate) fn become_pipe(&self, direction: Direction) {
        match direction {
            Direction::Read => self.set(Flags::EOF_WANTED.and(Flags::SHUT_DOWN)),
            Direction::Write => self.set(Flags::EOF),
            Direction::Both | Direction::Joined => {}
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.socket.pipe_direction() == Some(Direction::Read)
    }

    pub(crate) fn is_write_only(&self) -> bool {
        self.socket.pipe_direction() == Some(Direction::Write)
    }

    pub(super) fn can_write_eof(&self) -> bool {
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) && !self.tls_can_write_eof() {
            return false;
        }
        !matches!(self.socket.pipe_direction(), Some(Direction::Read | Direction::Both))
    }

    /// Of a pipe that hangs up the poll says neither that it can be read nor, if it is full, that it
    /// can be written, as it does of sockets; but only reading and writing say that it is over.
    pub(super) fn note_joined_hang_up(&self) {
        if self.socket.pipe_direction() == Some(Direction::Joined) {
            self.set(Flags::READABLE);
            if self.has(Flags::ERROR) && self.has(Flags::HAS_QUEUE) {
                self.set(Flags::WRITABLE);
            }
        }
    }

    /// An end was said while nothing is read.
    pub(super) fn note_hang_up(self: &Rc<Self>, core: &Rc<Core>) {
        if self.is_write_only() {
            // What the reader has not taken is lost; only what is still here is known of.
            let unsent = self.has(Flags::HAS_QUEUE);
            let error = unsent.then(|| Error::from(io::Error::from(io::ErrorKind::BrokenPipe)));
            self.lose(core, error);
        } else if self.has(Flags::ERROR) {
            self.note_error(core);
        }
    }
}

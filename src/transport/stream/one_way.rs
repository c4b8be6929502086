//! Streams that go one way, and those whose ways cannot end apart: pipes, terminals, files.
//!
//! Their flags say so from the start: the write side of one that only reads is shut down, and the
//! input of one that only writes has ended. So no other stream has to ask.

use super::Stream;
use super::flags::Flags;
use crate::driver::Direction;

impl Stream {
    /// Notes what kind of pipe the socket is. To be called before the stream begins.
    pub(crate) fn become_pipe(&self, direction: Direction) {
        match direction {
            Direction::Read => self.set(Flags::EOF_WANTED.union(Flags::SHUT_DOWN)),
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
        let goes_one_way =
            matches!(self.socket.pipe_direction(), Some(Direction::Read | Direction::Both));
        !goes_one_way && self.tls_can_write_eof()
    }
}

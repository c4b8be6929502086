//! How much of what was sent the peer has still to acknowledge.

use super::{Socket, os};

/// Asks for several sockets, one after the other.
pub(crate) struct Unacknowledged(os::SocketDiagnosis);

impl Unacknowledged {
    pub(crate) fn begin() -> Self {
        Self(os::SocketDiagnosis::default())
    }

    /// The bytes that the peer has not acknowledged, the end of the write side counted as one;
    /// `None`: that cannot be asked.
    pub(crate) fn of(&self, socket: &Socket) -> Option<usize> {
        match socket {
            Socket::Os(socket) => self.0.unacknowledged(socket.fd()),
            Socket::Memory(socket) => Some(socket.unacknowledged()),
            // What is in a pipe stays there for its reader.
            Socket::Pipe(pipe) => {
                pipe.joined_socket().map_or(Some(0), |socket| self.0.unacknowledged(socket))
            }
            Socket::Closed => Some(0),
        }
    }
}

//! What accepts streams.

use std::io;

use super::{Socket, memory, os};
use crate::net::Address;

/// Something that accepts streams.
#[derive(Debug)]
pub(crate) enum Listener {
    Os(os::OsListener),
    Memory(memory::MemoryListener),
}

impl Listener {
    /// Takes one waiting connection; `WouldBlock` when there is none.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Option<Address>)> {
        match self {
            Self::Os(listener) => {
                listener.accept().map(|(socket, peer)| (Socket::Os(socket), peer))
            }
            Self::Memory(listener) => {
                listener.accept().map(|(socket, peer)| (Socket::Memory(socket), peer))
            }
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        match self {
            Self::Os(listener) => listener.local_address(),
            Self::Memory(listener) => Some(listener.local_address()),
        }
    }

    /// Whether descriptors can be passed over the sockets it accepts.
    pub(crate) fn passes_descriptors(&self) -> bool {
        matches!(self, Self::Os(os::OsListener::Unix(_)))
    }

    /// Whether options set on the listener are those of the sockets it accepts.
    pub(crate) fn options_are_inherited(&self) -> bool {
        match self {
            Self::Os(_) => os::ACCEPTED_SOCKETS_INHERIT_OPTIONS,
            Self::Memory(_) => true,
        }
    }
}

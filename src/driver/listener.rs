//! What accepts streams.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use super::{Socket, memory, os};
use crate::address::Address;
use crate::driver::SocketOptions;

/// Something that accepts streams.
#[derive(Debug)]
pub(crate) enum Listener {
    Os(os::OsListener),
    Memory(memory::MemoryListener),
}

/// A descriptor that is not used for anything, until there is no other.
#[derive(Debug)]
#[expect(dead_code, reason = "it is there to be dropped")]
pub(crate) enum Reserve {
    Os(File),
    Memory(memory::Descriptor),
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

    /// A descriptor in reserve, if there is one.
    pub(crate) fn reserve(&self) -> Option<Reserve> {
        match self {
            Self::Os(_) => File::open("/dev/null").ok().map(Reserve::Os),
            Self::Memory(listener) => listener.reserve().map(Reserve::Memory),
        }
    }

    /// The descriptor of one of the operating system's.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Os(listener) => Some(listener.fd()),
            Self::Memory(_) => None,
        }
    }

    /// Whether descriptors can be passed over the sockets it accepts.
    pub(crate) fn passes_descriptors(&self) -> bool {
        matches!(self, Self::Os(os::OsListener::Unix(_)))
    }

    /// Whether the sockets it accepts have these options from it.
    pub(crate) fn passes_on(&self, options: &SocketOptions) -> io::Result<bool> {
        match self {
            Self::Os(listener) => listener.passes_on(options),
            Self::Memory(_) => Ok(true),
        }
    }
}

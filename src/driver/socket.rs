//! One byte stream, wherever it comes from.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{Direction, ShortReads, memory, os};
use crate::address::Address;
use crate::driver::{PeerCredentials, SocketOptions};

/// One byte stream.
#[derive(Debug)]
pub(crate) enum Socket {
    Os(os::OsSocket),
    Memory(memory::MemorySocket),
    /// In a box: such are few, and every connection has the size of the largest.
    Pipe(Box<os::OsPipe>),
    /// What a closed connection has.
    Closed,
}

impl Socket {
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.read(buffer),
            other => other.read_elsewhere(buffer),
        }
    }

    /// Out of line: sockets of the operating system take one branch.
    #[inline(never)]
    fn read_elsewhere(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.read(buffer),
            Self::Memory(socket) => socket.read(buffer),
            Self::Pipe(pipe) => pipe.read(buffer),
            Self::Closed => Err(closed()),
        }
    }

    /// What a read that brings less than there was room for shows, by the kind of the socket.
    #[inline]
    pub(crate) fn short_reads(&self) -> ShortReads {
        match self {
            Self::Os(socket) => socket.short_reads(),
            other => other.short_reads_elsewhere(),
        }
    }

    /// Out of line: sockets of the operating system take one branch.
    #[inline(never)]
    fn short_reads_elsewhere(&self) -> ShortReads {
        match self {
            Self::Os(socket) => socket.short_reads(),
            Self::Memory(_) | Self::Closed => ShortReads::Drain,
            Self::Pipe(pipe) => pipe.short_reads(),
        }
    }

    /// Whether the last read, which was short, shows that all was read.
    #[cold]
    pub(crate) fn last_read_drained(&self) -> bool {
        match self.short_reads() {
            ShortReads::Drain => true,
            ShortReads::Tell => matches!(self, Self::Os(socket) if !socket.left_something_out()),
            ShortReads::ShowNothing => matches!(self, Self::Os(socket) if !socket.is_readable()),
        }
    }

    /// Whether the system says that it can be written to now.
    pub(crate) fn is_writable(&self) -> bool {
        match self {
            Self::Os(socket) => socket.is_writable(),
            Self::Memory(_) | Self::Pipe(_) | Self::Closed => false,
        }
    }

    #[inline(always)]
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.write(data),
            other => other.write_elsewhere(data),
        }
    }

    /// Out of line: sockets of the operating system take one branch.
    #[inline(never)]
    fn write_elsewhere(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.write(data),
            Self::Memory(socket) => socket.write(data),
            Self::Pipe(pipe) => pipe.write(data),
            Self::Closed => Err(closed()),
        }
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.write_vectored(slices),
            Self::Memory(socket) => socket.write_vectored(slices),
            Self::Pipe(pipe) => pipe.write_vectored(slices),
            Self::Closed => Err(closed()),
        }
    }

    /// As [`write_vectored`](Self::write_vectored), when more follows at once.
    pub(crate) fn write_before_more(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.write_before_more(slices),
            Self::Memory(_) | Self::Pipe(_) | Self::Closed => self.write_vectored(slices),
        }
    }

    /// Sends a part of `file` without copying it, 0 at the file's end; `Unsupported` where the
    /// system does not do that.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.send_file(file, offset, count),
            Self::Memory(_) | Self::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Closed => Err(closed()),
        }
    }

    /// Whether descriptors can be passed over it.
    pub(crate) fn passes_descriptors(&self) -> bool {
        match self {
            Self::Os(socket) => socket.passes_descriptors(),
            Self::Memory(_) | Self::Pipe(_) | Self::Closed => false,
        }
    }

    /// Sends `data`, and the descriptors with its first byte: all of them, if any byte is taken.
    pub(crate) fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: &[OwnedFd],
    ) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.write_with_descriptors(data, descriptors),
            Self::Memory(_) | Self::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Closed => Err(closed()),
        }
    }

    /// Reads, and takes at most `most` descriptors that come with the bytes.
    pub(crate) fn read_with_descriptors(
        &self,
        buffer: &mut [u8],
        most: usize,
    ) -> io::Result<(usize, Vec<OwnedFd>)> {
        match self {
            Self::Os(socket) => socket.read_with_descriptors(buffer, most),
            Self::Memory(_) | Self::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Closed => Err(closed()),
        }
    }

    /// Ends the write side.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.shutdown(),
            Self::Memory(socket) => {
                socket.shutdown();
                Ok(())
            }
            // With one descriptor the write side ends when that is closed, which is soon.
            Self::Pipe(pipe) => {
                pipe.shutdown();
                Ok(())
            }
            Self::Closed => Err(closed()),
        }
    }

    /// The descriptor, if the kernel can splice it without waiting.
    pub(crate) fn splice_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            // Splicing would wait, even if asked not to.
            Self::Os(socket) if socket.may_block() => None,
            Self::Os(socket) => Some(socket.fd()),
            #[cfg(linux_kernel)]
            Self::Pipe(pipe) => pipe.spliced_fd(),
            _ => None,
        }
    }

    pub(crate) fn is_pipe(&self) -> bool {
        matches!(self, Self::Pipe(_))
    }

    /// Which way bytes go through a descriptor that is no socket and has no halves to be shut down
    /// apart.
    pub(crate) fn pipe_direction(&self) -> Option<Direction> {
        match self {
            Self::Pipe(pipe) => Some(pipe.direction()),
            Self::Os(_) | Self::Memory(_) | Self::Closed => None,
        }
    }

    /// Whether closing it with unread input resets a connection: that of sockets. Pipes know no reset.
    pub(crate) fn can_reset(&self) -> bool {
        match self {
            Self::Os(_) | Self::Memory(_) => true,
            Self::Pipe(pipe) => pipe.joined_socket().is_some(),
            Self::Closed => false,
        }
    }

    /// The error that the operating system keeps for this socket, if any; asking clears it.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            Self::Os(socket) => socket.take_error(),
            Self::Memory(socket) => socket.take_error(),
            Self::Pipe(_) | Self::Closed => None,
        }
    }

    /// Whether input is there to be read.
    pub(crate) fn has_input(&self) -> bool {
        match self {
            Self::Os(socket) => socket.has_input(),
            Self::Memory(socket) => socket.has_input(),
            Self::Pipe(pipe) => pipe.has_input(),
            Self::Closed => false,
        }
    }

    /// Makes closing it reset the connection, where that exists: not on pipes, and on Unix sockets
    /// only with unread input.
    pub(crate) fn reset_when_closed(&self) {
        match self {
            Self::Os(socket) => socket.reset_when_closed(),
            Self::Memory(socket) => socket.reset_when_closed(),
            Self::Pipe(_) | Self::Closed => {}
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        match self {
            Self::Os(socket) => socket.local_address(),
            Self::Memory(socket) => socket.local_address(),
            Self::Pipe(pipe) => pipe.local_address(),
            Self::Closed => None,
        }
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        match self {
            Self::Os(socket) => socket.peer_address(),
            Self::Memory(socket) => socket.peer_address(),
            Self::Pipe(pipe) => pipe.peer_address(),
            Self::Closed => None,
        }
    }

    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Os(socket) => socket.peer_credentials(),
            Self::Pipe(pipe) => pipe.peer_credentials(),
            Self::Memory(_) | Self::Closed => None,
        }
    }

    pub(crate) fn apply(&self, options: &SocketOptions) -> io::Result<()> {
        match self {
            Self::Os(socket) => options.apply(socket),
            Self::Memory(_) | Self::Pipe(_) | Self::Closed => Ok(()),
        }
    }
}

impl From<os::OsPipe> for Socket {
    fn from(pipe: os::OsPipe) -> Self {
        Self::Pipe(Box::new(pipe))
    }
}

impl From<memory::MemorySocket> for Socket {
    fn from(socket: memory::MemorySocket) -> Self {
        Self::Memory(socket)
    }
}

#[cold]
pub(super) fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

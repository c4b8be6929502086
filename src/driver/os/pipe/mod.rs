//! Descriptors that are not sockets of ours: pipes, FIFOs, terminals, files.
//!
//! What the poll can watch is read and written as a socket is ([`PolledPipe`]). Files and some
//! devices are always ready as far as the poll is concerned, and are read and written on the loop's
//! threads ([`FilePipe`]).

mod description;
mod file;
mod host;
mod joined;
mod polled;

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Weak;

use rustix::fs::{FileType, OFlags};

use super::OsDriver;
use crate::address::Address;
use crate::driver::{Key, PeerCredentials, ShortReads, Signals};

use self::file::FilePipe;
use self::joined::Writer;

pub(crate) use self::description::{open_other_end, own_description};
pub(crate) use self::host::{FileJob, FileJobDone, PipeHost};
pub(crate) use self::polled::PolledPipe;

/// Which way bytes go through a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
    /// A terminal, a serial line: both ways, and no way to end just one.
    Both,
    /// A descriptor for each way, which ends when it is closed.
    Joined,
}

/// A descriptor that is read, written, or both.
#[derive(Debug)]
pub(crate) struct OsPipe {
    direction: Direction,
    means: Means,
    /// Where is written to, if that is another descriptor.
    writer: Option<Writer>,
    /// The other end of the pipe, held open so that it never comes to its end.
    #[expect(dead_code, reason = "it is only held")]
    other_end: Option<OwnedFd>,
}

#[derive(Debug)]
enum Means {
    Polled(PolledPipe),
    File(FilePipe),
}

impl OsPipe {
    /// Takes a descriptor from elsewhere and registers it with the poll under `key`.
    pub(crate) fn register(
        host: Weak<dyn PipeHost>,
        driver: &OsDriver,
        fd: OwnedFd,
        direction: Direction,
        key: Key,
        signals: &Signals,
    ) -> io::Result<Self> {
        check_access(&fd, direction)?;
        let fd = match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
            kind if direction == Direction::Both && kind != FileType::CharacterDevice => {
                let text = "it is no device, which one transport could read and write";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
            FileType::RegularFile | FileType::BlockDevice => fd,
            kind => match PolledPipe::register(driver, fd, kind, direction, key)? {
                Ok(pipe) => {
                    return Ok(Self::new(direction, Means::Polled(pipe)));
                }
                // A device that is always ready, such as `/dev/null`.
                Err(fd) => fd,
            },
        };
        if direction == Direction::Both {
            let text = "the poll cannot watch it, so one transport cannot read and write it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let file = FilePipe::new(host, fd, key, signals, direction);
        Ok(Self::new(direction, Means::File(file)))
    }

    /// Takes an end of a pipe that was just made, which nobody else has.
    pub(crate) fn register_new(
        driver: &OsDriver,
        fd: OwnedFd,
        direction: Direction,
        key: Key,
    ) -> io::Result<Self> {
        let pipe = PolledPipe::register_new(driver, fd, direction, key)?;
        Ok(Self::new(direction, Means::Polled(pipe)))
    }

    fn new(direction: Direction, means: Means) -> Self {
        Self { direction, means, writer: None, other_end: None }
    }

    pub(crate) fn holding(self, other_end: Option<OwnedFd>) -> Self {
        Self { other_end, ..self }
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    pub(crate) fn short_reads(&self) -> ShortReads {
        match &self.means {
            _ if self.writer.is_some() => ShortReads::ShowNothing,
            Means::Polled(_) => ShortReads::ShowNothing,
            Means::File(_) => ShortReads::Drain,
        }
    }

    /// The descriptor, if the kernel can splice it and never waits for it.
    #[cfg(linux_kernel)]
    pub(crate) fn spliced_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.means {
            // Which of the two would depend on the direction: they are copied.
            _ if self.writer.is_some() => None,
            Means::Polled(pipe) => pipe.spliced_fd(),
            Means::File(_) => None,
        }
    }

    /// Closing does not deregister what others still have open, as a standard stream.
    pub(crate) fn deregister(&self, driver: &OsDriver) {
        if let Some(writer) = &self.writer {
            writer.deregister(driver);
        }
        match &self.means {
            Means::Polled(pipe) if !pipe.is_new() => driver.deregister(pipe.fd()),
            Means::Polled(_) | Means::File(_) => {}
        }
    }

    // Out of line, as the other two: the way of sockets leads past them.
    #[cold]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.means {
            Means::Polled(pipe) => pipe.read(buffer),
            Means::File(file) => file.read(buffer),
        }
    }

    #[cold]
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        if let Some(writer) = &self.writer {
            return writer.with(|pipe| pipe.write(data));
        }
        match &self.means {
            Means::Polled(pipe) => pipe.write(data),
            Means::File(file) => file.write_vectored(&[IoSlice::new(data)]),
        }
    }

    #[cold]
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(writer) = &self.writer {
            return writer.with(|pipe| pipe.write_vectored(slices));
        }
        match &self.means {
            Means::Polled(pipe) => pipe.write_vectored(slices),
            Means::File(file) => file.write_vectored(slices),
        }
    }

    /// The socket that is read, where two descriptors are one transport.
    pub(crate) fn joined_socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.means {
            Means::Polled(pipe) if self.direction == Direction::Joined => pipe.socket_fd(),
            _ => None,
        }
    }

    /// Whether input is there to be read.
    pub(crate) fn has_input(&self) -> bool {
        match &self.means {
            Means::Polled(pipe) => pipe.has_input(),
            // Nobody knows before it is read.
            Means::File(_) => self.direction != Direction::Write,
        }
    }

    /// Ends the write side, if that can end apart; else it ends when the descriptor is closed.
    pub(crate) fn shutdown(&self) {
        if let Some(writer) = &self.writer {
            writer.end();
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        match &self.means {
            Means::Polled(pipe) => pipe.local_address(),
            Means::File(_) => None,
        }
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        match &self.means {
            Means::Polled(pipe) => pipe.peer_address(),
            Means::File(_) => None,
        }
    }

    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        match &self.means {
            Means::Polled(pipe) => pipe.peer_credentials(),
            Means::File(_) => None,
        }
    }
}

/// Whether the descriptor was opened for what is asked of it.
fn check_access(fd: &OwnedFd, direction: Direction) -> io::Result<()> {
    let mode = rustix::fs::fcntl_getfl(fd)? & OFlags::ACCMODE;
    let text = match (direction, mode) {
        (Direction::Read | Direction::Both, OFlags::WRONLY) => "it is not open for reading",
        (Direction::Write | Direction::Both, OFlags::RDONLY) => "it is not open for writing",
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

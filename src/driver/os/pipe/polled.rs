//! Pipes, FIFOs, sockets and devices: whatever the poll can watch.

use std::io::{self, IoSlice, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Interest;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

use super::{Direction, OsDriver};
use crate::driver::os::OsSocket;
use crate::net::Address;
use crate::transport::{Key, PeerCredentials};

/// A descriptor that the poll can watch, used without ever waiting.
#[derive(Debug)]
pub(super) struct PolledPipe {
    fd: OwnedFd,
    kind: Kind,
    /// It did not block before it came here, so others may rely on that it does.
    was_blocking: bool,
    /// Nobody else has what is open here: closing it ends it.
    is_new: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipe,
    /// Each call says by itself that it does not wait: others who share the socket still may.
    Socket,
    Device,
    Terminal,
}

impl PolledPipe {
    /// Has the readiness of `fd` reported; gives it back if the poll cannot watch it.
    pub(super) fn register(
        driver: &OsDriver,
        fd: OwnedFd,
        kind: FileType,
        direction: Direction,
        key: Key,
    ) -> io::Result<Result<Self, OwnedFd>> {
        let kind = match kind {
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice if fd.is_terminal() => Kind::Terminal,
            FileType::CharacterDevice => Kind::Device,
            _ => Kind::Pipe,
        };
        if kind == Kind::Socket {
            OsSocket::check_is_stream(&fd)?;
        }
        match driver.register_for(fd.as_fd(), key, interest(direction)) {
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                return Ok(Err(fd));
            }
            outcome => outcome?,
        }
        let was_blocking = kind != Kind::Socket && set_blocking(&fd, false)?;
        Ok(Ok(Self { fd, kind, was_blocking, is_new: false }))
    }

    /// Has the readiness of a pipe reported that was just made.
    pub(super) fn register_new(
        driver: &OsDriver,
        fd: OwnedFd,
        direction: Direction,
        key: Key,
    ) -> io::Result<Self> {
        driver.register_for(fd.as_fd(), key, interest(direction))?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd, kind: Kind::Pipe, was_blocking: false, is_new: true })
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor of a pipe, which the kernel can splice without waiting. A socket may block.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn spliced_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::Pipe).then(|| self.fd.as_fd())
    }

    /// A terminal gives one line a call, whatever else waits.
    pub(super) fn short_reads_drain(&self) -> bool {
        matches!(self.kind, Kind::Pipe | Kind::Socket)
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self.kind {
                Kind::Socket => rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT)
                    .map(|(count, _)| count),
                _ => rustix::io::read(&self.fd, &mut *buffer),
            };
            match result {
                Err(Errno::INTR) => {}
                // The other side of the terminal was closed: that is its end.
                Err(Errno::IO) if self.kind == Kind::Terminal => return Ok(0),
                result => return Ok(result?),
            }
        }
    }

    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            let result = match self.kind {
                Kind::Socket => {
                    rustix::net::send(&self.fd, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                }
                _ => rustix::io::write(&self.fd, data),
            };
            match result {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let result = match self.kind {
                Kind::Socket => {
                    let mut control = SendAncillaryBuffer::default();
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    rustix::net::sendmsg(&self.fd, slices, &mut control, flags)
                }
                _ => rustix::io::writev(&self.fd, slices),
            };
            match result {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// The descriptor is about to be closed, which ends all but a socket that others have open.
    pub(super) fn end(&self) {
        if self.kind == Kind::Socket {
            // It fails only if the peer is gone.
            let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
        }
    }

    pub(super) fn local_address(&self) -> Option<Address> {
        (self.kind == Kind::Socket).then(|| OsSocket::local_address_of(&self.fd))?
    }

    pub(super) fn peer_address(&self) -> Option<Address> {
        (self.kind == Kind::Socket).then(|| OsSocket::peer_address_of(&self.fd))?
    }

    pub(super) fn peer_credentials(&self) -> Option<PeerCredentials> {
        // Of a socket without a peer the system tells of nobody.
        self.peer_address()?;
        OsSocket::peer_credentials_of(&self.fd)
    }
}

impl Drop for PolledPipe {
    /// Whoever shares what is open here finds it as it was.
    fn drop(&mut self) {
        if self.was_blocking {
            // It fails only if the descriptor is not open, and then there is nothing to restore.
            let _ = set_blocking(&self.fd, true);
        }
    }
}

fn interest(direction: Direction) -> Interest {
    match direction {
        Direction::Read => Interest::READABLE,
        Direction::Write => Interest::WRITABLE,
        Direction::Both | Direction::Joined => Interest::READABLE | Interest::WRITABLE,
    }
}

/// Whether that changed anything.
fn set_blocking(fd: &OwnedFd, blocking: bool) -> io::Result<bool> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    let mut wanted = flags;
    wanted.set(OFlags::NONBLOCK, !blocking);
    if wanted != flags {
        rustix::fs::fcntl_setfl(fd, wanted)?;
    }
    Ok(wanted != flags)
}

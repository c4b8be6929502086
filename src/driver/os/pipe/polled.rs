//! Pipes, FIFOs, sockets and devices: whatever the poll can watch.

use std::cell::RefCell;
use std::io::{self, IoSlice, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Interest;
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use rustix::termios::LocalModes;

use super::description::is_hung_up;
use super::{Direction, OsDriver};
use crate::address::Address;
use crate::driver::os::OsSocket;
use crate::driver::os::unwaiting::read_without_waiting;
use crate::driver::{Key, PeerCredentials};

/// A descriptor that the poll can watch, used without ever waiting.
#[derive(Debug)]
pub(crate) struct PolledPipe {
    fd: OwnedFd,
    kind: Kind,
    /// It did not block before it came here, so others may rely on that it does.
    was_blocking: bool,
    /// Nobody else has what is open here: closing it ends it.
    is_new: bool,
    /// The rest of a packet that was longer than the room there was.
    rest: RefCell<Rest>,
}

/// Bytes that were read, and were not asked for yet.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    taken: usize,
}

/// The longest packet of a pipe: what is written at once becomes packets of at most so much.
const LONGEST_PACKET: usize = 4096;

/// The longest packet of a device, such as a network tunnel.
const LONGEST_DEVICE_PACKET: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipe,
    /// Each call asks not to wait, so others who share the socket still may wait.
    Socket,
    Device,
    Terminal,
}

impl PolledPipe {
    /// Registers `fd` with the poll; gives it back if the poll cannot watch it.
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
            FileType::Fifo => Kind::Pipe,
            // Also what has no type: descriptors of events.
            _ => Kind::Device,
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
        Ok(Ok(Self { fd, kind, was_blocking, is_new: false, rest: RefCell::default() }))
    }

    /// Registers a pipe that was just made.
    pub(crate) fn register_new(
        driver: &OsDriver,
        fd: OwnedFd,
        direction: Direction,
        key: Key,
    ) -> io::Result<Self> {
        driver.register_for(fd.as_fd(), key, interest(direction))?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        let rest = RefCell::default();
        Ok(Self { fd, kind: Kind::Pipe, was_blocking: false, is_new: true, rest })
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor of a pipe, which the kernel can splice without waiting. A socket may block.
    #[cfg(linux_kernel)]
    pub(super) fn spliced_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::Pipe && self.rest.borrow().is_empty()).then(|| self.fd.as_fd())
    }

    pub(super) fn socket_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::Socket).then(|| self.fd.as_fd())
    }

    /// Reads what there is. Short reads show nothing: see `driver/drained.rs`.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.rest.borrow_mut();
        if !rest.is_empty() {
            return Ok(rest.take(buffer));
        }
        let longest = match self.kind {
            Kind::Pipe => LONGEST_PACKET,
            Kind::Device => LONGEST_DEVICE_PACKET,
            Kind::Socket | Kind::Terminal => 0,
        };
        if buffer.is_empty() || buffer.len() >= longest {
            return self.read_at_once(buffer);
        }
        // What a packet has more than there is room for would be lost.
        rest.bytes.resize(longest, 0);
        let result = self.read_at_once(&mut rest.bytes);
        rest.bytes.truncate(*result.as_ref().unwrap_or(&0));
        result.map(|_| rest.take(buffer))
    }

    /// Whether something is there to be read, here or in the system.
    pub(super) fn has_input(&self) -> bool {
        !self.rest.borrow().is_empty()
            || rustix::io::ioctl_fionread(&self.fd).is_ok_and(|count| count > 0)
    }

    fn read_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.kind == Kind::Socket {
                return read_without_waiting(self.fd(), buffer);
            }
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                // The other side of the terminal was closed: that is its end.
                Err(Errno::IO) if self.kind == Kind::Terminal => return Ok(0),
                Ok(0) if self.kind == Kind::Terminal && !buffer.is_empty() && !self.has_ended() => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                result => return Ok(result?),
            }
        }
    }

    /// Whether a read of nothing is the end of a terminal. Without canonical mode a terminal reads
    /// nothing whenever there is no input, if it was told not to wait (`VMIN` and `VTIME` are 0).
    #[cold]
    fn has_ended(&self) -> bool {
        let mode = rustix::termios::tcgetattr(&self.fd);
        // One that is hung up has no mode.
        mode.map_or(true, |mode| mode.local_modes.contains(LocalModes::ICANON))
            || is_hung_up(self.fd.as_fd())
    }

    /// Reads what a pipe has to the end of `buffer`.
    pub(crate) fn read_to_end_of(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let result = if buffer.capacity() - buffer.len() >= LONGEST_PACKET {
                rustix::io::read(&self.fd, spare_capacity(buffer))
            } else {
                // What a packet has more than there is room for would be lost.
                let mut packet = [MaybeUninit::uninit(); LONGEST_PACKET];
                rustix::io::read(&self.fd, &mut packet).map(|(packet, _)| {
                    buffer.extend_from_slice(packet);
                    packet.len()
                })
            };
            match result {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
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
        // The system names nobody for a socket without a peer.
        self.peer_address()?;
        OsSocket::peer_credentials_of(&self.fd)
    }
}

impl Drop for PolledPipe {
    /// Others who share what is open here find it as it was.
    fn drop(&mut self) {
        if self.was_blocking {
            // It fails only if the descriptor is not open, and then there is nothing to restore.
            let _ = set_blocking(&self.fd, true);
        }
    }
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let left = &self.bytes[self.taken..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        if self.is_empty() {
            *self = Self::default();
        }
        count
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

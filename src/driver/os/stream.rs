//! Stream sockets of the operating system.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags};
use socket2::{SockRef, Type};

use super::unwaiting::{has_input, is_ready, read_behind_mark, read_without_waiting};
use crate::address::Address;
use crate::driver::{PeerCredentials, ShortReads};

/// No call waits, whatever mode others who share the socket have put it in.
pub(super) const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// A connected (or connecting) TCP or Unix stream socket, non-blocking.
#[derive(Debug)]
pub(crate) struct OsSocket {
    pub(super) fd: OwnedFd,
    /// Somebody else may have a descriptor of it.
    shared: bool,
    short_reads: ShortReads,
    /// The last read left out descriptors or credentials that came with its bytes.
    left_out: Cell<bool>,
}

impl OsSocket {
    /// A socket that was made here, and that nobody else has.
    #[inline]
    pub(super) fn new(fd: OwnedFd, short_reads: ShortReads) -> Self {
        Self { fd, shared: false, short_reads, left_out: Cell::new(false) }
    }

    /// Takes a connected socket from elsewhere, and makes it non-blocking.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        Self::check_is_stream(&fd)?;
        // It fails for one that is not connected.
        SockRef::from(&fd).peer_addr()?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        let short_reads = ShortReads::ShowNothing;
        Ok(Self { fd, shared: true, short_reads, left_out: Cell::new(false) })
    }

    pub(super) fn check_is_stream(fd: &OwnedFd) -> io::Result<()> {
        if SockRef::from(fd).r#type()? == Type::STREAM {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "a stream socket was expected"))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it came from elsewhere, so that there may be more descriptors of it: closing this one
    /// leaves it registered with the poll then.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    #[inline]
    pub(crate) fn short_reads(&self) -> ShortReads {
        self.short_reads
    }

    /// Whether the last read left out what came with its bytes: it ended there.
    pub(crate) fn left_something_out(&self) -> bool {
        self.left_out.get()
    }

    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.short_reads != ShortReads::Drain {
            return self.read_other(buffer);
        }
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return read_behind_mark(self.fd(), buffer),
                result => return Ok(result?),
            }
        }
    }

    /// Reads a socket that is not a TCP socket of our own.
    #[inline(never)]
    fn read_other(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.short_reads {
            ShortReads::Tell => self.read_telling(buffer),
            // Others who share the socket may have made it a blocking one.
            _ => read_without_waiting(self.fd(), buffer),
        }
    }

    /// Reads, and notes whether descriptors or credentials were left out.
    fn read_telling(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut slices = [IoSliceMut::new(buffer)];
        loop {
            let mut control = RecvAncillaryBuffer::default();
            let flags = RecvFlags::DONTWAIT;
            match rustix::net::recvmsg(&self.fd, &mut slices, &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(message) => {
                    self.left_out.set(message.flags.contains(ReturnFlags::CTRUNC));
                    return Ok(message.bytes);
                }
            }
        }
    }

    /// Whether the system says that it can be written to now. If not, the poll will report it.
    pub(crate) fn is_writable(&self) -> bool {
        is_ready(self.fd(), PollFlags::OUT)
    }

    /// Whether the system says that it can be read now. If not, the poll will report it.
    pub(crate) fn is_readable(&self) -> bool {
        is_ready(self.fd(), PollFlags::IN)
    }

    #[inline(always)]
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(&self.fd, data, SEND) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let mut control = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&self.fd, slices, &mut control, SEND) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// As [`write_vectored`](Self::write_vectored), when more follows at once: the system may wait
    /// for it to fill a packet.
    pub(crate) fn write_before_more(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(linux_kernel)]
        const FLAGS: SendFlags = SEND.union(SendFlags::MORE);
        #[cfg(not(linux_kernel))]
        const FLAGS: SendFlags = SEND;
        loop {
            let mut control = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&self.fd, slices, &mut control, FLAGS) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Sends a part of `file` without copying it; 0 at the file's end.
    ///
    /// Nothing can keep it from raising `SIGPIPE`, which Rust programs ignore.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        #[cfg(linux_kernel)]
        loop {
            if self.may_block() {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let mut offset = offset;
            match rustix::fs::sendfile(&self.fd, file, Some(&mut offset), count) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
        #[cfg(not(linux_kernel))]
        {
            let _ = (file, offset, count);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Write)?)
    }

    /// Whether a call that cannot be told not to wait may wait: others who share the socket have made
    /// it a blocking one.
    pub(crate) fn may_block(&self) -> bool {
        self.shared
            && !rustix::fs::fcntl_getfl(&self.fd)
                .is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Whether there is something to be read. Asking takes an error away, so ask only when there is
    /// none.
    pub(crate) fn has_input(&self) -> bool {
        has_input(self.fd())
    }

    pub(crate) fn reset_when_closed(&self) {
        // It fails for one that is reset already.
        let _ = SockRef::from(&self.fd).set_linger(Some(Duration::ZERO));
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        SockRef::from(&self.fd).take_error().unwrap_or_else(Some)
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        Self::local_address_of(&self.fd)
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        Self::peer_address_of(&self.fd)
    }

    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        Self::peer_credentials_of(&self.fd)
    }

    pub(super) fn local_address_of(fd: &OwnedFd) -> Option<Address> {
        Address::from_socket2(&SockRef::from(fd).local_addr().ok()?)
    }

    pub(super) fn peer_address_of(fd: &OwnedFd) -> Option<Address> {
        Address::from_socket2(&SockRef::from(fd).peer_addr().ok()?)
    }

    pub(super) fn peer_credentials_of(fd: &OwnedFd) -> Option<PeerCredentials> {
        #[cfg(linux_kernel)]
        {
            if SockRef::from(fd).local_addr().ok()?.domain() != socket2::Domain::UNIX {
                return None;
            }
            let credentials = rustix::net::sockopt::socket_peercred(fd).ok()?;
            Some(PeerCredentials {
                uid: credentials.uid.as_raw(),
                gid: credentials.gid.as_raw(),
                pid: Some(credentials.pid.as_raw_nonzero().get().cast_unsigned()),
            })
        }
        #[cfg(not(linux_kernel))]
        {
            let _ = fd;
            None
        }
    }
}

impl AsFd for OsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

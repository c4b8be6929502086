//! Passing descriptors over Unix sockets (`SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, recvmsg, sendmsg,
};
use socket2::{Domain, SockRef};

use super::OsSocket;
use super::stream::SEND;

/// The most descriptors that one message carries (Linux's `SCM_MAX_FD`).
pub(crate) const MOST_PER_MESSAGE: usize = 253;

impl OsSocket {
    /// Whether descriptors can be passed over it.
    pub(crate) fn passes_descriptors(&self) -> bool {
        SockRef::from(&self.fd).local_addr().is_ok_and(|address| address.domain() == Domain::UNIX)
    }

    /// Sends `data`, and the descriptors with its first byte: all of them, if any byte is taken.
    pub(crate) fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: &[OwnedFd],
    ) -> io::Result<usize> {
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(borrowed.len()))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match sendmsg(&self.fd, &[IoSlice::new(data)], &mut control, SEND) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Reads, and takes the descriptors that come with the bytes, at most `most`.
    ///
    /// That there were more, or that this process has no room for them, is `InvalidData`; none is
    /// left open then.
    pub(crate) fn read_with_descriptors(
        &self,
        buffer: &mut [u8],
        most: usize,
    ) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(most))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            match recvmsg(&self.fd, &mut [IoSliceMut::new(buffer)], &mut control, FLAGS) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                descriptors.extend(passed);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > most {
            let text = format!(
                "more descriptors came than the {most} that are allowed, or than there is room for"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        close_on_exec(&descriptors)?;
        Ok((message.bytes, descriptors))
    }
}

#[cfg(linux_kernel)]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC.union(RecvFlags::DONTWAIT);

#[cfg(not(linux_kernel))]
const FLAGS: RecvFlags = RecvFlags::DONTWAIT;

/// Makes programs that this process starts close what was received, where receiving did not.
fn close_on_exec(descriptors: &[OwnedFd]) -> io::Result<()> {
    if cfg!(not(linux_kernel)) {
        for descriptor in descriptors {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

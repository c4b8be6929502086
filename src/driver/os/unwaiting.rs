//! Reading sockets without waiting, and asking whether there is anything.
//!
//! Linux answers a read at the mark of urgent data with `EAGAIN` while a signal is pending, though
//! there is input behind the mark. No edge would follow. So after `EAGAIN` the poll decides, which no
//! signal confuses, and the read is tried again while it says that there is input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;

/// How often a read is tried that the poll contradicts. Each try needs another signal to fail; but the
/// poll may also count an urgent byte that no read brings.
const TRIES: usize = 16;

/// Reads a socket that may be a blocking one.
pub(super) fn read_without_waiting(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    receive(fd, buffer, RecvFlags::DONTWAIT)
}

/// A read has said that there is nothing: reads again if there is.
#[cold]
pub(super) fn read_behind_mark(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    if is_ready(fd, PollFlags::IN) {
        read_without_waiting(fd, buffer)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Whether a read would bring something. The count that the system keeps (`FIONREAD`) is 0 at the mark of
/// urgent data, so it is a read that tells. It takes the error of a socket that has one.
pub(super) fn has_input(fd: BorrowedFd<'_>) -> bool {
    let peek = RecvFlags::DONTWAIT.union(RecvFlags::PEEK);
    receive(fd, &mut [0], peek).is_ok_and(|count| count > 0)
}

fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let mut tries = 0;
    loop {
        match rustix::net::recv(fd, &mut *buffer, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if tries < TRIES && is_ready(fd, PollFlags::IN) => tries += 1,
            result => return Ok(result?.0),
        }
    }
}

/// Whether the system says so now.
pub(super) fn is_ready(fd: impl AsFd, events: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), events)];
    loop {
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Err(Errno::INTR) => {}
            result => return result.is_ok() && !fds[0].revents().is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::*;

    /// A socket that has read up to the mark of urgent data, and its peer.
    fn at_mark() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        peer.set_nodelay(true).unwrap();
        peer.write_all(b"abc").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        let mut buffer = [0; 3];
        near.peek(&mut buffer).unwrap();
        assert_eq!(rustix::io::read(&near, &mut buffer).unwrap(), 3);
        (near, peer)
    }

    #[test]
    fn nothing_at_the_mark_of_urgent_data_is_not_believed_while_there_is_input_behind_it() {
        let (near, mut peer) = at_mark();
        let mut buffer = [0; 10];
        let nothing = read_behind_mark(near.as_fd(), &mut buffer);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(!has_input(near.as_fd()));
        peer.write_all(b"def").unwrap();
        assert_eq!(rustix::io::ioctl_fionread(&near).unwrap(), 0, "what the system counts");
        assert!(has_input(near.as_fd()));
        assert_eq!(read_behind_mark(near.as_fd(), &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"def");
    }

    #[test]
    fn a_socket_that_blocks_is_not_waited_for() {
        let (near, mut peer) = UnixStream::pair().unwrap();
        let mut buffer = [0; 10];
        let nothing = read_without_waiting(near.as_fd(), &mut buffer);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(!has_input(near.as_fd()));
        peer.write_all(b"abc").unwrap();
        assert!(has_input(near.as_fd()));
        assert_eq!(read_without_waiting(near.as_fd(), &mut buffer).unwrap(), 3);
        drop(peer);
        assert!(!has_input(near.as_fd()));
        assert_eq!(read_without_waiting(near.as_fd(), &mut buffer).unwrap(), 0);
    }
}

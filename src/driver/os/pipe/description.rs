//! Standard streams without changing what the shell and others share.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};

use super::Direction;

/// A descriptor for what `fd` has open, to be used without waiting.
///
/// Whether an operation waits is a property not of a descriptor but of what is open behind it, and
/// of a standard stream that is shared with the shell and every other process on it. So a pipe or a
/// terminal is opened once more where the system can; else the descriptor is a copy, which is set
/// and set back.
pub(crate) fn own_description(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<OwnedFd> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
    let again = match kind {
        FileType::Fifo => open_again(fd, direction).filter(|_| !is_hung_up(fd)),
        FileType::CharacterDevice if fd.is_terminal() => open_again(fd, direction),
        // A file's position is shared, and has to stay so: `(first; second) > file`.
        _ => None,
    };
    match again {
        Some(again) => Ok(again),
        None => fd.try_clone_to_owned(),
    }
}

/// Opens the other end of the pipe or FIFO `fd`; `None` where there is no such way.
pub(crate) fn open_other_end(fd: BorrowedFd<'_>, direction: Direction) -> Option<OwnedFd> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(fd).ok()?.st_mode);
    match direction {
        Direction::Read if kind == FileType::Fifo => open_again(fd, Direction::Write),
        Direction::Write if kind == FileType::Fifo => open_again(fd, Direction::Read),
        _ => None,
    }
}

/// Opens what `fd` has open once more, in the direction given; `None` where that is not possible or
/// not allowed.
fn open_again(fd: BorrowedFd<'_>, direction: Direction) -> Option<OwnedFd> {
    let access = match direction {
        Direction::Read => OFlags::RDONLY,
        Direction::Write => OFlags::WRONLY,
        Direction::Both | Direction::Joined => OFlags::RDWR,
    };
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let again = rustix::fs::open(path_of(fd)?, flags, Mode::empty()).ok()?;
    is_same(fd, again.as_fd()).then_some(again)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn path_of(fd: BorrowedFd<'_>) -> Option<String> {
    use std::os::fd::AsRawFd;

    Some(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A terminal has a name; nothing else can be found again.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn path_of(fd: BorrowedFd<'_>) -> Option<std::ffi::CString> {
    rustix::termios::ttyname(fd, Vec::new()).ok()
}

/// Whether the writers of a FIFO are gone. Opened only after that, it would not tell.
fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

fn is_same(first: BorrowedFd<'_>, second: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(first), rustix::fs::fstat(second)) {
        (Ok(first), Ok(second)) => (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino),
        _ => false,
    }
}

//! Standard streams without changing what the shell and others share.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};

use super::Direction;

/// A descriptor for what `fd` has open, to be used without waiting.
///
/// Whether an operation waits is a property of what is open behind a descriptor, not of the
/// descriptor; and the shell and other processes share what is open behind a standard stream. So a
/// pipe or a terminal is opened once more where the system can; else the descriptor is a copy,
/// whose mode is set and set back.
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
    if !names_one_thing(fd) {
        return None;
    }
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let again = rustix::fs::open(path_of(fd)?, flags, Mode::empty()).ok()?;
    (is_same(fd, again.as_fd()) && keeps_packets(fd, again.as_fd())).then_some(again)
}

/// Whether what is opened by the same name is the same thing. For some devices it is another one
/// each time, though the name and the numbers are equal: a new pseudoterminal (`/dev/ptmx`), or
/// whichever terminal is this process's or the foreground's (`/dev/tty`, `/dev/console`,
/// `/dev/tty0`).
fn names_one_thing(fd: BorrowedFd<'_>) -> bool {
    let Ok(stat) = rustix::fs::fstat(fd) else { return false };
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
        return true;
    }
    #[cfg(linux_kernel)]
    {
        /// `/dev/tty`, `/dev/console`, `/dev/ptmx`.
        const ALIASES: u32 = 5;
        /// Of the old pseudoterminals, the side that has no name of its own.
        const OLD_MASTERS: u32 = 2;
        const CURRENT_CONSOLE: (u32, u32) = (4, 0);
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        device.0 != ALIASES && device.0 != OLD_MASTERS && device != CURRENT_CONSOLE
    }
    #[cfg(not(linux_kernel))]
    {
        // The slave's side of a pseudoterminal, and a line: all have a name that is theirs.
        path_of(fd).is_some_and(|path| {
            ![c"/dev/tty", c"/dev/console", c"/dev/ptmx"].contains(&path.as_c_str())
        })
    }
}

/// Makes what is written through `again` go in packets if it does through `fd`. Returns whether
/// that is so.
fn keeps_packets(fd: BorrowedFd<'_>, again: BorrowedFd<'_>) -> bool {
    #[cfg(linux_kernel)]
    if let Ok(flags) = rustix::fs::fcntl_getfl(fd)
        && flags.contains(OFlags::DIRECT)
    {
        let packets = rustix::fs::fcntl_getfl(again)
            .and_then(|own| rustix::fs::fcntl_setfl(again, own | OFlags::DIRECT));
        return packets.is_ok();
    }
    let _ = (fd, again);
    true
}

#[cfg(linux_kernel)]
fn path_of(fd: BorrowedFd<'_>) -> Option<String> {
    use std::os::fd::AsRawFd;

    Some(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A terminal has a name; nothing else can be found again.
#[cfg(not(linux_kernel))]
fn path_of(fd: BorrowedFd<'_>) -> Option<std::ffi::CString> {
    rustix::termios::ttyname(fd, Vec::new()).ok()
}

/// Whether the writers of a FIFO are gone (opened only after that, it would not tell), or a terminal's
/// line.
pub(super) fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Err(rustix::io::Errno::INTR) => {}
            polled => return polled.is_ok() && fds[0].revents().contains(PollFlags::HUP),
        }
    }
}

fn is_same(first: BorrowedFd<'_>, second: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(first), rustix::fs::fstat(second)) {
        (Ok(first), Ok(second)) => (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino),
        _ => false,
    }
}

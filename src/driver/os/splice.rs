//! Pipes through which the kernel moves bytes from one socket to another without a copy.
//!
//! A pipe is taken for one fill, and given back when it is empty again. So a loop has at most one
//! for each receiver that lags behind, and a few more.
//!
//! A pipe is filled only while it is empty, and drained only while it is not. So `EAGAIN` is always the
//! socket's: nothing to read while filling, no room while draining.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::pipe::{PipeFlags, SpliceFlags};

/// What a pipe is made to hold, if the system allows it.
const CAPACITY: usize = 256 * 1024;

/// The most pipes of a loop. A relay that gets none copies.
const MOST: usize = 64;

/// The most empty pipes that are kept while somebody splices.
const KEPT: usize = 8;

/// The pipes of a loop.
#[derive(Default)]
pub(crate) struct SplicePipes(Rc<Pool>);

#[derive(Default)]
struct Pool {
    idle: RefCell<Vec<Ends>>,
    open: Cell<usize>,
    users: Cell<usize>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// Keeps empty pipes for the next one who needs one, as long as there is any such value.
pub(crate) struct SpliceUser(Rc<Pool>);

/// A pipe and what is in it.
pub(crate) struct SplicePipe {
    ends: Option<Ends>,
    level: usize,
    pool: Rc<Pool>,
}

impl SplicePipes {
    /// Whether this system can splice at all.
    pub(crate) const SUPPORTED: bool = true;

    pub(crate) fn user(&self) -> SpliceUser {
        self.0.users.set(self.0.users.get() + 1);
        SpliceUser(Rc::clone(&self.0))
    }

    /// An empty pipe, if one can be had.
    pub(crate) fn take(&self) -> Option<SplicePipe> {
        let idle = self.0.idle.borrow_mut().pop();
        let ends = match idle {
            Some(ends) => ends,
            None if self.0.open.get() >= MOST => return None,
            None => Ends::open().ok()?,
        };
        self.0.open.set(self.0.open.get() + 1);
        Some(SplicePipe { ends: Some(ends), level: 0, pool: Rc::clone(&self.0) })
    }
}

impl Ends {
    fn open() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused where the user's pipes hold much already: a smaller one does as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write })
    }
}

impl SplicePipe {
    /// The most that one fill is asked for.
    pub(crate) const CAPACITY: usize = CAPACITY;

    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// Moves at most `limit` bytes from a socket into the pipe, which has to be empty. So "would
    /// block" means that the socket has nothing, not that the pipe is full.
    pub(crate) fn fill(&mut self, from: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        debug_assert_eq!(self.level, 0);
        let Some(ends) = &self.ends else { return Ok(0) };
        let count = splice(from, &ends.write, limit)?;
        self.level += count;
        Ok(count)
    }

    /// Moves at most `limit` bytes from the pipe into a socket. There is something in the pipe, so
    /// "would block" means that the socket has no room.
    pub(crate) fn drain(&mut self, to: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let count = splice(&ends.read, to, limit.min(self.level))?;
        self.level -= count.min(self.level);
        Ok(count)
    }

    /// Takes out what is in it, for a socket that cannot be spliced to.
    pub(crate) fn take_out(&mut self) -> io::Result<Vec<u8>> {
        let Some(ends) = &self.ends else { return Ok(Vec::new()) };
        let mut bytes = vec![0; self.level];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::read(&ends.read, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(filled);
        self.level = 0;
        Ok(bytes)
    }
}

impl Drop for SplicePipe {
    /// An empty pipe is kept for the next one.
    fn drop(&mut self) {
        self.pool.open.set(self.pool.open.get() - 1);
        if let Some(ends) = self.ends.take()
            && self.level == 0
            && self.pool.users.get() > 0
        {
            let mut idle = self.pool.idle.borrow_mut();
            if idle.len() < KEPT {
                idle.push(ends);
            }
        }
    }
}

impl Drop for SpliceUser {
    fn drop(&mut self) {
        let users = self.0.users.get() - 1;
        self.0.users.set(users);
        if users == 0 {
            self.0.idle.borrow_mut().clear();
        }
    }
}

impl std::fmt::Debug for SplicePipe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SplicePipe").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Moves at most `limit` bytes between two descriptors one of which is a pipe. When it says that it
/// would block, that may be either of them.
pub(crate) fn splice_directly(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    limit: usize,
) -> io::Result<usize> {
    splice(from, to, limit)
}

/// Whether an error says that a descriptor cannot be spliced, rather than that it is broken.
pub(crate) fn cannot_splice(error: &io::Error) -> bool {
    let errors = [rustix::io::Errno::INVAL, rustix::io::Errno::NOSYS, rustix::io::Errno::OPNOTSUPP];
    error.kind() == io::ErrorKind::Unsupported
        || errors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn splice(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    limit: usize,
) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        match rustix::pipe::splice(&from, None, &to, None, limit, flags) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pipe_is_kept_when_it_is_empty_and_closed_when_it_is_not() {
        let pipes = SplicePipes::default();
        let user = pipes.user();
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"hello").unwrap();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(pipe.fill(far.as_fd(), 3).unwrap(), 3);
        assert_eq!(pipe.drain(far.as_fd(), 2).unwrap(), 2);
        assert_eq!(pipe.take_out().unwrap(), b"l");
        drop(pipe);
        assert_eq!(pipes.0.idle.borrow().len(), 1);
        let mut buffer = [0; 2];
        near.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"he");

        let mut pipe = pipes.take().unwrap();
        assert_eq!(pipe.fill(far.as_fd(), 100).unwrap(), 2);
        drop(pipe);
        assert!(pipes.0.idle.borrow().is_empty());
        assert_eq!(pipes.0.open.get(), 0);

        drop(pipes.take());
        assert_eq!(pipes.0.idle.borrow().len(), 1);
        drop(user);
        assert!(pipes.0.idle.borrow().is_empty());
    }

    #[test]
    fn a_loop_has_no_more_than_so_many_pipes() {
        let pipes = SplicePipes::default();
        let taken: Vec<_> = (0..MOST).map(|_| pipes.take().unwrap()).collect();
        assert!(pipes.take().is_none());
        drop(taken);
        assert!(pipes.take().is_some());
    }
}

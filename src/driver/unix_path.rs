//! The paths of Unix listeners: taken over when stale, removed when done.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::shared_listeners::socket_identity;

/// A path that a listener or an endpoint of ours is bound to; it is removed with this, if it still is that one.
///
/// It goes before the socket is closed. An open socket keeps its inode; once it is closed, a successor that takes
/// the path over can be given the same inode, and its path would look like ours.
#[derive(Debug)]
pub(crate) struct BoundPath {
    path: PathBuf,
    identity: (u64, u64),
    /// Another process removes it.
    given_away: bool,
}

impl BoundPath {
    /// Notes who lies at `path` now; `None` for an abstract name.
    pub(crate) fn note(path: &Path) -> Option<Self> {
        if is_abstract(path) {
            return None;
        }
        let identity = identity(path).ok()?;
        Some(Self { path: path.to_owned(), identity, given_away: false })
    }

    /// As [`note`](Self::note), for a listener that was bound elsewhere: `None` if another one may be
    /// bound there by now.
    pub(crate) fn of_listener(listener: impl AsFd, path: &Path) -> Option<Self> {
        is_only_listener(listener, path).then(|| Self::note(path)).flatten()
    }

    /// Leaves the path where it is: somebody else listens there.
    pub(crate) fn give_away(mut self) {
        self.given_away = true;
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if !self.given_away && identity(&self.path).is_ok_and(|identity| identity == self.identity)
        {
            // Somebody else may have removed it just now, or it may not be ours to remove.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The right to take `path` over and to bind there, until it is dropped: a lock of its directory.
///
/// Without it, of two that begin at once, one could take for stale, and remove, what the other has bound a moment
/// before, and does not listen on yet. Programs that do not ask for it are in nobody's way, and it is given without
/// the lock where the directory cannot be locked.
#[derive(Debug)]
pub(crate) struct PathClaim {
    #[cfg_attr(not(test), expect(dead_code, reason = "it is held"))]
    lock: Option<OwnedFd>,
}

impl PathClaim {
    /// Waits for its turn, which takes others some system calls, but not for long.
    pub(crate) fn new(path: &Path) -> Self {
        Self { lock: lock_directory(path) }
    }

    /// Removes a socket at `path` that nobody listens on any more.
    ///
    /// Whatever else is there is left, for the bind to fail on.
    pub(crate) fn remove_stale(&self, path: &Path) {
        remove_if_stale(path, Type::STREAM);
    }

    /// As [`remove_stale`](Self::remove_stale), for a datagram socket that nobody has open any more.
    pub(crate) fn remove_stale_datagram(&self, path: &Path) {
        remove_if_stale(path, Type::DGRAM);
    }
}

/// How often, a millisecond apart, the lock is tried for.
///
/// Who has it needs some system calls, and a busy machine some time for them. Somebody else may lock the
/// directory for reasons of their own, and keep it.
const TRIES: u32 = 500;

fn lock_directory(path: &Path) -> Option<OwnedFd> {
    if is_abstract(path) {
        return None;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // A path through something else, such as a FIFO, must not be waited for.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(directory.unwrap_or(Path::new(".")), flags, Mode::empty()).ok()?;
    for _ in 0..TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    None
}

fn remove_if_stale(path: &Path, kind: Type) {
    let is_socket = !is_abstract(path)
        && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && nobody_listens(path, kind).unwrap_or(false) {
        // If it cannot be removed the bind tells.
        let _ = fs::remove_file(path);
    }
}

fn nobody_listens(path: &Path, kind: Type) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    probe.set_nonblocking(true)?;
    Ok(match probe.connect(&SockAddr::unix(path)?) {
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Ok(()) => false,
    })
}

/// Whether no other socket listens under this path. (Where the system does not tell, the listener is
/// believed to have the path that it was bound to.)
fn is_only_listener(listener: impl AsFd, path: &Path) -> bool {
    /// The column of the flags, and the flag of listeners.
    const FLAGS: usize = 3;
    const LISTENS: u32 = 1 << 16;
    /// The columns before the path.
    const COLUMNS: usize = 7;
    let Ok(table) = fs::read("/proc/net/unix") else { return true };
    let Some((_, inode)) = socket_identity(listener) else { return false };
    let listeners = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut rest = line;
        let mut columns = Vec::with_capacity(COLUMNS);
        while columns.len() < COLUMNS {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|byte| *byte == b' ')?;
            columns.push(std::str::from_utf8(&rest[..end]).ok()?);
            rest = &rest[end..];
        }
        let flags = u32::from_str_radix(columns[FLAGS], 16).ok()?;
        let is_there = rest.strip_prefix(b" ")? == path.as_os_str().as_bytes();
        (is_there && flags & LISTENS != 0).then_some(columns[COLUMNS - 1].parse::<u64>().ok()?)
    });
    // Not in the table at all: it is of another network's namespace.
    listeners.eq([inode])
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether it is a name in Linux's abstract namespace, which is no file.
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().first() == Some(&0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_claims_a_path_sees_what_the_one_before_has_bound() {
        // Nobody else locks it.
        let directory = std::env::temp_dir().join(format!("wharf-claim-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("socket");
        loop {
            // One that nobody listens on.
            drop(UnixListener::bind(&path).unwrap());
            let began = Instant::now();
            let first = PathClaim::new(&path);
            let next = std::thread::spawn({
                let path = path.clone();
                move || {
                    let claim = PathClaim::new(&path);
                    claim.remove_stale(&path);
                    UnixListener::bind(&path).map_err(|error| error.kind())
                }
            });
            // The other one has time to go wrong.
            std::thread::sleep(Duration::from_millis(20));
            first.remove_stale(&path);
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            // Refused if this thread was so late that the other one has given up waiting.
            let bound = socket.bind(&SockAddr::unix(&path).unwrap());
            std::thread::sleep(Duration::from_millis(5));
            let listens = bound.and_then(|()| socket.listen(1));
            drop(first);
            let outcome = next.join().unwrap().map(drop);
            if began.elapsed() < Duration::from_millis(u64::from(TRIES)) {
                listens.unwrap();
                assert_eq!(outcome, Err(io::ErrorKind::AddrInUse));
                break;
            }
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_path_below_what_is_no_directory_is_not_waited_for() {
        let fifo = std::env::temp_dir().join(format!("wharf-claim-fifo-{}", std::process::id()));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(PathClaim::new(&fifo.join("socket")).lock.is_none());
        fs::remove_file(&fifo).unwrap();
    }
}

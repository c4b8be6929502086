//! The paths of Unix listeners: taken over when stale, removed when done.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// A path that a listener of ours is bound to; it is removed with this, if it still is that one.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    identity: (u64, u64),
    /// Another process removes it.
    given_away: bool,
}

impl BoundPath {
    /// Notes who lies at `path` now; `None` for an abstract name.
    pub(super) fn note(path: &Path) -> Option<Self> {
        if is_abstract(path) {
            return None;
        }
        let identity = identity(path).ok()?;
        Some(Self { path: path.to_owned(), identity, given_away: false })
    }

    /// Leaves the path where it is: somebody else listens there.
    pub(super) fn give_away(mut self) {
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

/// Removes a socket at `path` that nobody listens on any more.
///
/// Whatever else is there is left, for the bind to fail on.
pub(super) fn remove_stale(path: &Path) {
    let is_socket = !is_abstract(path)
        && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && nobody_listens(path).unwrap_or(false) {
        // If it cannot be removed the bind tells.
        let _ = fs::remove_file(path);
    }
}

fn nobody_listens(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    Ok(match probe.connect(&SockAddr::unix(path)?) {
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Ok(()) => false,
    })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether it is a name in Linux's abstract namespace, which is no file.
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().first() == Some(&0)
}

//! Listeners that other processes have, too: their paths are not this process's to remove.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

/// The listeners that another process has, too, as far as this process knows.
static SHARED: Mutex<SharedListeners> = Mutex::new(SharedListeners::new());

/// Notes that another process has this listener, too: a service manager, or the predecessor of a hot
/// restart. Its path is not this process's to remove.
pub(crate) fn note_shared(listener: impl AsFd) {
    if let Some(identity) = socket_identity(listener) {
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).insert(identity);
    }
}

/// Whether another process has this listener, as far as it is known here.
pub(crate) fn is_shared(listener: impl AsFd) -> bool {
    socket_identity(listener).is_some_and(|identity| {
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).identities.contains(&identity)
    })
}

/// Sockets by their inodes, which the system does not give out again while the socket is open
/// anywhere.
struct SharedListeners {
    identities: BTreeSet<(u64, u64)>,
    /// Those that were closed meanwhile are looked for when there are more than this. A descriptor
    /// can be closed by anybody, so that no other moment tells.
    look_from: usize,
}

impl SharedListeners {
    const FEW: usize = 64;

    const fn new() -> Self {
        Self { identities: BTreeSet::new(), look_from: Self::FEW }
    }

    fn insert(&mut self, identity: (u64, u64)) {
        self.identities.insert(identity);
        if self.identities.len() > self.look_from {
            if let Ok(open) = open_descriptors() {
                self.identities.retain(|identity| open.contains(identity));
            }
            self.look_from = Self::FEW.max(2 * self.identities.len());
        }
    }
}

/// What this process has open.
fn open_descriptors() -> io::Result<BTreeSet<(u64, u64)>> {
    let mut open = BTreeSet::new();
    for entry in fs::read_dir("/dev/fd")? {
        // One that was closed meanwhile is not open.
        if let Ok(status) = fs::metadata(entry?.path()) {
            open.insert((status.dev(), status.ino()));
        }
    }
    Ok(open)
}

/// The device and the inode of a socket.
pub(crate) fn socket_identity(socket: impl AsFd) -> Option<(u64, u64)> {
    let status = rustix::fs::fstat(socket).ok()?;
    Some((status.st_dev as u64, status.st_ino))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn shared_listeners_that_are_closed_are_forgotten() {
        let new = || UnixDatagram::unbound().expect("a socket");
        let identity = |socket: &UnixDatagram| socket_identity(socket).expect("an inode");
        let mut shared = SharedListeners::new();
        let kept: Vec<_> = (0..100).map(|_| new()).collect();
        kept.iter().for_each(|socket| shared.insert(identity(socket)));
        for _ in 0..2_000 {
            shared.insert(identity(&new()));
        }
        assert!(kept.iter().all(|socket| shared.identities.contains(&identity(socket))));
        assert!(shared.identities.len() <= 2 * kept.len() + SharedListeners::FEW);
    }
}

//! A driver in memory: sockets that are buffers, and time that passes only when nothing is ready.
//!
//! Equal programs run equally: nothing here asks the operating system anything. When nothing is
//! ready, time jumps to the next timer; when there is no timer either, that is an error, since
//! nothing could ever happen again.

mod datagram;
mod network;
mod pipe;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};

pub(crate) use self::datagram::MemoryDatagramSocket;
pub(crate) use self::network::{MemoryListener, Network};
pub(crate) use self::pipe::{MemorySocket, pair};

pub(crate) struct MemoryDriver {
    /// The real clock when the driver was made: virtual time begins there.
    began: Instant,
    elapsed: Cell<Duration>,
    woken: Arc<AtomicBool>,
    network: Network,
}

/// Wakes the driver: the next poll that would wait returns at once.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWaker(Arc<AtomicBool>);

impl MemoryWaker {
    pub(crate) fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl MemoryDriver {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            began: Instant::now(),
            elapsed: Cell::new(Duration::ZERO),
            woken: Arc::default(),
            network,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.began + self.elapsed.get()
    }

    /// The time since the Unix epoch, as the network says it began.
    #[cfg(feature = "tls-core")]
    pub(crate) fn date(&self) -> Duration {
        self.network.date().saturating_add(self.elapsed.get())
    }

    pub(crate) fn waker(&self) -> MemoryWaker {
        MemoryWaker(Arc::clone(&self.woken))
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, duration: Duration) {
        self.elapsed.set(self.elapsed.get().saturating_add(duration));
    }

    /// There is nothing to wait for but time: it passes at once.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        if self.woken.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        match timeout {
            Some(timeout) => {
                self.advance(timeout);
                Ok(())
            }
            None => Err(io::Error::other(Error::bare(Kind::Deadlock))),
        }
    }

    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> io::Result<MemorySocket> {
        self.network.connect(remote, local)
    }

    pub(crate) fn connect_unix(&self, path: &Path) -> io::Result<MemorySocket> {
        self.network.connect_unix(path)
    }
}

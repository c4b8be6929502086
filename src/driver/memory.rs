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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};

pub(crate) use self::datagram::MemoryDatagramSocket;
pub(crate) use self::network::{MemoryListener, Network};
pub(crate) use self::pipe::{MemorySocket, pair};

/// How far time goes in memory: 292 years. Timers for later are for never.
const END_OF_TIME: Duration = Duration::from_nanos(u64::MAX / 2);

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

    /// The moment after `duration`, or the end of time.
    pub(crate) fn after(&self, duration: Duration) -> Instant {
        let elapsed = self.elapsed.get().saturating_add(duration).min(END_OF_TIME);
        self.began.checked_add(elapsed).unwrap_or_else(|| self.now())
    }

    /// Lets time pass, up to its end.
    pub(crate) fn advance(&self, duration: Duration) {
        self.elapsed.set(self.after(duration).saturating_duration_since(self.began));
    }

    /// There is nothing to wait for but time: it passes at once.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        if self.woken.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        match timeout {
            Some(timeout) if timeout.is_zero() || self.elapsed.get() < END_OF_TIME => {
                self.advance(timeout);
                Ok(())
            }
            _ => Err(io::Error::other(Error::bare(Kind::Deadlock))),
        }
    }
}

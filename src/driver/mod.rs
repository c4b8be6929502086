//! Where readiness, sockets and time come from.
//!
//! The seam lies at the level of operations, not of file descriptors: a [`Socket`] can be read,
//! written, shut down and asked for its addresses; a [`Listener`] accepts; a [`Driver`] opens them,
//! reports which are ready, and tells the time. Everything above (transports, servers, connects,
//! timers, tasks) is the same code on every driver, and never asks which one it is on: where drivers
//! differ, it asks what they can do ([`Driver::os`], [`Driver::runs_jobs_inline`] and their like).
//!
//! The module imports nothing from above. Its vocabulary ([`Key`], [`Readiness`], the options of
//! sockets) is what the rooms above speak, too.

mod credentials;
mod datagram;
mod datagram_options;
pub(crate) mod drained;
mod key;
mod listener;
pub(crate) mod memory;
mod open;
mod options;
mod os;
mod outbox;
mod readiness;
pub(crate) mod shared_listeners;
mod signals;
mod socket;
pub(crate) mod tight;
mod unacknowledged;
pub(crate) mod unix_path;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::socket::closed;
use crate::error::{Error, Kind};

pub use self::credentials::PeerCredentials;
pub use self::datagram::Ecn;
pub use self::datagram_options::MulticastInterface;
pub use self::key::TransportId;
pub use self::options::Keepalive;

pub(crate) use self::datagram::{
    DatagramSocket, Details, RECEIVE_BATCH, ReceiveBuffers, Received, SentAgain,
};
pub(crate) use self::datagram_options::DatagramSocketOptions;
pub(crate) use self::drained::ShortReads;
pub(crate) use self::key::Key;
pub(crate) use self::listener::{Listener, Reserve};
pub(crate) use self::memory::{NetworkLoop, NextTurn};
pub(crate) use self::options::{Probing, SocketOptions};
pub(crate) use self::os::{
    Direction, FileJob, FileJobDone, ListenOptions, MOST_PER_MESSAGE, OsDriver, OsPipe, PipeHost,
    PolledPipe, SplicePipe, SplicePipes, SpliceUser, cannot_splice, open_other_end,
    own_description, splice_directly,
};
pub(crate) use self::outbox::{OVERHEAD, Outbox, Outgoing};
pub(crate) use self::readiness::Readiness;
pub(crate) use self::signals::Signals;
pub(crate) use self::socket::Socket;
pub(crate) use self::unacknowledged::Unacknowledged;

/// The source of readiness and time of one loop.
pub(crate) enum Driver {
    Os(OsDriver),
    Memory(memory::MemoryDriver),
}

/// What ends a poll from another thread.
#[derive(Debug, Clone)]
pub(crate) enum Waker {
    Os(Arc<mio::Waker>),
    Memory(memory::MemoryWaker),
}

impl Waker {
    pub(crate) fn wake(&self) {
        match self {
            // It fails only when the loop is gone, and then there is nobody to wake.
            Self::Os(waker) => drop(waker.wake()),
            Self::Memory(waker) => waker.wake(),
        }
    }
}

impl Driver {
    /// The operating system's readiness and clock. It polls up to `spin` times without waiting before
    /// it goes to sleep.
    pub(crate) fn system(spin: u32) -> io::Result<Self> {
        OsDriver::new(spin).map(Self::Os)
    }

    /// On a machine of a network in memory.
    pub(crate) fn in_memory(machine: memory::Machine) -> Self {
        Self::Memory(memory::MemoryDriver::new(machine))
    }

    /// The operating system, for what only it has: descriptors from elsewhere, children, signals.
    ///
    /// Code above reaches them in no other way, so a loop on another driver never uses real ones by
    /// mistake.
    pub(crate) fn os(&self) -> Option<&OsDriver> {
        match self {
            Self::Os(driver) => Some(driver),
            Self::Memory(_) => None,
        }
    }

    /// As [`os`](Self::os), for what fails without it; `what` completes "a loop in memory cannot …".
    ///
    /// # Errors
    /// [`Kind::Unsupported`] on other drivers.
    pub(crate) fn require_os(&self, what: &str) -> Result<&OsDriver, Error> {
        self.os()
            .ok_or_else(|| Error::new(Kind::Unsupported, format!("a loop in memory cannot {what}")))
    }

    /// Whether it is a simulated host's.
    pub(crate) fn is_simulated(&self) -> bool {
        match self {
            Self::Os(_) => false,
            Self::Memory(driver) => driver.is_simulated(),
        }
    }

    /// The driver in memory, for those who play its network and its clock by hand.
    pub(crate) fn memory(&self) -> Option<&memory::MemoryDriver> {
        match self {
            Self::Os(_) => None,
            Self::Memory(driver) => Some(driver),
        }
    }

    /// Says which loop it drives, and where what is ready on that comes: on a network in memory, the loops take turns.
    pub(crate) fn join(&self, own: Weak<dyn NetworkLoop>, signals: &Signals) {
        match self {
            Self::Os(_) => {}
            Self::Memory(driver) => driver.join(own, signals),
        }
    }

    /// The loop may have something to do, or other timers, which it was given while it has no tick.
    pub(crate) fn mark(&self) {
        match self {
            // It looks for itself.
            Self::Os(_) => {}
            Self::Memory(driver) => driver.mark(),
        }
    }

    /// Whether other loops, which only run when this one does, have something to do at this moment.
    pub(crate) fn others_are_due(&self) -> bool {
        match self {
            Self::Os(_) => false,
            Self::Memory(driver) => driver.others_are_due(),
        }
    }

    /// Whether jobs run on the loop's own thread, so that equal programs run equally.
    pub(crate) fn runs_jobs_inline(&self) -> bool {
        match self {
            Self::Os(_) => false,
            Self::Memory(_) => true,
        }
    }

    /// Whether the path of a Unix socket is a file, which is there before and after the socket.
    pub(crate) fn has_socket_files(&self) -> bool {
        match self {
            Self::Os(_) => true,
            // A path is a name of the network.
            Self::Memory(_) => false,
        }
    }

    /// Whether peers go on while this thread sleeps.
    pub(crate) fn peers_run_meanwhile(&self) -> bool {
        match self {
            Self::Os(_) => true,
            Self::Memory(_) => false,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Os(_) => Instant::now(),
            Self::Memory(driver) => driver.now(),
        }
    }

    /// The time since the Unix epoch, where it is not the system's.
    #[cfg(feature = "tls-core")]
    pub(crate) fn date(&self) -> Option<Duration> {
        match self {
            Self::Os(_) => None,
            Self::Memory(driver) => Some(driver.machine().date()),
        }
    }

    /// What the loop's random numbers begin with: in memory always the same, or what a simulation says.
    pub(crate) fn seed(&self) -> u64 {
        match self {
            Self::Os(_) => RandomState::new().hash_one(0),
            Self::Memory(driver) => driver.seed(),
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        match self {
            Self::Os(driver) => Waker::Os(driver.waker()),
            Self::Memory(driver) => Waker::Memory(driver.waker()),
        }
    }

    /// Waits until something is ready, at most `timeout` (`None`: for ever). An error is final.
    ///
    /// A signal ends it early, but only after what is ready was looked for.
    #[inline(always)]
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Os(driver) => driver.wait(timeout),
            Self::Memory(driver) => driver.wait(timeout),
        }
    }

    /// Whether the last wait may have left events for the next one. Never more often in a row than it
    /// takes to be told of each of `sources`.
    pub(crate) fn left_events(&self, sources: usize) -> bool {
        match self {
            Self::Os(driver) => driver.left_events(sources),
            Self::Memory(_) => false,
        }
    }

    /// Hands out what became ready in the last wait. `ready` may call anything but `wait`; what is left
    /// when it unwinds goes to `unserved`.
    #[inline(always)]
    pub(crate) fn take_events(
        &self,
        ready: impl FnMut(Key, Readiness),
        unserved: impl FnMut(Key, Readiness),
    ) {
        match self {
            Self::Os(driver) => driver.take_events(ready, unserved),
            // All its sockets are in memory, and signal by themselves.
            Self::Memory(_) => {}
        }
    }

    /// What sockets in memory have signalled since the last time, in the order in which it is reported.
    pub(crate) fn arrange(&self, signals: &mut VecDeque<(Key, Readiness)>) {
        match self {
            Self::Os(_) => {}
            Self::Memory(driver) => driver.arrange(signals.make_contiguous()),
        }
    }

    /// From now on `socket`'s readiness is reported under `key`, first what it is already ready for.
    #[inline]
    pub(crate) fn register(&self, socket: &Socket, key: Key, signals: &Signals) -> io::Result<()> {
        match (self, socket) {
            (Self::Os(driver), Socket::Os(socket)) => driver.register_stream(socket.fd(), key),
            _ => self.register_elsewhere(socket, key, signals),
        }
    }

    /// Out of line: sockets of the operating system take two branches.
    #[inline(never)]
    fn register_elsewhere(&self, socket: &Socket, key: Key, signals: &Signals) -> io::Result<()> {
        match (self, socket) {
            (_, Socket::Memory(socket)) => {
                socket.register(key, Rc::clone(signals));
                Ok(())
            }
            (Self::Os(driver), Socket::Os(socket)) => driver.register_stream(socket.fd(), key),
            (Self::Memory(_), Socket::Os(_)) => Err(io::ErrorKind::Unsupported.into()),
            // A pipe is registered when it is made: that shows how it can be used.
            (_, Socket::Pipe(_)) => Ok(()),
            (_, Socket::Closed) => Err(closed()),
        }
    }

    pub(crate) fn register_listener(
        &self,
        listener: &Listener,
        key: Key,
        signals: &Signals,
    ) -> io::Result<()> {
        match (self, listener) {
            (_, Listener::Memory(listener)) => {
                listener.register(key, Rc::clone(signals));
                Ok(())
            }
            (Self::Os(driver), Listener::Os(listener)) => driver.register(listener.fd(), key),
            (Self::Memory(_), Listener::Os(_)) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// As [`register`](Self::register), for input alone.
    pub(crate) fn register_datagram(
        &self,
        socket: &DatagramSocket,
        key: Key,
        signals: &Signals,
    ) -> io::Result<()> {
        match (self, socket) {
            (_, DatagramSocket::Memory(socket)) => {
                socket.register(key, Rc::clone(signals));
                Ok(())
            }
            (Self::Os(driver), DatagramSocket::Os(socket)) => {
                driver.register_datagram(socket.fd(), key)
            }
            (Self::Memory(_), DatagramSocket::Os(_)) => Err(io::ErrorKind::Unsupported.into()),
            (_, DatagramSocket::Closed) => Err(closed()),
        }
    }

    /// Whether `socket` is to tell when it takes datagrams again. Those in memory always do.
    pub(crate) fn watch_room(&self, socket: &DatagramSocket, key: Key, on: bool) -> io::Result<()> {
        match (self, socket) {
            (Self::Os(driver), DatagramSocket::Os(socket)) => {
                driver.watch_room(socket.fd(), key, on)
            }
            _ => Ok(()),
        }
    }

    /// As [`deregister`](Self::deregister).
    pub(crate) fn deregister_datagram(&self, socket: &DatagramSocket) {
        if let (Self::Os(driver), DatagramSocket::Os(socket)) = (self, socket)
            && socket.is_shared()
        {
            driver.deregister(socket.fd());
        }
    }

    /// To be called before a registered socket is closed. Closing deregisters it, unless somebody else
    /// has a descriptor of it.
    pub(crate) fn deregister(&self, socket: &Socket) {
        match (self, socket) {
            (Self::Os(driver), Socket::Os(socket)) if socket.is_shared() => {
                driver.deregister(socket.fd());
            }
            (Self::Os(driver), Socket::Pipe(pipe)) => pipe.deregister(driver),
            _ => {}
        }
    }

    /// Another descriptor for the same socket, which this loop hears nothing of any more.
    ///
    /// Closing its own descriptor is not enough: the poll's registration belongs to the open
    /// socket.
    pub(crate) fn give_away(&self, socket: &Socket) -> io::Result<OwnedFd> {
        match (self, socket) {
            (Self::Os(driver), Socket::Os(socket)) => {
                let duplicate = socket.fd().try_clone_to_owned()?;
                driver.deregister(socket.fd());
                Ok(duplicate)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn deregister_listener(&self, listener: &Listener) {
        if let (Self::Os(driver), Listener::Os(listener)) = (self, listener) {
            driver.deregister(listener.fd());
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Os(_) => "Os",
            Self::Memory(_) => "Memory",
        })
    }
}

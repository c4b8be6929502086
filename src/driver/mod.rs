//! Where readiness, sockets and time come from.
//!
//! The seam lies at the level of operations, not of file descriptors: a [`Socket`] can be read,
//! written, shut down and asked for its addresses; a [`Listener`] accepts; a [`Driver`] opens them,
//! reports which are ready, and tells the time. Everything above (transports, servers, connects,
//! timers, tasks) is the same code on every driver.

mod datagram;
pub(crate) mod drained;
mod listener;
pub(crate) mod memory;
pub(crate) mod os;
mod socket;
mod unacknowledged;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::socket::closed;
use crate::net::UnixAddress;
use crate::transport::{DatagramSocketOptions, Key, Readiness, SocketOptions};

pub(crate) use self::datagram::{
    DatagramSocket, Details, RECEIVE_BATCH, ReceiveBuffers, Received, SentAgain,
};
pub(crate) use self::drained::ShortReads;
pub(crate) use self::listener::Listener;
pub(crate) use self::os::Direction;
pub(crate) use self::socket::Socket;
pub(crate) use self::unacknowledged::Unacknowledged;

/// The source of readiness and time of one loop.
pub(crate) enum Driver {
    Os(os::OsDriver),
    Memory(memory::MemoryDriver),
}

/// Readiness of memory sockets, which no operating system reports: any loop can drive them.
pub(crate) type Signals = Rc<RefCell<VecDeque<(Key, Readiness)>>>;

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
            Self::Memory(driver) => Some(driver.date()),
        }
    }

    /// What the loop's random numbers begin with: in memory always the same.
    pub(crate) fn seed(&self) -> u64 {
        match self {
            Self::Os(_) => RandomState::new().hash_one(0),
            Self::Memory(_) => 0,
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

    /// From now on `socket`'s readiness is reported under `key`, first what it is already ready for.
    #[inline]
    pub(crate) fn register(&self, socket: &Socket, key: Key, signals: &Signals) -> io::Result<()> {
        match (self, socket) {
            (Self::Os(driver), Socket::Os(socket)) => driver.register_stream(socket.fd(), key),
            _ => self.register_elsewhere(socket, key, signals),
        }
    }

    /// Apart, so that a socket of the operating system costs two comparisons.
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

    /// As [`register`](Self::register); it tells of input alone.
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

    pub(crate) fn deregister_datagram(&self, socket: &DatagramSocket) {
        if let (Self::Os(driver), DatagramSocket::Os(socket)) = (self, socket) {
            if socket.is_shared() {
                driver.deregister(socket.fd());
            } else {
                driver.deregister_before_close(socket.fd());
            }
        }
    }

    pub(crate) fn open_datagram(
        &self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        options: &DatagramSocketOptions,
    ) -> io::Result<DatagramSocket> {
        match self {
            Self::Os(driver) => {
                os::OsDatagramSocket::open(driver, local, remote, options).map(DatagramSocket::Os)
            }
            Self::Memory(driver) => {
                driver.network().open_datagram(local, remote).map(DatagramSocket::Memory)
            }
        }
    }

    pub(crate) fn open_unix_datagram(
        &self,
        local: Option<&UnixAddress>,
        remote: Option<&UnixAddress>,
        options: &DatagramSocketOptions,
    ) -> io::Result<DatagramSocket> {
        match self {
            Self::Os(driver) => os::OsDatagramSocket::open_unix(driver, local, remote, options)
                .map(DatagramSocket::Os),
            Self::Memory(driver) => {
                driver.network().open_unix_datagram(local, remote).map(DatagramSocket::Memory)
            }
        }
    }

    pub(crate) fn adopt_datagram(
        &self,
        socket: OwnedFd,
        options: &DatagramSocketOptions,
    ) -> io::Result<DatagramSocket> {
        match self {
            Self::Os(driver) => {
                os::OsDatagramSocket::adopt(driver, socket, options).map(DatagramSocket::Os)
            }
            Self::Memory(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a loop in memory cannot drive the operating system's sockets",
            )),
        }
    }

    /// To be called before a registered socket is closed.
    pub(crate) fn deregister(&self, socket: &Socket) {
        match (self, socket) {
            (Self::Os(driver), Socket::Os(socket)) if socket.is_shared() => {
                driver.deregister(socket.fd());
            }
            (Self::Os(driver), Socket::Os(socket)) => driver.deregister_before_close(socket.fd()),
            (Self::Os(driver), Socket::Pipe(pipe)) => pipe.deregister(driver),
            _ => {}
        }
    }

    /// Another descriptor for the same socket, which this loop hears nothing of any more.
    ///
    /// Closing its own is not enough to be rid of the poll's registration, which is that of the
    /// open socket.
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

    /// Begins to connect. The socket becomes writable when it is connected or has failed.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
        options: &SocketOptions,
    ) -> io::Result<Socket> {
        match self {
            Self::Os(_) => os::connect(remote, local, options).map(Socket::Os),
            Self::Memory(driver) => driver.connect(remote, local).map(Socket::Memory),
        }
    }

    pub(crate) fn connect_unix(
        &self,
        path: &std::path::Path,
        options: &SocketOptions,
    ) -> io::Result<Socket> {
        match self {
            Self::Os(_) => os::connect_unix(path, options).map(Socket::Os),
            Self::Memory(driver) => driver.connect_unix(path).map(Socket::Memory),
        }
    }
}

/// Deregistering is a system call, and closing a descriptor does it as well, on these systems.
pub(crate) const CLOSING_DEREGISTERS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "illumos",
    target_os = "redox",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_os = "macos",
    target_os = "ios",
    target_os = "tvos",
    target_os = "watchos",
    target_os = "visionos",
)) && !cfg!(mio_unsupported_force_poll_poll);

impl std::fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Os(_) => "Os",
            Self::Memory(_) => "Memory",
        })
    }
}

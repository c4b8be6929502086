//! Opening sockets: what a driver connects to, listens at and takes over.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{
    DatagramSocket, DatagramSocketOptions, Driver, ListenOptions, Listener, OsDriver, Socket,
    SocketOptions, os,
};
use crate::address::UnixAddress;

impl Driver {
    /// Begins to connect. The socket becomes writable when it is connected or has failed.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
        options: &SocketOptions,
    ) -> io::Result<Socket> {
        match self {
            Self::Os(_) => os::connect(remote, local, options).map(Socket::Os),
            Self::Memory(driver) => {
                driver.machine().connect(remote, local, options).map(Socket::Memory)
            }
        }
    }

    /// As [`connect`](Self::connect), to a Unix socket.
    pub(crate) fn connect_unix(&self, path: &Path, options: &SocketOptions) -> io::Result<Socket> {
        match self {
            Self::Os(_) => os::connect_unix(path, options).map(Socket::Os),
            Self::Memory(driver) => driver.machine().connect_unix(path).map(Socket::Memory),
        }
    }

    /// Binds and listens. `options` are those of the sockets that will be accepted.
    pub(crate) fn listen(
        &self,
        address: SocketAddr,
        listen: &ListenOptions,
        options: &SocketOptions,
    ) -> io::Result<Listener> {
        match self {
            Self::Os(_) => os::listen(address, listen, options).map(Listener::Os),
            Self::Memory(driver) => {
                driver.machine().listen(address, listen, options).map(Listener::Memory)
            }
        }
    }

    /// As [`listen`](Self::listen), at a path; one that begins with a zero byte is abstract.
    pub(crate) fn listen_unix(
        &self,
        path: &Path,
        listen: &ListenOptions,
        options: &SocketOptions,
    ) -> io::Result<Listener> {
        match self {
            Self::Os(_) => os::listen_unix(path, listen, options).map(Listener::Os),
            Self::Memory(driver) => {
                driver.machine().listen_unix(path, listen).map(Listener::Memory)
            }
        }
    }

    /// A UDP socket, bound and connected as asked.
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
                let socket = driver.machine().open_datagram(local, remote)?;
                socket.set_broadcast(options.broadcast);
                Ok(DatagramSocket::Memory(socket))
            }
        }
    }

    /// A Unix datagram socket, bound and connected as asked.
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
                driver.machine().open_unix_datagram(local, remote).map(DatagramSocket::Memory)
            }
        }
    }

    /// The addresses of a name, where the driver knows names itself; `None`: the system's resolver
    /// does, which may take its time.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> Option<io::Result<Vec<SocketAddr>>> {
        match self {
            Self::Os(_) => None,
            Self::Memory(driver) => Some(driver.network().resolve(host, port)),
        }
    }
}

impl OsDriver {
    /// Takes a connected socket from elsewhere.
    pub(crate) fn adopt_stream(&self, socket: OwnedFd) -> io::Result<Socket> {
        os::OsSocket::adopt(socket).map(Socket::Os)
    }

    /// Takes a listening socket from elsewhere.
    pub(crate) fn adopt_listener(&self, socket: OwnedFd) -> io::Result<Listener> {
        os::OsListener::adopt(socket).map(Listener::Os)
    }

    /// Takes a datagram socket from elsewhere.
    pub(crate) fn adopt_datagram(
        &self,
        socket: OwnedFd,
        options: &DatagramSocketOptions,
    ) -> io::Result<DatagramSocket> {
        os::OsDatagramSocket::adopt(self, socket, options).map(DatagramSocket::Os)
    }
}

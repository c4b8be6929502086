//! The addresses of sockets, of every family that transports have.

mod unix;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::os::unix::net::SocketAddr as StdUnixAddress;
use std::path::Path;

use crate::error::Error;

pub use self::unix::UnixAddress;

/// The address of a socket: its own or that of its peer.
///
/// Shown as `127.0.0.1:80`, `[::1]:80`, `unix:/run/server`, `unix:@abstract` or `unix:(unnamed)`,
/// always on one line. Ordered with IP addresses first.
///
/// It compares with the standard library's [`SocketAddr`], converts to one where it is one, and can be
/// connected to, by [`EventLoop::create_connection`](crate::EventLoop::create_connection) and by what
/// takes [`ToSocketAddrs`]:
///
/// ```
/// use std::net::{SocketAddr, TcpStream};
/// use wharf::{Address, EventLoop, Result};
/// # use wharf::{Protocol, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
///
/// fn main() -> Result {
///     EventLoop::new()?.run(async |event_loop| {
///         let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
///         let address: Address = server.local_address()?;
///         let client = TcpStream::connect(&address)?;
///         assert_eq!(address, client.peer_addr()?);
///         let same: SocketAddr = address.try_into()?;
///         assert!(same.ip().is_loopback());
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address and a port.
    Ip(SocketAddr),
    /// An address of a Unix socket.
    Unix(UnixAddress),
}

impl Address {
    /// The IP address with its port; `None` for a Unix socket.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The address of a Unix socket; `None` for an IP address.
    pub fn as_unix(&self) -> Option<&UnixAddress> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(address) => Some(address),
        }
    }

    /// The path of a Unix socket that has one.
    pub fn as_unix_path(&self) -> Option<&Path> {
        self.as_unix().and_then(UnixAddress::as_path)
    }

    /// The IP address without its port; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.as_ip().map(|address| address.ip())
    }

    /// The port of an IP address; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.as_ip().map(|address| address.port())
    }

    /// Converts to what socket2 takes.
    ///
    /// # Errors
    /// As [`UnixAddress::to_socket2`].
    pub(crate) fn to_socket2(&self) -> io::Result<socket2::SockAddr> {
        match self {
            Self::Ip(address) => Ok((*address).into()),
            Self::Unix(address) => address.to_socket2(),
        }
    }

    /// Converts from what socket2 gives; `None` for another family.
    pub(crate) fn from_socket2(address: &socket2::SockAddr) -> Option<Self> {
        if let Some(address) = address.as_socket() {
            return Some(Self::Ip(address));
        }
        if !address.is_unix() {
            return None;
        }
        UnixAddress::from_socket2(address).map(Self::Unix)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        matches!(self, Self::Ip(address) if address == other)
    }
}

impl PartialEq<Address> for SocketAddr {
    fn eq(&self, other: &Address) -> bool {
        other == self
    }
}

impl PartialEq<UnixAddress> for Address {
    fn eq(&self, other: &UnixAddress) -> bool {
        matches!(self, Self::Unix(address) if address == other)
    }
}

impl PartialEq<Address> for UnixAddress {
    fn eq(&self, other: &Address) -> bool {
        other == self
    }
}

impl ToSocketAddrs for Address {
    type Iter = std::iter::Once<SocketAddr>;

    /// # Errors
    /// `InvalidInput` for the address of a Unix socket.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self {
            Self::Ip(address) => Ok(std::iter::once(*address)),
            Self::Unix(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, no_ip(self))),
        }
    }
}

impl TryFrom<Address> for SocketAddr {
    type Error = Error;

    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for the address of a Unix socket.
    fn try_from(address: Address) -> Result<Self, Error> {
        (&address).try_into()
    }
}

impl TryFrom<&Address> for SocketAddr {
    type Error = Error;

    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for the address of a Unix socket.
    fn try_from(address: &Address) -> Result<Self, Error> {
        address.as_ip().ok_or_else(|| Error::invalid(no_ip(address)))
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<SocketAddrV4> for Address {
    fn from(address: SocketAddrV4) -> Self {
        Self::Ip(address.into())
    }
}

impl From<SocketAddrV6> for Address {
    fn from(address: SocketAddrV6) -> Self {
        Self::Ip(address.into())
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Self {
        Self::Unix(address)
    }
}

impl From<StdUnixAddress> for Address {
    fn from(address: StdUnixAddress) -> Self {
        Self::Unix(address.into())
    }
}

/// What is wrong with the address of a Unix socket where one of IP is wanted.
pub(crate) fn no_ip(address: &Address) -> String {
    format!("`{address}` is no IP address")
}

#[cfg(test)]
mod tests;

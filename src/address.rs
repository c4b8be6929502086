//! The addresses of sockets, of every family that transports have.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
#[cfg(all(linux_kernel, target_os = "android"))]
use std::os::android::net::SocketAddrExt as _;
#[cfg(all(linux_kernel, target_os = "linux"))]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::SocketAddr as StdUnixAddress;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, breaks_a_line};

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
        let name = if address.is_unnamed() {
            Name::Unnamed
        } else if let Some(path) = address.as_pathname() {
            Name::Path(path.into())
        } else {
            Name::Abstract(address.as_abstract_namespace()?.into())
        };
        Some(Self::Unix(UnixAddress(name)))
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

/// The address of a Unix socket.
///
/// It is a path, a name in the abstract namespace of Linux, or none: a socket that was not bound,
/// as that of a client usually is, is unnamed.
///
/// ```
/// use std::path::Path;
/// use wharf::UnixAddress;
///
/// let address = UnixAddress::from_path("/run/wharf.sock");
/// assert_eq!(address.as_path(), Some(Path::new("/run/wharf.sock")));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixAddress(Name);

impl UnixAddress {
    /// The address of the socket at this path; unnamed if the path is empty, and a name in the
    /// abstract namespace if it begins with a zero byte.
    ///
    /// Whether the path is short enough for a socket (107 bytes on Linux) is found when it is used.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.as_os_str().is_empty() {
            return Self::unnamed();
        }
        if let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"\0") {
            return Self::from_abstract_name(name);
        }
        Self(Name::Path(path.into()))
    }

    /// The address of this name in the abstract namespace, without the zero byte before it.
    ///
    /// Such names exist on Linux only; elsewhere the address cannot be used.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> Self {
        Self(Name::Abstract(name.as_ref().into()))
    }

    /// The length of the path or the name.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Name::Unnamed => 0,
            Name::Path(path) => path.as_os_str().len(),
            Name::Abstract(name) => name.len(),
        }
    }

    /// The address of a socket that was not bound.
    pub fn unnamed() -> Self {
        Self(Name::Unnamed)
    }

    /// The path, if the address has one.
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Name::Path(path) => Some(path),
            Name::Unnamed | Name::Abstract(_) => None,
        }
    }

    /// The name in the abstract namespace, if the address is one: any bytes, zeros too.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Name::Abstract(name) => Some(name),
            Name::Unnamed | Name::Path(_) => None,
        }
    }

    /// Whether the socket has no address.
    pub fn is_unnamed(&self) -> bool {
        self.0 == Name::Unnamed
    }

    /// As a path, in which a zero byte comes before an abstract name.
    pub(crate) fn to_path(&self) -> PathBuf {
        match &self.0 {
            Name::Unnamed => PathBuf::new(),
            Name::Path(path) => path.to_path_buf(),
            Name::Abstract(name) => PathBuf::from(OsString::from_vec([b"\0", &**name].concat())),
        }
    }

    /// Converts to what socket2 takes.
    ///
    /// # Errors
    /// `InvalidInput` if the path or the name is too long, or there is none: nothing can reach it.
    pub(crate) fn to_socket2(&self) -> io::Result<socket2::SockAddr> {
        if self.is_unnamed() {
            let text = "a Unix socket without a name cannot be reached";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        socket2::SockAddr::unix(self.to_path())
    }

    /// Converts to the standard library's type, which is what sockets are bound and connected with.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path or the name is too long or the path contains a zero byte,
    /// `Unsupported` for an abstract name on a system without them.
    pub fn to_std(&self) -> io::Result<StdUnixAddress> {
        match &self.0 {
            Name::Unnamed => StdUnixAddress::from_pathname(""),
            Name::Path(path) => StdUnixAddress::from_pathname(path),
            #[cfg(linux_kernel)]
            Name::Abstract(name) => StdUnixAddress::from_abstract_name(name),
            #[cfg(not(linux_kernel))]
            Name::Abstract(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "abstract names of Unix sockets exist on Linux only",
            )),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Unnamed => f.write_str("unix:(unnamed)"),
            Name::Path(path) => {
                f.write_str("unix:")?;
                write_on_one_line(f, path.as_os_str().as_bytes())
            }
            Name::Abstract(name) => {
                f.write_str("unix:@")?;
                write_on_one_line(f, name)
            }
        }
    }
}

impl fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<StdUnixAddress> for UnixAddress {
    fn from(address: StdUnixAddress) -> Self {
        Self::from(&address)
    }
}

impl From<&UnixAddress> for UnixAddress {
    fn from(address: &UnixAddress) -> Self {
        address.clone()
    }
}

/// As [`UnixAddress::from_path`].
macro_rules! from_paths {
    ($($path:ty),+) => {
        $(impl From<$path> for UnixAddress {
            fn from(path: $path) -> Self {
                Self::from_path(path)
            }
        })+
    };
}

from_paths!(&str, &String, String, &Path, &PathBuf, PathBuf, &OsStr, &OsString, OsString);

impl From<&StdUnixAddress> for UnixAddress {
    fn from(address: &StdUnixAddress) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::from_path(path);
        }
        #[cfg(linux_kernel)]
        if let Some(name) = address.as_abstract_name() {
            return Self::from_abstract_name(name);
        }
        Self::unnamed()
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Unnamed,
    Path(Arc<Path>),
    Abstract(Arc<[u8]>),
}

/// What is wrong with the address of a Unix socket where one of IP is wanted.
pub(crate) fn no_ip(address: &Address) -> String {
    format!("`{address}` is no IP address")
}

/// A peer chooses its path, and must not forge lines of a log with it.
fn write_on_one_line(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if breaks_a_line(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Listening sockets of the operating system.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::OsSocket;
use super::connect::open;
use crate::address::Address;
use crate::driver::{ShortReads, SocketOptions};

/// Whether TCP options set on a listener are those of the sockets it accepts (Linux copies them).
const ACCEPTED_SOCKETS_INHERIT_OPTIONS: bool = cfg!(linux_kernel);

/// A listening TCP or Unix stream socket, non-blocking.
#[derive(Debug)]
pub(crate) enum OsListener {
    /// TCP, or another protocol of streams over IP that came from elsewhere.
    Ip(mio::net::TcpListener, ShortReads),
    Unix(mio::net::UnixListener),
}

impl OsListener {
    /// Takes a listening socket from elsewhere, and makes it non-blocking.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        if socket.r#type()? != Type::STREAM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a stream socket was expected",
            ));
        }
        // Apple's systems have no way to ask.
        #[cfg(not(target_vendor = "apple"))]
        if !rustix::net::sockopt::socket_acceptconn(&fd)? {
            let text = "a listening socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let domain = socket.local_addr()?.domain();
        rustix::io::ioctl_fionbio(&fd, true)?;
        let is_tcp = is_tcp(&socket);
        Ok(Self::from_fd(fd, domain, is_tcp))
    }

    fn from_fd(fd: OwnedFd, domain: Domain, is_tcp: bool) -> Self {
        if domain == Domain::UNIX {
            Self::Unix(mio::net::UnixListener::from_std(fd.into()))
        } else {
            let short_reads = if is_tcp { ShortReads::OF_TCP } else { ShortReads::ShowNothing };
            Self::Ip(mio::net::TcpListener::from_std(fd.into()), short_reads)
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    pub(crate) fn accept(&self) -> io::Result<(OsSocket, Option<Address>)> {
        match self {
            Self::Ip(listener, short_reads) => {
                let (stream, peer) = listener.accept()?;
                let fd = std::net::TcpStream::from(stream).into();
                Ok((OsSocket::new(fd, *short_reads), Some(Address::Ip(peer))))
            }
            Self::Unix(listener) => {
                let (stream, peer) = listener.accept()?;
                let fd = std::os::unix::net::UnixStream::from(stream).into();
                Ok((OsSocket::new(fd, ShortReads::OF_UNIX), Some(Address::from(peer))))
            }
        }
    }

    /// Whether the sockets it accepts have these options from it. A listener from elsewhere may lack
    /// them; they are not set on it, because it is not ours alone. Unix listeners pass nothing on.
    ///
    /// # Errors
    /// What the system says to the options.
    pub(crate) fn passes_on(&self, options: &SocketOptions) -> io::Result<bool> {
        match self {
            Self::Ip(..) if !ACCEPTED_SOCKETS_INHERIT_OPTIONS => Ok(false),
            Self::Ip(listener, _) if is_tcp(&SockRef::from(listener)) => {
                options.are_set_on(listener)
            }
            // Another protocol need not know what is set unless it is asked for.
            Self::Ip(..) => Ok(*options == SocketOptions::default()),
            Self::Unix(_) => Ok(options.are_none_for_unix()),
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(self).local_addr().ok()?)
    }
}

impl AsFd for OsListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ip(listener, _) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Whether connections of a socket from elsewhere are TCP's: SCTP, for one, has streams too, and reads
/// that end with each message.
fn is_tcp(socket: &SockRef<'_>) -> bool {
    #[cfg(linux_kernel)]
    {
        socket.protocol().is_ok_and(|protocol| protocol == Some(Protocol::TCP))
    }
    #[cfg(not(linux_kernel))]
    {
        let _ = socket;
        false
    }
}

/// How to bind a TCP listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenOptions {
    pub(crate) backlog: u32,
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
}

/// Binds and listens; an IPv6 socket is for IPv6 only, so that both families can share a port.
pub(crate) fn listen(
    address: SocketAddr,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    let socket = open(Domain::for_address(address), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.reuse_address {
        socket.set_reuse_address(true)?;
    }
    if options.reuse_port {
        set_reuse_port(&socket)?;
    }
    socket.bind(&address.into())?;
    finish_listening(socket, Domain::for_address(address), options, socket_options)
}

/// Binds and listens at a path; a path that begins with a zero byte is abstract.
pub(crate) fn listen_unix(
    path: &Path,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    let socket = open(Domain::UNIX, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    finish_listening(socket, Domain::UNIX, options, socket_options)
}

fn finish_listening(
    socket: socket2::Socket,
    domain: Domain,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    if ACCEPTED_SOCKETS_INHERIT_OPTIONS {
        socket_options.apply(&socket)?;
    }
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(OsListener::from_fd(socket.into(), domain, true))
}

pub(super) fn set_reuse_port(socket: &socket2::Socket) -> io::Result<()> {
    #[cfg(not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))]
    {
        socket.set_reuse_port(true)
    }
    #[cfg(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))]
    {
        let _ = socket;
        Err(io::Error::new(io::ErrorKind::Unsupported, "reuse_port is not supported here"))
    }
}

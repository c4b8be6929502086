//! Beginning to connect.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::OsSocket;
use crate::driver::{ShortReads, SocketOptions};

/// Begins to connect to `remote`.
pub(crate) fn connect(
    remote: SocketAddr,
    local: Option<SocketAddr>,
    options: &SocketOptions,
) -> io::Result<OsSocket> {
    let socket = open(Domain::for_address(remote), Some(Protocol::TCP))?;
    let socket = OsSocket::new(socket.into(), ShortReads::OF_TCP);
    options.apply(&socket)?;
    let reference = SockRef::from(&socket.fd);
    if let Some(local) = local {
        reference.set_reuse_address(true)?;
        if local.port() == 0 {
            choose_port_when_connecting(&socket);
        }
        reference.bind(&local.into())?;
    }
    begin(&reference, &remote.into())?;
    Ok(socket)
}

/// Lets the system choose the port when it knows the remote address: connections to different
/// addresses can then share it. Chosen by `bind`, each port would be good for one connection.
fn choose_port_when_connecting(socket: &OsSocket) {
    #[cfg(linux_kernel)]
    {
        use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
        // Where it cannot be, `bind` chooses.
        let _ = setsockopt(&socket.fd, IpBindAddressNoPort, &true);
    }
    #[cfg(not(linux_kernel))]
    let _ = socket;
}

/// Begins to connect to the Unix socket at `path`; a path that begins with a zero byte is abstract.
pub(crate) fn connect_unix(path: &Path, options: &SocketOptions) -> io::Result<OsSocket> {
    let address = SockAddr::unix(path)?;
    let socket = OsSocket::new(open(Domain::UNIX, None)?.into(), ShortReads::OF_UNIX);
    options.apply(&socket)?;
    begin(&SockRef::from(&socket.fd), &address)?;
    Ok(socket)
}

/// A non-blocking, close-on-exec stream socket.
pub(super) fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn begin(socket: &SockRef<'_>, address: &SockAddr) -> io::Result<()> {
    match socket.connect(address) {
        // Interrupted by a signal, it goes on all the same.
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error())
                && error.kind() != io::ErrorKind::Interrupted =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

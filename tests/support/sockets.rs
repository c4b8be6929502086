//! The sockets of this process, to ask the system what is set on them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// A descriptor of the first socket of this process that is the `wanted` one; `None` where there is
/// none, or the system does not let us look.
pub fn find_socket(wanted: impl Fn(SockRef<'_>) -> bool) -> Option<OwnedFd> {
    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    std::fs::read_dir("/proc/self/fd").ok()?.find_map(|entry| {
        let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let fd = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
        let is_socket = SockRef::from(&fd).r#type().is_ok();
        (is_socket && wanted(SockRef::from(&fd))).then_some(fd)
    })
}

/// That which is bound to an address.
pub fn find_bound(local: &SockAddr) -> Option<OwnedFd> {
    find_socket(|socket| socket.local_addr().is_ok_and(|own| own == *local))
}

/// Calls again when a signal interrupts: the system does not restart calls of sockets that have a time limit, and
/// a signal to this process can reach the thread of any test.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A UDP port for sockets that share it, as members of multicast groups do. The system gives it to
/// nobody else while the socket here is open.
pub fn shared_udp_port() -> io::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    let address = socket.local_addr()?.as_socket().expect("an IP address");
    Ok((socket, address.port()))
}

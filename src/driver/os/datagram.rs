//! Datagram sockets of the operating system: opening them and their options.

mod receive;
#[cfg(all(feature = "udp-batch", linux_kernel))]
mod receive_plain;
mod send;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "udp-batch")]
use std::rc::Rc;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};

use crate::address::{Address, UnixAddress};
use crate::driver::{DatagramSocketOptions, MulticastInterface};

#[cfg(all(feature = "udp-batch", linux_kernel))]
pub(crate) use self::receive_plain::ReceiveHeaders;

/// A UDP or Unix datagram socket, non-blocking.
pub(crate) struct OsDatagramSocket {
    fd: OwnedFd,
    family: Family,
    /// Whether it is connected: it has one peer, and takes datagrams without an address.
    connected: bool,
    /// It came from elsewhere: somebody else may have a descriptor of it.
    shared: bool,
    /// The state behind receiving and sending several datagrams at once.
    #[cfg(feature = "udp-batch")]
    batch: Option<Rc<quinn_udp::UdpSocketState>>,
    /// Whether it is a UDP socket made here of which no more than data and senders is asked for.
    #[cfg(all(feature = "udp-batch", linux_kernel))]
    plain: bool,
    /// The longest datagrams of which the kernel is given runs to cut up; 0: of none. Less once it
    /// refused a run.
    #[cfg_attr(not(feature = "udp-batch"), expect(dead_code))]
    segments: Cell<usize>,
    /// An error that was met after datagrams had been received: what the next receive gives.
    kept_error: Cell<Option<io::Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
    Unix,
}

/// What several datagrams at once need, for all sockets of a loop that ask for no more.
#[cfg(feature = "udp-batch")]
#[derive(Clone, Debug)]
pub(crate) struct Batching {
    state: Rc<quinn_udp::UdpSocketState>,
    segments: bool,
}

#[cfg(feature = "udp-batch")]
impl Batching {
    /// Made from a socket of its own: making it sets options that plain endpoints do not want
    /// (no fragments, a control message or three with each datagram), and receiving and sending
    /// go by the socket they are given.
    pub(crate) fn new() -> Option<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).ok()?;
        let state = quinn_udp::UdpSocketState::new((&socket).into()).ok()?;
        let segments = state.max_gso_segments() > 1;
        Some(Self { state: Rc::new(state), segments })
    }
}

impl OsDatagramSocket {
    /// A UDP socket, bound and connected as asked.
    pub(crate) fn open(
        driver: &super::OsDriver,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        options: &DatagramSocketOptions,
    ) -> io::Result<Self> {
        let ipv6 = local.or(remote).is_some_and(|address| address.is_ipv6());
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if let (true, Some(only)) = (ipv6, options.only_v6) {
            socket.set_only_v6(only)?;
        }
        if options.reuse_port {
            super::listener::set_reuse_port(&socket)?;
        }
        if options.reuse_multicast_port {
            socket.set_reuse_address(true)?;
        }
        options.apply(&socket, ipv6)?;
        if let Some(local) = local {
            socket.bind(&local.into())?;
        }
        if let Some(remote) = remote {
            socket.connect(&remote.into())?;
        }
        let made = Self::finish(driver, socket, remote.is_some(), options)?;
        #[cfg(all(feature = "udp-batch", linux_kernel))]
        let made = Self { plain: !options.offload, ..made };
        Ok(made)
    }

    /// A Unix datagram socket, bound and connected as asked.
    pub(crate) fn open_unix(
        driver: &super::OsDriver,
        local: Option<&UnixAddress>,
        remote: Option<&UnixAddress>,
        options: &DatagramSocketOptions,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        options.apply_buffers(&socket)?;
        if let Some(local) = local {
            socket.bind(&local.to_socket2()?)?;
        }
        if let Some(remote) = remote {
            socket.connect(&remote.to_socket2()?)?;
        }
        Self::finish(driver, socket, remote.is_some(), options)
    }

    /// Takes a datagram socket from elsewhere, and makes it non-blocking.
    pub(crate) fn adopt(
        driver: &super::OsDriver,
        fd: OwnedFd,
        options: &DatagramSocketOptions,
    ) -> io::Result<Self> {
        let socket = Socket::from(fd);
        if socket.r#type()? != Type::DGRAM {
            let text = "a datagram socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // A peer without a name is one as well: the other end of a pair.
        let connected = socket.peer_addr().is_ok();
        let ipv6 = socket.local_addr()?.is_ipv6();
        options.apply(&socket, ipv6)?;
        Ok(Self { shared: true, ..Self::finish(driver, socket, connected, options)? })
    }

    fn finish(
        driver: &super::OsDriver,
        socket: Socket,
        connected: bool,
        options: &DatagramSocketOptions,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let family = match socket.local_addr()? {
            address if address.is_unix() => Family::Unix,
            address if address.is_ipv6() => Family::Ipv6,
            _ => Family::Ipv4,
        };
        #[cfg(feature = "udp-batch")]
        {
            let (batch, segments) = match (family, options.offload) {
                (Family::Unix, _) => (None, false),
                (_, true) => {
                    let state = quinn_udp::UdpSocketState::new((&socket).into())?;
                    let segments = state.max_gso_segments() > 1;
                    (Some(Rc::new(state)), segments)
                }
                (_, false) => match driver.batching() {
                    Some(batching) => (Some(Rc::clone(&batching.state)), batching.segments),
                    None => (None, false),
                },
            };
            // A run is sent with a type of service of its own, which would undo the user's.
            let segments = segments && tos(&socket, family) == 0;
            Ok(Self {
                fd: socket.into(),
                family,
                connected,
                shared: false,
                batch,
                #[cfg(linux_kernel)]
                plain: false,
                segments: Cell::new(if segments { usize::MAX } else { 0 }),
                kept_error: Cell::new(None),
            })
        }
        #[cfg(not(feature = "udp-batch"))]
        {
            let _ = driver;
            if options.offload {
                let text = "offload needs the feature `udp-batch`";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Ok(Self {
                fd: socket.into(),
                family,
                connected,
                shared: false,
                segments: Cell::new(0),
                kept_error: Cell::new(None),
            })
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(&self.fd).local_addr().ok()?)
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(&self.fd).peer_addr().ok()?)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn reconnect(&self, peer: &Address) -> io::Result<()> {
        match peer {
            Address::Unix(peer) => SockRef::from(&self.fd).connect(&peer.to_socket2()?),
            Address::Ip(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn blocks_by_destination(&self) -> bool {
        self.family == Family::Unix && !self.connected
    }

    pub(crate) fn tells_of_room(&self) -> bool {
        !self.blocks_by_destination()
    }

    pub(crate) fn join_multicast(&self, group: IpAddr, on: MulticastInterface) -> io::Result<()> {
        let socket = SockRef::from(&self.fd);
        match group {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &interface_v4(on)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, interface_v6(on)?),
        }
    }

    pub(crate) fn leave_multicast(&self, group: IpAddr, on: MulticastInterface) -> io::Result<()> {
        let socket = SockRef::from(&self.fd);
        match group {
            IpAddr::V4(group) => socket.leave_multicast_v4_n(&group, &interface_v4(on)),
            IpAddr::V6(group) => socket.leave_multicast_v6(&group, interface_v6(on)?),
        }
    }

    pub(crate) fn set_multicast_ttl(&self, hops: u32) -> io::Result<()> {
        let socket = SockRef::from(&self.fd);
        match self.ip_family()? {
            Family::Ipv6 => socket.set_multicast_hops_v6(hops),
            _ => socket.set_multicast_ttl_v4(hops),
        }
    }

    pub(crate) fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        let socket = SockRef::from(&self.fd);
        match self.ip_family()? {
            Family::Ipv6 => socket.set_multicast_loop_v6(on),
            _ => socket.set_multicast_loop_v4(on),
        }
    }

    pub(crate) fn set_multicast_interface(&self, on: MulticastInterface) -> io::Result<()> {
        let socket = SockRef::from(&self.fd);
        match (self.ip_family()?, on) {
            (Family::Ipv6, on) => socket.set_multicast_if_v6(interface_v6(on)?),
            (_, MulticastInterface::Any) => {
                socket.set_multicast_if_v4(&std::net::Ipv4Addr::UNSPECIFIED)
            }
            (_, MulticastInterface::Address(address)) => socket.set_multicast_if_v4(&address),
            #[cfg(linux_kernel)]
            (_, MulticastInterface::Index(index)) => {
                let any = std::net::Ipv4Addr::UNSPECIFIED;

                rustix::net::sockopt::set_ip_multicast_if_with_ifindex(&self.fd, &any, &any, index)
                    .map_err(io::Error::from)
            }
            #[cfg(not(linux_kernel))]
            (_, MulticastInterface::Index(_)) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "an IPv4 interface is chosen by its address here",
            )),
        }
    }

    pub(crate) fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.ip_family()?;
        SockRef::from(&self.fd).set_broadcast(on)
    }

    fn ip_family(&self) -> io::Result<Family> {
        match self.family {
            Family::Unix => {
                let text = "a Unix socket has neither broadcast nor multicast";
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
            family => Ok(family),
        }
    }
}

/// The type of service that is set on the socket.
#[cfg(feature = "udp-batch")]
fn tos(socket: &Socket, family: Family) -> u32 {
    match family {
        Family::Ipv4 => socket.tos_v4().unwrap_or(0),
        _ => socket.tclass_v6().unwrap_or(0),
    }
}

fn interface_v4(interface: MulticastInterface) -> InterfaceIndexOrAddress {
    match interface {
        MulticastInterface::Any => InterfaceIndexOrAddress::Index(0),
        MulticastInterface::Index(index) => InterfaceIndexOrAddress::Index(index),
        MulticastInterface::Address(address) => InterfaceIndexOrAddress::Address(address),
    }
}

fn interface_v6(interface: MulticastInterface) -> io::Result<u32> {
    match interface {
        MulticastInterface::Any => Ok(0),
        MulticastInterface::Index(index) => Ok(index),
        MulticastInterface::Address(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an interface is chosen by its index for IPv6",
        )),
    }
}

impl fmt::Debug for OsDatagramSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OsDatagramSocket")
            .field("fd", &self.fd)
            .field("family", &self.family)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

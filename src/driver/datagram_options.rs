//! What can be set on a datagram socket.

use std::io;
use std::net::Ipv4Addr;

use socket2::Socket;

use super::options::MOST_BUFFER;

/// Options of a datagram socket; what is `None` is left alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct DatagramSocketOptions {
    pub(crate) send_buffer_size: Option<usize>,
    pub(crate) receive_buffer_size: Option<usize>,
    pub(crate) ttl: Option<u32>,
    pub(crate) tos: Option<u32>,
    pub(crate) only_v6: Option<bool>,
    pub(crate) reuse_port: bool,
    /// Several sockets may receive what is sent to one group and port.
    pub(crate) reuse_multicast_port: bool,
    pub(crate) broadcast: bool,
    pub(crate) offload: bool,
}

impl DatagramSocketOptions {
    /// What is set before binding.
    pub(crate) fn apply(&self, socket: &Socket, ipv6: bool) -> io::Result<()> {
        self.apply_buffers(socket)?;
        if self.broadcast {
            socket.set_broadcast(true)?;
        }
        if let Some(ttl) = self.ttl {
            if ipv6 { socket.set_unicast_hops_v6(ttl)? } else { socket.set_ttl_v4(ttl)? }
        }
        if let Some(tos) = self.tos {
            if ipv6 { socket.set_tclass_v6(tos)? } else { socket.set_tos_v4(tos)? }
        }
        Ok(())
    }

    /// What Unix sockets have as well.
    pub(crate) fn apply_buffers(&self, socket: &Socket) -> io::Result<()> {
        if let Some(size) = self.send_buffer_size {
            socket.set_send_buffer_size(size.min(MOST_BUFFER))?;
        }
        if let Some(size) = self.receive_buffer_size {
            socket.set_recv_buffer_size(size.min(MOST_BUFFER))?;
        }
        Ok(())
    }
}

/// Which interface a multicast group is joined on, or datagrams to groups leave by.
///
/// ```no_run
/// use std::net::Ipv4Addr;
/// use wharf::testing::Record;
/// use wharf::{DatagramTransport as _, EventLoop, MulticastInterface, Result};
///
/// async fn discover(event_loop: EventLoop, interface: Ipv4Addr) -> Result {
///     let endpoint = event_loop
///         .create_datagram_endpoint(Record::new().factory())
///         .local_address(":5353")
///         .reuse_multicast_port(true)
///         .await?;
///     endpoint.join_multicast("224.0.0.251".parse()?, MulticastInterface::Address(interface))?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MulticastInterface {
    /// The one that the system's routes say.
    #[default]
    Any,
    /// The one with this IPv4 address; not for IPv6.
    Address(Ipv4Addr),
    /// The one with this number (`ip link` shows it).
    Index(u32),
}

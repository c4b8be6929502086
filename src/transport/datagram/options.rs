//! What an endpoint starts with.

use std::io;

use socket2::Socket;

use super::DropPolicy;
use crate::transport::options::MOST_BUFFER;
use crate::transport::options::{HIGH_WATER, LOW_WATER};

/// How much waits to be sent at most, unless set.
const QUEUE_LIMIT: usize = 1024 * 1024;

/// What an endpoint starts with; all can be changed later through its transport.
#[derive(Clone, Debug)]
pub(crate) struct DatagramOptions {
    pub(crate) high_water: usize,
    pub(crate) low_water: usize,
    pub(crate) queue_limit: usize,
    pub(crate) drop_policy: DropPolicy,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            high_water: HIGH_WATER,
            low_water: LOW_WATER,
            queue_limit: QUEUE_LIMIT,
            drop_policy: DropPolicy::default(),
        }
    }
}

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

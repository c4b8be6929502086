//! The sockets of a machine as its kernel knows them, by their addresses.

use std::rc::{Rc, Weak};

use super::MemorySocket;
use super::pair::Pair;
use crate::address::Address;
use crate::driver::memory::packet::Packet;
use crate::driver::memory::ports::PortKind;

/// A socket that is connected or connecting. Its kernel knows it, and keeps it not.
#[derive(Clone)]
pub(in crate::driver::memory) struct KnownSocket {
    pair: Weak<Pair>,
    side: usize,
}

impl KnownSocket {
    /// Its own machine has lost its power.
    #[cfg(feature = "sim")]
    pub(in crate::driver::memory) fn is_forgotten(&self) {
        if let Some(pair) = self.pair.upgrade() {
            pair.ends[self.side].gone.set(true);
            pair.is_left(self.side);
        }
    }

    /// The other side's machine knows nothing of this connection, and says so.
    pub(in crate::driver::memory) fn reset_by_peer(&self) {
        if let Some(pair) = self.pair.upgrade() {
            pair.send(1 - self.side, Packet::Reset, |pair, other| pair.reset_arrives(other));
        }
    }
}

impl MemorySocket {
    /// The port of its address is in use until the connection is over, and perhaps for a while after that.
    pub(in crate::driver::memory) fn begin_port(&self, kind: PortKind) {
        let end = self.end();
        let (Some(ports), Some((local, remote))) = (end.kernel.ports(), self.ip_addresses()) else {
            return;
        };
        let known = KnownSocket { pair: Rc::downgrade(&self.pair), side: self.side };
        end.hold_port(ports.begin(local, remote, kind, known));
    }

    /// The socket of another connection between the same addresses that this side's kernel knows: one of a former life of
    /// the other side.
    pub(in crate::driver::memory) fn known_between_its_addresses(&self) -> Option<KnownSocket> {
        let (local, remote) = self.ip_addresses()?;
        let known = self.end().kernel.ports()?.socket_between(local, remote)?;
        let is_own = std::ptr::eq(known.pair.as_ptr(), Rc::as_ptr(&self.pair));
        (!is_own && known.pair.strong_count() > 0).then_some(known)
    }

    fn ip_addresses(&self) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
        let ip = |address: Option<Address>| address?.as_ip();
        Some((ip(self.local_address())?, ip(self.peer_address())?))
    }
}

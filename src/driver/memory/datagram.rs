//! Datagram sockets in memory.

mod sending;
mod shared;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use self::shared::OVERHEAD;
use super::kernel::{Call, Descriptor};
use super::machine::Machine;
use super::place::Place;
use crate::address::Address;
use crate::driver::{Details, Key, Readiness, ReceiveBuffers, Received, Signals};

pub(super) use self::shared::Shared;

/// A datagram socket on a network in memory.
///
/// As a kernel's: what comes in waits in a bounded queue; what finds it full is dropped and counted
/// (UDP), or makes its sender wait (Unix). A datagram to a UDP address where nobody is comes back to a
/// connected sender as "refused".
pub(crate) struct MemoryDatagramSocket {
    shared: Rc<Shared>,
    machine: Machine,
    _descriptor: Descriptor,
}

impl MemoryDatagramSocket {
    pub(super) fn new(
        machine: Machine,
        place: Place,
        peer: Option<Place>,
        capacity: usize,
        descriptor: Descriptor,
    ) -> Self {
        let shared = Rc::new(Shared::new(&machine, place, peer, capacity));
        Self { shared, machine, _descriptor: descriptor }
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    pub(crate) fn receive(&self, buffers: &mut ReceiveBuffers, wanted: usize) -> io::Result<usize> {
        if self.shared.refused.take() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut queue = self.shared.queue.borrow_mut();
        if queue.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let there = wanted.min(queue.len());
        let most = match self.shared.kernel.moves(Call::Receive, there, &self.shared.blocked) {
            Ok(most) => most,
            Err(error) => {
                self.shared.tell_later();
                return Err(error);
            }
        };
        let mut start = 0;
        let mut count = 0;
        while count < most
            && let Some(waiting) = queue.front()
            && (count == 0 || start + waiting.data.len() <= buffers.bytes.len())
        {
            let whole = waiting.data.len();
            // What is longer than all the room is cut, as by a kernel.
            let len = whole.min(buffers.bytes.len() - start);
            buffers.bytes[start..start + len].copy_from_slice(&waiting.data[..len]);
            buffers.push(
                Received { start, len, from: waiting.from.address() },
                Details { to: waiting.to, ..Details::new(len, len < whole) },
            );
            self.shared.size.set(self.shared.size.get() - whole - OVERHEAD);
            queue.pop_front();
            start += len;
            count += 1;
        }
        let all = queue.is_empty();
        drop(queue);
        self.shared.tell_senders();
        if most < there {
            // As if the others had come just after.
            self.shared.tell_later();
            return Ok(count);
        }
        // Fewer than wanted would say that there are no more.
        Ok(if all { count } else { wanted })
    }

    pub(crate) fn local_address(&self) -> Address {
        self.shared.place.address()
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        self.shared.peer.borrow().as_ref().map(Place::address)
    }

    pub(crate) fn blocks_by_destination(&self) -> bool {
        matches!(self.shared.place, Place::Unix(_)) && !self.is_connected()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.shared.peer.borrow().is_some()
    }

    pub(crate) fn join_multicast(&self, group: IpAddr) -> io::Result<()> {
        if !self.shared.groups.borrow_mut().insert(group) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(())
    }

    pub(crate) fn leave_multicast(&self, group: IpAddr) -> io::Result<()> {
        if !self.shared.groups.borrow_mut().remove(&group) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        Ok(())
    }

    pub(crate) fn set_multicast_loop(&self, on: bool) {
        self.shared.multicast_loop.set(on);
    }

    pub(crate) fn set_broadcast(&self, on: bool) {
        self.shared.broadcast.set(on);
    }

    pub(crate) fn receive_drops(&self) -> u64 {
        self.shared.drops.get()
    }

    pub(crate) fn register(&self, key: Key, signals: Signals) {
        *self.shared.registration.borrow_mut() = Some((key, signals));
        if !self.shared.queue.borrow().is_empty() {
            self.shared.signal(Readiness::READ);
        }
    }
}

impl Drop for MemoryDatagramSocket {
    /// Senders that wait for room find out that nobody is there.
    fn drop(&mut self) {
        self.machine.network.0.datagrams.remove(self.shared.machine, &self.shared.place);
        self.shared.tell_senders();
    }
}

impl fmt::Debug for MemoryDatagramSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemoryDatagramSocket").field(&self.shared.place).finish()
    }
}

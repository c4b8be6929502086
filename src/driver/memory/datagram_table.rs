//! Which datagram sockets there are, and what passes between them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use super::datagram::{MemoryDatagramSocket, Shared};
use super::kernel::Call;
use super::links::Link;
use super::machine::{Machine, MachineId};
use super::packet::Packet;
use super::place::Place;
use crate::address::{Address, UnixAddress};

/// The datagram sockets of a network that have an address.
#[derive(Default)]
pub(super) struct DatagramTable(RefCell<BTreeMap<(MachineId, Place), Weak<Shared>>>);

impl Machine {
    /// A UDP socket, bound and connected as asked.
    pub(crate) fn open_datagram(
        &self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) -> io::Result<MemoryDatagramSocket> {
        let ip = match (local, remote) {
            (Some(local), _) => local.ip(),
            (None, Some(remote)) => self.source(remote.ip()),
            (None, None) => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        };
        if !self.has(ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = match local.map_or(0, |local| local.port()) {
            // As Linux says it of a socket that is bound, and of one that is only connected.
            0 => self.free_datagram_port(ip).ok_or(match local {
                Some(_) => io::ErrorKind::AddrInUse,
                None => io::ErrorKind::WouldBlock,
            })?,
            port => port,
        };
        self.open_datagram_at(Place::Ip(SocketAddr::new(ip, port)), remote.map(Place::Ip))
    }

    /// A Unix datagram socket; one without a name cannot be answered.
    pub(crate) fn open_unix_datagram(
        &self,
        local: Option<&UnixAddress>,
        remote: Option<&UnixAddress>,
    ) -> io::Result<MemoryDatagramSocket> {
        let place = |address: &UnixAddress| Place::of(&Address::Unix(address.clone()));
        let local = local.map_or(Ok(Place::Unix(PathBuf::new())), place)?;
        let remote = remote.map(place).transpose()?;
        if let Some(remote) = &remote
            && self.network.0.datagrams.reached(self.id, remote).is_none()
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.open_datagram_at(local, remote)
    }

    fn open_datagram_at(
        &self,
        place: Place,
        peer: Option<Place>,
    ) -> io::Result<MemoryDatagramSocket> {
        let descriptor = self.kernel().descriptor(Call::Open)?;
        let table = &self.network.0.datagrams;
        let key = (self.id, place.clone());
        if table.0.borrow().contains_key(&key) || self.overlaps(&place, &table.0.borrow()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let capacity = self.network.0.datagram_capacity.get();
        let is_unnamed = place.is_unnamed();
        let socket = MemoryDatagramSocket::new(self.clone(), place, peer, capacity, descriptor);
        if !is_unnamed {
            table.0.borrow_mut().insert(key, Rc::downgrade(socket.shared()));
        }
        Ok(socket)
    }

    fn free_datagram_port(&self, ip: IpAddr) -> Option<u16> {
        let sockets = self.network.0.datagrams.0.borrow();
        let is_free = |port: &u16| {
            let place = Place::Ip(SocketAddr::new(ip, *port));
            !self.overlaps(&place, &sockets) && !sockets.contains_key(&(self.id, place))
        };
        match self.kernel().ports() {
            Some(ports) => ports.for_datagrams().find(is_free),
            None => self.network.ports().find(is_free),
        }
    }

    /// How often a datagram arrives.
    pub(super) fn copies(&self, from: &Place, to: (MachineId, &Place)) -> usize {
        let (machine, to) = to;
        if self.is_within(machine) {
            return 1;
        }
        let (from, to) = (from.address(), to.address());
        let link = Link { from: Some(&from), to: Some(&to) };
        self.network.0.links.ask(1, |policy| if policy.is_doubled(link) { 2 } else { 1 })
    }

    /// What the next datagram between these is.
    #[cfg(feature = "sim")]
    pub(super) fn tell_tap(&self, from: &Place, to: (MachineId, &Place), data: &[u8]) {
        let (machine, to) = to;
        if !self.is_within(machine) {
            self.network.0.links.tell_tap(|tap| {
                let (from, to) = (from.address(), to.address());
                tap.datagram(Link { from: Some(&from), to: Some(&to) }, data);
            });
        }
    }

    /// Sends something to another machine or to this one, outside of any connection.
    pub(super) fn pass(
        &self,
        from: &Place,
        to: (MachineId, &Place),
        packet: Packet,
        arrive: impl FnOnce() + 'static,
    ) {
        let (machine, to) = to;
        if self.is_within(machine) {
            return arrive();
        }
        let (from, to) = (from.address(), to.address());
        let link = Link { from: Some(&from), to: Some(&to) };
        self.network.0.links.send(link, packet, arrive);
    }
}

impl DatagramTable {
    pub(super) fn remove(&self, machine: MachineId, place: &Place) {
        self.0.borrow_mut().remove(&(machine, place.clone()));
    }

    /// Who receives what is sent to `place`: the socket bound there, or to any address of the machine.
    pub(super) fn reached(&self, machine: MachineId, place: &Place) -> Option<Rc<Shared>> {
        let sockets = self.0.borrow();
        let at = |place: Place| sockets.get(&(machine, place));
        at(place.clone()).or_else(|| at(place.at_any_address()?))?.upgrade()
    }

    /// Every socket, in the order of machines and addresses.
    pub(super) fn all(&self) -> Vec<Rc<Shared>> {
        self.0.borrow().values().filter_map(Weak::upgrade).collect()
    }
}

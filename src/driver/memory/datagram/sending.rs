//! Where datagrams go: to an address, a group, everybody or a path.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use rustix::io::Errno;

use super::MemoryDatagramSocket;
use super::shared::Shared;
use crate::driver::memory::kernel::Call;
use crate::driver::memory::machine::Machine;
use crate::driver::memory::network::{DEFAULT_DATAGRAM_CAPACITY, Network};
use crate::driver::memory::packet::Packet;
use crate::driver::memory::place::Place;
use crate::driver::{Outbox, Outgoing, Readiness, SentAgain};

impl MemoryDatagramSocket {
    /// Hands over as many as find room.
    pub(crate) fn send(&self, outbox: &Outbox) -> io::Result<usize> {
        let mut count = 0;
        if let Err(error) = self.shared.kernel.check(Call::Send, &self.shared.blocked) {
            self.shared.tell_later();
            return Err(error);
        }
        for datagram in outbox.iter() {
            if count > 0 && self.shared.refused.get() {
                // It is told by the next call.
                break;
            }
            match self.send_one(datagram) {
                Ok(()) => count += 1,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(count)
    }

    /// "Refused" to an IP address is about an earlier datagram, always; all else is about the first.
    pub(crate) fn send_again(&self, outbox: &Outbox, first: io::Error) -> SentAgain {
        let is_ip = matches!(self.shared.place, Place::Ip(_));
        if is_ip && first.kind() == ErrorKind::ConnectionRefused {
            return SentAgain { earlier: Some(first), result: self.send(outbox) };
        }
        SentAgain { earlier: None, result: Err(first) }
    }

    fn send_one(&self, datagram: Outgoing<'_>) -> io::Result<()> {
        if self.shared.refused.take() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        self.shared.kernel.buffer()?;
        let to = match datagram.to {
            Some(address) => Place::of(address)?,
            None => match &*self.shared.peer.borrow() {
                Some(peer) => peer.clone(),
                None => return Err(ErrorKind::NotConnected.into()),
            },
        };
        match &to {
            Place::Ip(to) if to.ip().is_multicast() => {
                self.send_to_group(*to, datagram.data);
                Ok(())
            }
            Place::Ip(to) if to.ip() == Ipv4Addr::BROADCAST => self.send_to_all(*to, datagram.data),
            Place::Ip(to) => {
                if let Place::Ip(own) = &self.shared.place
                    && !self.machine.reaches(own.ip(), to.ip())
                {
                    return Err(ErrorKind::InvalidInput.into());
                }
                self.send_to_address(*to, datagram.data);
                Ok(())
            }
            Place::Unix(_) => self.send_to_path(&to, datagram.data, datagram.to.is_some()),
        }
    }

    fn send_to_all(&self, to: SocketAddr, data: &[u8]) -> io::Result<()> {
        if !self.shared.broadcast.get() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        for receiver in self.sockets() {
            if receiver.place.port() == Some(to.port())
                && receiver.place.is_ipv4()
                && self.may_hear(&receiver)
            {
                self.send_to_one_of_many(&receiver, data, to.ip());
            }
        }
        Ok(())
    }

    fn send_to_path(&self, to: &Place, data: &[u8], is_named: bool) -> io::Result<()> {
        if data.len() > self.shared.capacity.max(DEFAULT_DATAGRAM_CAPACITY) {
            return Err(Errno::MSGSIZE.into());
        }
        let table = &self.machine.network.0.datagrams;
        let Some(receiver) = table.reached(self.machine.id, to) else {
            // A path is gone with its socket; a peer that was there once refuses.
            let kind = if is_named { ErrorKind::NotFound } else { ErrorKind::ConnectionRefused };
            return Err(kind.into());
        };
        if !receiver.has_room(data.len()) {
            if self.shared.waits_for.borrow_mut().insert(to.clone()) {
                receiver.tell_of_room(&self.shared);
            }
            return Err(ErrorKind::WouldBlock.into());
        }
        receiver.take_in(data.into(), &self.shared.place, None);
        Ok(())
    }

    fn send_to_address(&self, to: SocketAddr, data: &[u8]) {
        // An address that nobody has swallows it.
        let Some(target) = self.machine.of(to.ip()) else { return };
        let (from, place) = (self.source(to.ip()), Place::Ip(to));
        let copies = self.machine.copies(&from, (target, &place));
        for _ in 0..copies {
            let sender = Rc::clone(&self.shared);
            let network = Rc::downgrade(&self.machine.network.0);
            let data: Box<[u8]> = data.into();
            let packet = Packet::Datagram(data.len());
            #[cfg(feature = "sim")]
            self.machine.tell_tap(&from, (target, &place), &data);
            self.machine.pass(&from, (target, &place), packet, move || {
                if let Some(network) = network.upgrade() {
                    let machine = Machine { network: Network(network), id: target };
                    arrive(&machine, &sender, to, data);
                }
            });
        }
    }

    fn send_to_group(&self, to: SocketAddr, data: &[u8]) {
        for receiver in self.sockets() {
            let own = Rc::ptr_eq(&receiver, &self.shared);
            let is_member = receiver.groups.borrow().contains(&to.ip());
            // The option is about what the socket sent itself.
            if is_member
                && self.may_hear(&receiver)
                && receiver.place.port() == Some(to.port())
                && (!own || self.shared.multicast_loop.get())
            {
                self.send_to_one_of_many(&receiver, data, to.ip());
            }
        }
    }

    /// To one of the receivers of a group, or of a broadcast.
    fn send_to_one_of_many(&self, receiver: &Rc<Shared>, data: &[u8], to: IpAddr) {
        // Links are between machines, whatever the sockets are bound to.
        let there = Machine { network: self.machine.network.clone(), id: receiver.machine };
        let (from, place) = (self.source(to), receiver.on_link(&there, to));
        let target = (receiver.machine, &place);
        let receiver = Rc::downgrade(receiver);
        let data: Box<[u8]> = data.into();
        let packet = Packet::Datagram(data.len());
        let sender = from.clone();
        self.machine.pass(&from, target, packet, move || {
            if let Some(receiver) = receiver.upgrade() {
                receiver.take_in(data, &sender, Some(to));
            }
        });
    }

    /// Not a socket at a loopback address of another machine.
    fn may_hear(&self, receiver: &Shared) -> bool {
        let is_loopback = |place: &Place| match place {
            Place::Ip(address) => address.ip().is_loopback(),
            Place::Unix(_) => false,
        };
        let apart = receiver.machine != self.machine.id;
        !apart || !(is_loopback(&receiver.place) || is_loopback(&self.shared.place))
    }

    fn sockets(&self) -> Vec<Rc<Shared>> {
        self.machine.network.0.datagrams.all()
    }

    /// From where it sends: a socket bound to every address of a machine sends from the one that reaches `to`.
    fn source(&self, to: IpAddr) -> Place {
        self.shared.source(&self.machine, to)
    }
}

/// A datagram arrives at an address: somebody receives it, or it is answered that nobody is there.
fn arrive(machine: &Machine, sender: &Rc<Shared>, to: SocketAddr, data: Box<[u8]>) {
    let network = &machine.network;
    let place = Place::Ip(to);
    let origin = Machine { network: network.clone(), id: sender.machine };
    let from = sender.source(&origin, to.ip());
    match network.0.datagrams.reached(machine.id, &place) {
        Some(receiver) => receiver.take_in(data, &from, Some(to.ip())),
        None if sender.peer.borrow().is_some() && !network.is_black_hole(to) => {
            let answered = Rc::clone(sender);
            machine.pass(&place, (sender.machine, &from), Packet::Unreachable, move || {
                answered.refused.set(true);
                answered.signal(Readiness::READ.union(Readiness::ERROR));
            });
        }
        None => {}
    }
}

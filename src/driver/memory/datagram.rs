//! Datagram sockets in memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};

use super::kernel::{Blocked, Call, Descriptor, Kernel};
use super::machine::{Machine, MachineId};
use super::network::Network;
use super::packet::Packet;
use super::place::Place;
use crate::address::Address;
use crate::driver::{
    Details, Key, Outbox, Outgoing, Readiness, ReceiveBuffers, Received, SentAgain, Signals,
};

/// What a datagram that was not received counts beside its bytes.
const OVERHEAD: usize = 8;

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

pub(super) struct Shared {
    machine: MachineId,
    place: Place,
    /// The one peer of a connected socket.
    peer: RefCell<Option<Place>>,
    queue: RefCell<VecDeque<Waiting>>,
    /// What the queue holds, and may hold.
    size: Cell<usize>,
    capacity: usize,
    /// Who found the queue full, and is to be told of room.
    senders: RefCell<Vec<Weak<Shared>>>,
    /// Where this one waits for room: it is told once by each.
    waits_for: RefCell<BTreeSet<Place>>,
    /// Somebody was not there.
    refused: Cell<bool>,
    drops: Cell<u64>,
    groups: RefCell<BTreeSet<IpAddr>>,
    multicast_loop: Cell<bool>,
    broadcast: Cell<bool>,
    registration: RefCell<Option<(Key, Signals)>>,
    kernel: Kernel,
    blocked: Blocked,
}

struct Waiting {
    data: Box<[u8]>,
    from: Place,
    to: Option<IpAddr>,
}

impl MemoryDatagramSocket {
    pub(super) fn new(
        machine: Machine,
        place: Place,
        peer: Option<Place>,
        capacity: usize,
        descriptor: Descriptor,
    ) -> Self {
        let shared = Rc::new(Shared {
            machine: machine.id,
            place,
            peer: RefCell::new(peer),
            queue: RefCell::default(),
            size: Cell::new(0),
            capacity,
            senders: RefCell::default(),
            waits_for: RefCell::default(),
            refused: Cell::new(false),
            drops: Cell::new(0),
            groups: RefCell::default(),
            multicast_loop: Cell::new(true),
            broadcast: Cell::new(false),
            registration: RefCell::default(),
            kernel: machine.kernel(),
            blocked: Blocked::default(),
        });
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
            && start + waiting.data.len() <= buffers.bytes.len()
        {
            let len = waiting.data.len();
            buffers.bytes[start..start + len].copy_from_slice(&waiting.data);
            buffers.push(
                Received { start, len, from: waiting.from.address() },
                Details { to: waiting.to, ..Details::new(len, false) },
            );
            self.shared.size.set(self.shared.size.get() - len - OVERHEAD);
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
        if is_ip && first.kind() == io::ErrorKind::ConnectionRefused {
            return SentAgain { earlier: Some(first), result: self.send(outbox) };
        }
        SentAgain { earlier: None, result: Err(first) }
    }

    fn send_one(&self, datagram: Outgoing<'_>) -> io::Result<()> {
        if self.shared.refused.take() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.shared.kernel.buffer()?;
        let to = match datagram.to {
            Some(address) => Place::of(address)?,
            None => match &*self.shared.peer.borrow() {
                Some(peer) => peer.clone(),
                None => return Err(io::ErrorKind::NotConnected.into()),
            },
        };
        match &to {
            Place::Ip(to) if to.ip().is_multicast() => {
                self.send_to_group(*to, datagram.data);
                Ok(())
            }
            Place::Ip(to) if to.ip() == Ipv4Addr::BROADCAST => {
                if !self.shared.broadcast.get() {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                for receiver in self.sockets() {
                    if receiver.place.port() == Some(to.port())
                        && receiver.place.is_ipv4()
                        && self.may_hear(&receiver)
                    {
                        self.send_to_one_of_many(&receiver, datagram.data, to.ip());
                    }
                }
                Ok(())
            }
            Place::Ip(to) => {
                if let Place::Ip(own) = &self.shared.place
                    && !self.machine.reaches(own.ip(), to.ip())
                {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                self.send_to_address(*to, datagram.data);
                Ok(())
            }
            Place::Unix(_) => {
                let table = &self.machine.network.0.datagrams;
                let receiver = table.reached(self.machine.id, &to);
                let receiver =
                    receiver.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                if !receiver.has_room(datagram.data.len()) {
                    if self.shared.waits_for.borrow_mut().insert(to.clone()) {
                        receiver.tell_of_room(&self.shared);
                    }
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                receiver.take_in(datagram.data.into(), &self.shared.place, None);
                Ok(())
            }
        }
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

impl Drop for MemoryDatagramSocket {
    /// Senders that wait for room find out that nobody is there.
    fn drop(&mut self) {
        self.machine.network.0.datagrams.remove(self.shared.machine, &self.shared.place);
        self.shared.tell_senders();
    }
}

impl Shared {
    /// From where what is sent to `to` comes: on a machine of its own, a socket bound to every address sends from
    /// that which reaches it.
    fn source(&self, machine: &Machine, to: IpAddr) -> Place {
        match &self.place {
            Place::Ip(own) if own.ip().is_unspecified() && machine.id != MachineId::SHARED => {
                Place::Ip(SocketAddr::new(machine.source(to), own.port()))
            }
            place => place.clone(),
        }
    }

    /// Where it is for a datagram of a group or a broadcast.
    fn on_link(&self, machine: &Machine, to: IpAddr) -> Place {
        match &self.place {
            Place::Ip(own) if own.ip().is_multicast() && machine.id != MachineId::SHARED => {
                Place::Ip(SocketAddr::new(machine.source(to), own.port()))
            }
            _ => self.source(machine, to),
        }
    }

    /// Tells `sender` when there is room again; each is in the list once.
    fn tell_of_room(&self, sender: &Rc<Self>) {
        let mut senders = self.senders.borrow_mut();
        let is_other = |known: &Weak<Self>| {
            known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Rc::as_ptr(sender))
        };
        senders.retain(is_other);
        senders.push(Rc::downgrade(sender));
    }

    fn has_room(&self, len: usize) -> bool {
        let size = self.size.get();
        size == 0 || size + len + OVERHEAD <= self.capacity
    }

    fn take_in(&self, data: Box<[u8]>, from: &Place, to: Option<IpAddr>) {
        // A connected socket hears its peer alone.
        if self.peer.borrow().as_ref().is_some_and(|peer| !peer.is_sender(from)) {
            return;
        }
        if !self.has_room(data.len()) {
            self.drops.set(self.drops.get() + 1);
            return;
        }
        self.size.set(self.size.get() + data.len() + OVERHEAD);
        let waiting = Waiting { data, from: from.clone(), to };
        let first = self.queue.borrow().is_empty();
        self.queue.borrow_mut().push_back(waiting);
        // Told once: who reads goes on until nothing is left.
        if first {
            self.signal(Readiness::READ);
        }
    }

    /// Tells those who wait that there is room, or nobody any more.
    fn tell_senders(&self) {
        for sender in self.senders.take() {
            if let Some(sender) = sender.upgrade() {
                sender.waits_for.borrow_mut().remove(&self.place);
                sender.signal(Readiness::WRITE);
            }
        }
    }

    /// Tells later what it is ready for: a call has left something, as if that had come just then.
    fn tell_later(self: &Rc<Self>) {
        let socket = Rc::downgrade(self);
        self.kernel.later(move || {
            if let Some(socket) = socket.upgrade() {
                let mut readiness = Readiness::WRITE;
                readiness.set(Readiness::READ, !socket.queue.borrow().is_empty());
                socket.signal(readiness);
            }
        });
    }

    fn signal(&self, mut readiness: Readiness) {
        readiness.set(Readiness::READ.union(Readiness::WRITE), self.kernel.is_spurious());
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.borrow_mut().push_back((*key, readiness));
        }
    }
}

impl fmt::Debug for MemoryDatagramSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemoryDatagramSocket").field(&self.shared.place).finish()
    }
}

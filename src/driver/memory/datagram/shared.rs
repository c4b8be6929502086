//! What a socket has for those who send to it: a bounded queue, and who waits for room in it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use crate::driver::memory::kernel::{Blocked, Kernel};
use crate::driver::memory::machine::{Machine, MachineId};
use crate::driver::memory::place::Place;
use crate::driver::{Key, Readiness, Signals};

/// What a datagram that was not received counts beside its bytes.
pub(super) const OVERHEAD: usize = 8;

pub(in crate::driver::memory) struct Shared {
    pub(super) machine: MachineId,
    pub(super) place: Place,
    /// The one peer of a connected socket.
    pub(super) peer: RefCell<Option<Place>>,
    pub(super) queue: RefCell<VecDeque<Waiting>>,
    /// What the queue holds, and may hold.
    pub(super) size: Cell<usize>,
    pub(super) capacity: usize,
    /// Who found the queue full, and is to be told of room.
    pub(super) senders: RefCell<Vec<Weak<Shared>>>,
    /// Where this one waits for room: it is told once by each.
    pub(super) waits_for: RefCell<BTreeSet<Place>>,
    /// Somebody was not there.
    pub(super) refused: Cell<bool>,
    pub(super) drops: Cell<u64>,
    pub(super) groups: RefCell<BTreeSet<IpAddr>>,
    pub(super) multicast_loop: Cell<bool>,
    pub(super) broadcast: Cell<bool>,
    pub(super) registration: RefCell<Option<(Key, Signals)>>,
    pub(super) kernel: Kernel,
    pub(super) blocked: Blocked,
}

/// A datagram that nobody has received yet.
pub(super) struct Waiting {
    pub(super) data: Box<[u8]>,
    pub(super) from: Place,
    pub(super) to: Option<IpAddr>,
}

impl Shared {
    pub(super) fn new(
        machine: &Machine,
        place: Place,
        peer: Option<Place>,
        capacity: usize,
    ) -> Self {
        Self {
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
        }
    }

    /// From where what is sent to `to` comes: on a machine of its own, a socket bound to every address sends from
    /// that which reaches it.
    pub(super) fn source(&self, machine: &Machine, to: IpAddr) -> Place {
        match &self.place {
            Place::Ip(own) if own.ip().is_unspecified() && machine.id != MachineId::SHARED => {
                Place::Ip(SocketAddr::new(machine.source(to), own.port()))
            }
            place => place.clone(),
        }
    }

    /// Where it is for a datagram of a group or a broadcast.
    pub(super) fn on_link(&self, machine: &Machine, to: IpAddr) -> Place {
        match &self.place {
            Place::Ip(own) if own.ip().is_multicast() && machine.id != MachineId::SHARED => {
                Place::Ip(SocketAddr::new(machine.source(to), own.port()))
            }
            _ => self.source(machine, to),
        }
    }

    /// Tells `sender` when there is room again; each is in the list once.
    pub(super) fn tell_of_room(&self, sender: &Rc<Self>) {
        let mut senders = self.senders.borrow_mut();
        let is_other = |known: &Weak<Self>| {
            known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Rc::as_ptr(sender))
        };
        senders.retain(is_other);
        senders.push(Rc::downgrade(sender));
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        let size = self.size.get();
        size == 0 || size + len + OVERHEAD <= self.capacity
    }

    pub(super) fn take_in(&self, data: Box<[u8]>, from: &Place, to: Option<IpAddr>) {
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
    pub(super) fn tell_senders(&self) {
        for sender in self.senders.take() {
            if let Some(sender) = sender.upgrade() {
                sender.waits_for.borrow_mut().remove(&self.place);
                sender.signal(Readiness::WRITE);
            }
        }
    }

    /// Tells later what it is ready for: a call has left something, as if that had come just then.
    pub(super) fn tell_later(self: &Rc<Self>) {
        let socket = Rc::downgrade(self);
        self.kernel.later(move || {
            if let Some(socket) = socket.upgrade() {
                let mut readiness = Readiness::WRITE;
                readiness.set(Readiness::READ, !socket.queue.borrow().is_empty());
                socket.signal(readiness);
            }
        });
    }

    pub(super) fn signal(&self, mut readiness: Readiness) {
        readiness.set(Readiness::READ.union(Readiness::WRITE), self.kernel.is_spurious());
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.push(*key, readiness);
        }
    }
}

//! Places that are listened on.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::{Rc, Weak};

use super::kernel::{Blocked, Call, Descriptor, Kernel};
use super::machine::{Machine, MachineId};
use super::network::Network;
use super::pipe::MemorySocket;
use super::place::Place;
use super::ports::PortKind;
use crate::address::Address;
use crate::driver::{Key, ListenOptions, Readiness, Signals, SocketOptions};

/// A place that is listened on.
pub(crate) struct MemoryListener {
    shared: Rc<Shared>,
    network: Network,
    _descriptor: Descriptor,
}

/// Who listens where.
#[derive(Default)]
pub(super) struct Listeners(RefCell<BTreeMap<(MachineId, Place), Weak<Shared>>>);

pub(super) struct Shared {
    machine: MachineId,
    place: Place,
    backlog: usize,
    /// `SO_REUSEADDR`: connections have it from who accepts them.
    is_reusable: bool,
    /// Those of accepted sockets.
    options: SocketOptions,
    waiting: RefCell<VecDeque<MemorySocket>>,
    registration: RefCell<Option<(Key, Signals)>>,
    kernel: Kernel,
    blocked: Blocked,
}

impl Machine {
    /// `options` are those of the sockets that will be accepted.
    pub(crate) fn listen(
        &self,
        address: SocketAddr,
        listen: &ListenOptions,
        options: &SocketOptions,
    ) -> io::Result<MemoryListener> {
        if !self.has(address.ip()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let address = if address.port() == 0 {
            self.free_port(address.ip()).ok_or(io::ErrorKind::AddrInUse)?
        } else {
            address
        };
        if let Some(ports) = self.kernel().ports() {
            ports.check_bind(address, listen.reuse_address)?;
        }
        self.listen_at(Place::Ip(address), listen, options)
    }

    pub(crate) fn listen_unix(
        &self,
        path: &Path,
        listen: &ListenOptions,
    ) -> io::Result<MemoryListener> {
        // Nothing of what can be set means anything to Unix sockets in memory.
        self.listen_at(Place::Unix(path.to_owned()), listen, &SocketOptions::default())
    }

    fn listen_at(
        &self,
        place: Place,
        listen: &ListenOptions,
        options: &SocketOptions,
    ) -> io::Result<MemoryListener> {
        let kernel = self.kernel();
        let descriptor = kernel.descriptor(Call::Open)?;
        let mut listeners = self.network.0.listeners.0.borrow_mut();
        let key = (self.id, place.clone());
        let is_taken = listeners.get(&key).is_some_and(|listener| listener.strong_count() > 0);
        if is_taken || self.overlaps(&place, &listeners) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let shared = Rc::new(Shared {
            machine: self.id,
            place,
            backlog: listen.backlog.max(1) as usize,
            is_reusable: listen.reuse_address,
            options: options.clone(),
            waiting: RefCell::default(),
            registration: RefCell::default(),
            kernel,
            blocked: Blocked::default(),
        });
        listeners.insert(key, Rc::downgrade(&shared));
        Ok(MemoryListener { shared, network: self.network.clone(), _descriptor: descriptor })
    }

    /// An address whose port nobody listens on.
    pub(super) fn free_port(&self, ip: IpAddr) -> Option<SocketAddr> {
        let listeners = &self.network.0.listeners;
        let Some(ports) = self.kernel().ports().cloned() else {
            let mut addresses = self.network.ports().map(|port| SocketAddr::new(ip, port));
            return addresses.find(|&address| listeners.at(self.id, &Place::Ip(address)).is_none());
        };
        let mut addresses = ports.for_streams().map(|port| SocketAddr::new(ip, port));
        addresses.find(|&address| {
            let place = Place::Ip(address);
            let is_taken = listeners.at(self.id, &place).is_some()
                || self.overlaps(&place, &listeners.0.borrow());
            !is_taken && ports.is_free(address)
        })
    }
}

impl Listeners {
    /// Who listens at `place`, or at its port on any address of its machine.
    pub(super) fn reached(&self, machine: MachineId, place: &Place) -> Option<Rc<Shared>> {
        self.at(machine, place).or_else(|| self.at(machine, &place.at_any_address()?))
    }

    /// Who listens at exactly this place.
    pub(super) fn at(&self, machine: MachineId, place: &Place) -> Option<Rc<Shared>> {
        self.0.borrow().get(&(machine, place.clone()))?.upgrade()
    }
}

impl MemoryListener {
    pub(crate) fn accept(&self) -> io::Result<(MemorySocket, Option<Address>)> {
        if self.shared.waiting.borrow().is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let kernel = &self.shared.kernel;
        if let Err(error) = kernel.check(Call::Accept, &self.shared.blocked) {
            let listener = Rc::downgrade(&self.shared);
            kernel.later(move || {
                if let Some(listener) = listener.upgrade() {
                    listener.signal();
                }
            });
            return Err(error);
        }
        let descriptor = kernel.descriptor(Call::Accept)?;
        let socket = self.shared.waiting.borrow_mut().pop_front();
        let socket = socket.ok_or(io::ErrorKind::WouldBlock)?;
        socket.own(descriptor);
        let peer = socket.peer_address();
        Ok((socket, peer))
    }

    /// A descriptor that is not used for anything.
    pub(crate) fn reserve(&self) -> Option<Descriptor> {
        self.shared.kernel.descriptor(Call::Open).ok()
    }

    pub(crate) fn local_address(&self) -> Address {
        self.shared.place.address()
    }

    pub(crate) fn register(&self, key: Key, signals: Signals) {
        *self.shared.registration.borrow_mut() = Some((key, signals));
        if !self.shared.waiting.borrow().is_empty() {
            self.shared.signal();
        }
    }
}

impl Drop for MemoryListener {
    /// Clients that wait to be accepted are refused.
    fn drop(&mut self) {
        let key = (self.shared.machine, self.shared.place.clone());
        self.network.0.listeners.0.borrow_mut().remove(&key);
        let waiting = std::mem::take(&mut *self.shared.waiting.borrow_mut());
        for socket in waiting {
            socket.reset();
        }
    }
}

impl Shared {
    /// Whether it says nothing to a connect: its backlog is full. A kernel refuses only those of Unix sockets then, and
    /// hopes for the others to be sent again; so do those of simulated hosts.
    pub(super) fn is_silent(&self) -> bool {
        self.kernel.is_simulated() && self.is_full()
    }

    fn is_full(&self) -> bool {
        self.waiting.borrow().len() >= self.backlog
    }

    /// Answers the connect of which `far` is the other end: accepts it, or refuses it where the backlog is full.
    pub(super) fn take(&self, far: MemorySocket) {
        if self.is_full() {
            return far.refuse();
        }
        far.set_options(&self.options);
        far.begin_port(PortKind { is_chosen: false, is_reusable: self.is_reusable });
        far.accept();
        self.waiting.borrow_mut().push_back(far);
        self.signal();
    }

    fn signal(&self) {
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.push(*key, Readiness::READ);
        }
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemoryListener").field(&self.shared.place).finish()
    }
}

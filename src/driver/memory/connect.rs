//! Connecting: a request that travels to who listens, and an answer that travels back. As with a kernel, the outcome
//! is readiness.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::kernel::{Call, Kernel};
use super::listener;
use super::machine::{Machine, MachineId};
use super::network::State;
use super::pipe::MemorySocket;
use super::place::Place;
use super::ports::PortKind;
use crate::address::Address;
use crate::driver::SocketOptions;

impl Machine {
    /// Begins to connect; the outcome is readiness.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
        options: &SocketOptions,
    ) -> io::Result<MemorySocket> {
        let kind = PortKind {
            is_chosen: local.is_none_or(|local| local.port() == 0),
            is_reusable: local.is_some(),
        };
        let local = self.local_address(remote, local)?;
        let addresses = [Some(Address::Ip(local)), Some(Address::Ip(remote))];
        let Some(target) = self.of(remote.ip()) else {
            return Err(io::ErrorKind::HostUnreachable.into());
        };
        let descriptor = self.kernel().descriptor(Call::Connect)?;
        if self.network.is_black_hole(remote) {
            let near = self.connect_to_nobody(addresses);
            near.own(descriptor);
            near.set_options(options);
            near.begin_port(kind);
            return Ok(near);
        }
        let (near, far) = self.begin_connecting(addresses, target);
        near.own(descriptor);
        near.set_options(options);
        near.begin_port(kind);
        let (network, kernel) = (Rc::downgrade(&self.network.0), self.kernel());
        near.request(far, move |far| {
            let (network, kernel) = (Weak::clone(&network), kernel.clone());
            let place = Place::Ip(remote);
            Request { network, kernel, target, place, far, repeats: 0 }.arrive();
        });
        Ok(near)
    }

    pub(crate) fn connect_unix(&self, path: &Path) -> io::Result<MemorySocket> {
        let place = Place::Unix(path.to_owned());
        let listener = self.network.0.listeners.at(self.id, &place);
        let listener = listener.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let descriptor = self.kernel().descriptor(Call::Connect)?;
        let (near, far) = self.begin_connecting([None, Some(place.address())], self.id);
        near.own(descriptor);
        answer(Some(listener), far);
        Ok(near)
    }

    fn local_address(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> io::Result<SocketAddr> {
        let own = local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let ip = own.unwrap_or_else(|| self.source(remote.ip()));
        if !self.has(ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if !self.reaches(ip, remote.ip()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match local.map_or(0, |local| local.port()) {
            0 => self.port_to(ip, remote).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()),
            port => {
                let local = SocketAddr::new(ip, port);
                self.bind_for(local, remote)?;
                Ok(local)
            }
        }
    }

    /// An address with a port that the kernel chooses for a connection to `remote`.
    fn port_to(&self, ip: IpAddr, remote: SocketAddr) -> Option<SocketAddr> {
        let kernel = self.kernel();
        let Some(ports) = kernel.ports() else { return self.free_port(ip) };
        let mut addresses = ports.for_streams().map(|port| SocketAddr::new(ip, port));
        addresses.find(|&local| !self.is_listened_at(local) && ports.may_choose(local, remote))
    }

    /// Binds a socket to a port that a program has chosen. The loops without machines let each have any.
    fn bind_for(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
        let kernel = self.kernel();
        let Some(ports) = kernel.ports() else { return Ok(()) };
        if self.is_listened_at(local) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        ports.bind_for(local, remote)
    }

    /// Whether somebody listens at this address, or at its port on any.
    fn is_listened_at(&self, local: SocketAddr) -> bool {
        self.network.0.listeners.reached(self.id, &Place::Ip(local)).is_some()
    }

    fn begin_connecting(
        &self,
        addresses: [Option<Address>; 2],
        target: MachineId,
    ) -> (MemorySocket, MemorySocket) {
        let state = &self.network.0;
        let is_unix = addresses.iter().flatten().any(|address| address.as_unix().is_some());
        let has_link = !is_unix && !self.is_within(target);
        let routes = has_link.then(|| state.links.routes(addresses.clone()));
        let kernels: [Kernel; 2] = [self.kernel(), state.machines.kernel(target)];
        let (near, far) =
            MemorySocket::connecting(state.capacity.get(), addresses, routes, kernels);
        self.network.mark_urgent(&near);
        (near, far)
    }

    /// Begins to connect, and hears nothing: no answer, no refusal.
    fn connect_to_nobody(&self, addresses: [Option<Address>; 2]) -> MemorySocket {
        let (near, far) = self.begin_connecting(addresses, MachineId::SHARED);
        let mut unanswered = self.network.0.unanswered.borrow_mut();
        unanswered.retain(|far| !far.is_deserted());
        unanswered.push(far);
        near
    }
}

/// How long a kernel waits for an answer before it sends a request again, at first, and how often it does (Linux).
const FIRST_WAIT: Duration = Duration::from_secs(1);
const REPEATS: u32 = 6;

/// A request to connect.
struct Request {
    network: Weak<State>,
    /// Whoever sends it.
    kernel: Kernel,
    target: MachineId,
    place: Place,
    /// The end that is not the sender's.
    far: MemorySocket,
    /// How often it was sent again.
    repeats: u32,
}

impl Request {
    fn arrive(self) {
        // Given up on the way: a kernel would tell nobody of it.
        if self.far.is_deserted() {
            return;
        }
        // A kernel would answer with what it expects, and hear that nobody knows of that connection any more.
        if let Some(former) = self.far.known_between_its_addresses() {
            former.reset_by_peer();
            return self.repeat();
        }
        let network = self.network.upgrade();
        let listener =
            network.and_then(|network| network.listeners.reached(self.target, &self.place));
        match listener {
            Some(listener) if self.kernel.is_simulated() && listener.is_silent() => self.repeat(),
            listener => answer(listener, self.far),
        }
    }

    /// Sends it again after a while, or gives up.
    fn repeat(mut self) {
        let wait = FIRST_WAIT * (1 << self.repeats);
        let kernel = self.kernel.clone();
        if self.repeats == REPEATS {
            return kernel.after(wait, move || self.far.give_up());
        }
        self.repeats += 1;
        kernel.after(wait, move || {
            if !self.far.is_deserted() {
                self.far.repeats_request()(Box::new(move || self.arrive()));
            }
        });
    }
}

/// Answers the connect of which `far` is the other end.
fn answer(listener: Option<Rc<listener::Shared>>, far: MemorySocket) {
    match listener {
        Some(listener) => listener.take(far),
        None => far.refuse(),
    }
}

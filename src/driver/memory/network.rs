//! A network in memory: addresses that are listened on and connected to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::clock::Clock;
use super::datagram::{self, MemoryDatagramSocket};
use super::links::{Cargo, Link, Links};
use super::loops::Loops;
use super::pipe::{DEFAULT_CAPACITY, Marks, MemorySocket};
use super::place::Place;
use crate::address::{Address, UnixAddress};
use crate::driver::{Key, Readiness, Signals};

/// The first port given out for port 0 and to clients: the range of Linux.
const FIRST_PORT: u16 = 32_768;

/// The beginning of 2025: equal programs see equal dates.
const FIRST_DATE: Duration = Duration::from_secs(1_735_689_600);
/// What a datagram socket holds that nobody has received: what Linux grants by default.
const DEFAULT_DATAGRAM_CAPACITY: usize = 208 * 1024;

/// Who listens where, and what names mean.
#[derive(Clone, Default)]
pub(crate) struct Network(pub(super) Rc<State>);

pub(super) struct State {
    pub(super) clock: Rc<Clock>,
    pub(super) links: Rc<Links>,
    pub(super) loops: Loops,
    listeners: RefCell<BTreeMap<Place, Weak<Shared>>>,
    hosts: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    black_holes: RefCell<BTreeSet<SocketAddr>>,
    /// The far ends of connects that get no answer.
    unanswered: RefCell<Vec<MemorySocket>>,
    next_port: Cell<u16>,
    capacity: Cell<usize>,
    /// Where urgent data is, if there is any.
    urgent: Cell<Option<Marks>>,
    /// What time it was since the Unix epoch when the clock began.
    date: Cell<Duration>,
    datagram_sockets: RefCell<BTreeMap<Place, Weak<datagram::Shared>>>,
    datagram_capacity: Cell<usize>,
}

impl Default for State {
    fn default() -> Self {
        let clock = Rc::new(Clock::new());
        Self {
            links: Links::new(&clock),
            clock,
            loops: Loops::default(),
            listeners: RefCell::default(),
            hosts: RefCell::default(),
            black_holes: RefCell::default(),
            unanswered: RefCell::default(),
            next_port: Cell::new(FIRST_PORT),
            capacity: Cell::new(DEFAULT_CAPACITY),
            urgent: Cell::new(None),
            date: Cell::new(FIRST_DATE),
            datagram_sockets: RefCell::default(),
            datagram_capacity: Cell::new(DEFAULT_DATAGRAM_CAPACITY),
        }
    }
}

/// A place that is listened on.
pub(crate) struct MemoryListener {
    shared: Rc<Shared>,
    network: Network,
}

struct Shared {
    place: Place,
    backlog: usize,
    waiting: RefCell<VecDeque<MemorySocket>>,
    registration: RefCell<Option<(Key, Signals)>>,
}

impl Network {
    /// What each direction of a connection holds before its writer has to wait.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.0.capacity.set(capacity.max(1));
    }

    /// Puts urgent data on the connections made from now on.
    pub(crate) fn set_urgent(&self, seed: u64) {
        self.0.urgent.set(Some(Marks::new(seed)));
    }

    /// Puts urgent data on a connection, if there is any.
    pub(crate) fn mark_urgent(&self, socket: &MemorySocket) {
        if let Some(mut marks) = self.0.urgent.get() {
            socket.mark_urgent(&mut marks);
            self.0.urgent.set(Some(marks));
        }
    }

    fn begin_connecting(&self, addresses: [Option<Address>; 2]) -> (MemorySocket, MemorySocket) {
        let is_unix = addresses.iter().flatten().any(|address| address.as_unix().is_some());
        let routes = (!is_unix).then(|| self.0.links.routes(addresses.clone()));
        let (near, far) = MemorySocket::connecting(self.0.capacity.get(), addresses, routes);
        self.mark_urgent(&near);
        (near, far)
    }

    /// The time since the Unix epoch.
    #[cfg_attr(not(feature = "tls-core"), expect(dead_code, reason = "TLS looks at dates"))]
    pub(crate) fn date(&self) -> Duration {
        self.0.date.get().saturating_add(self.0.clock.elapsed())
    }

    /// Sets the date at which the clock begins, as the time since the epoch.
    pub(crate) fn set_date(&self, since_epoch: Duration) {
        self.0.date.set(since_epoch);
    }

    /// Makes `host` resolve to `addresses`.
    pub(crate) fn add_host(&self, host: &str, addresses: Vec<IpAddr>) {
        self.0.hosts.borrow_mut().insert(bare(host), addresses);
    }

    /// Makes connects to `address` get no answer.
    pub(crate) fn add_black_hole(&self, address: SocketAddr) {
        self.0.black_holes.borrow_mut().insert(address);
    }

    /// `localhost` and the hosts that were added.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = bare(host);
        let addresses = match self.0.hosts.borrow().get(&name) {
            Some(addresses) => addresses.clone(),
            None if name == "localhost" => vec![Ipv4Addr::LOCALHOST.into()],
            None => Vec::new(),
        };
        if addresses.is_empty() {
            let text = format!("`{}` is not known to the network in memory", host.escape_debug());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    pub(crate) fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<MemoryListener> {
        let address = if address.port() == 0 {
            self.free_port(address.ip()).ok_or(io::ErrorKind::AddrInUse)?
        } else {
            address
        };
        self.listen_at(Place::Ip(address), backlog)
    }

    pub(crate) fn listen_unix(&self, path: &Path, backlog: u32) -> io::Result<MemoryListener> {
        self.listen_at(Place::Unix(path.to_owned()), backlog)
    }

    fn listen_at(&self, place: Place, backlog: u32) -> io::Result<MemoryListener> {
        let mut listeners = self.0.listeners.borrow_mut();
        if listeners.get(&place).is_some_and(|listener| listener.strong_count() > 0) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let shared = Rc::new(Shared {
            place: place.clone(),
            backlog: backlog.max(1) as usize,
            waiting: RefCell::default(),
            registration: RefCell::default(),
        });
        listeners.insert(place, Rc::downgrade(&shared));
        Ok(MemoryListener { shared, network: self.clone() })
    }

    /// Begins to connect; the outcome is readiness.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> io::Result<MemorySocket> {
        let ip = if remote.is_ipv6() {
            IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
        } else {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        };
        let local = match local {
            Some(local) if local.port() != 0 => local,
            local => {
                let ip = local.map_or(ip, |local| local.ip());
                self.free_port(ip).ok_or(io::ErrorKind::AddrNotAvailable)?
            }
        };
        let addresses = [Some(Address::Ip(local)), Some(Address::Ip(remote))];
        if self.0.black_holes.borrow().contains(&remote) {
            return Ok(self.connect_to_nobody(addresses));
        }
        let (near, far) = self.begin_connecting(addresses);
        let network = Rc::downgrade(&self.0);
        near.request(move || {
            // Given up on the way: a kernel would tell nobody of it.
            if far.is_deserted() {
                return;
            }
            let network = network.upgrade().map(Self);
            answer(network.and_then(|network| network.listener_for(&Place::Ip(remote))), far);
        });
        Ok(near)
    }

    pub(crate) fn connect_unix(&self, path: &Path) -> io::Result<MemorySocket> {
        let listener = self
            .listener(&Place::Unix(path.to_owned()))
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let addresses = [None, Some(Place::Unix(path.to_owned()).address())];
        let (near, far) = self.begin_connecting(addresses);
        answer(Some(listener), far);
        Ok(near)
    }

    /// Begins to connect, and hears nothing: no answer, no refusal.
    fn connect_to_nobody(&self, addresses: [Option<Address>; 2]) -> MemorySocket {
        let (near, far) = self.begin_connecting(addresses);
        let mut unanswered = self.0.unanswered.borrow_mut();
        unanswered.retain(|far| !far.is_deserted());
        unanswered.push(far);
        near
    }

    /// Who listens at `place`, or at its port on any address.
    fn listener_for(&self, place: &Place) -> Option<Rc<Shared>> {
        self.listener(place).or_else(|| self.listener(&place.at_any_address()?))
    }

    fn listener(&self, place: &Place) -> Option<Rc<Shared>> {
        self.0.listeners.borrow().get(place)?.upgrade()
    }

    /// What a datagram socket holds before what comes in is dropped, or its sender has to wait.
    pub(crate) fn set_datagram_capacity(&self, capacity: usize) {
        self.0.datagram_capacity.set(capacity.max(1));
    }

    /// A UDP socket, bound and connected as asked.
    pub(crate) fn open_datagram(
        &self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) -> io::Result<MemoryDatagramSocket> {
        let ip = match (local, remote) {
            (Some(local), _) => local.ip(),
            (None, Some(SocketAddr::V6(_))) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            (None, _) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let port = match local.map_or(0, |local| local.port()) {
            0 => self.free_datagram_port(ip).ok_or(io::ErrorKind::AddrInUse)?,
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
            && self.datagram_socket(remote).is_none()
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
        if self.0.datagram_sockets.borrow().contains_key(&place) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let capacity = self.0.datagram_capacity.get();
        let socket = MemoryDatagramSocket::new(self.clone(), place.clone(), peer, capacity);
        if !place.is_unnamed() {
            let shared = Rc::downgrade(socket.shared());
            self.0.datagram_sockets.borrow_mut().insert(place, shared);
        }
        Ok(socket)
    }

    pub(super) fn remove_datagram_socket(&self, place: &Place) {
        self.0.datagram_sockets.borrow_mut().remove(place);
    }

    /// Who receives what is sent to `place`: the socket bound there, or to any address.
    pub(super) fn datagram_socket(&self, place: &Place) -> Option<Rc<datagram::Shared>> {
        let sockets = self.0.datagram_sockets.borrow();
        sockets.get(place).or_else(|| sockets.get(&place.at_any_address()?))?.upgrade()
    }

    /// Every datagram socket that has an address, in the order of the addresses.
    pub(super) fn datagram_sockets(&self) -> Vec<Rc<datagram::Shared>> {
        self.0.datagram_sockets.borrow().values().filter_map(Weak::upgrade).collect()
    }

    /// Sends something between two places, outside of any connection.
    pub(super) fn pass(
        &self,
        from: &Place,
        to: &Place,
        cargo: Cargo,
        arrive: impl FnOnce() + 'static,
    ) {
        let (from, to) = (from.address(), to.address());
        self.0.links.send(Link { from: Some(&from), to: Some(&to) }, cargo, arrive);
    }

    pub(super) fn is_black_hole(&self, address: SocketAddr) -> bool {
        self.0.black_holes.borrow().contains(&address)
    }

    fn free_datagram_port(&self, ip: IpAddr) -> Option<u16> {
        let sockets = self.0.datagram_sockets.borrow();
        let place = |port| Place::Ip(SocketAddr::new(ip, port));
        self.ports().find(|&port| !sockets.contains_key(&place(port)))
    }

    /// An address whose port nobody listens on.
    fn free_port(&self, ip: IpAddr) -> Option<SocketAddr> {
        let mut addresses = self.ports().map(|port| SocketAddr::new(ip, port));
        addresses.find(|&address| self.listener(&Place::Ip(address)).is_none())
    }

    /// The ports that are given out, each once, in turn.
    fn ports(&self) -> impl Iterator<Item = u16> {
        (FIRST_PORT..=u16::MAX).map(|_| {
            let port = self.0.next_port.get();
            self.0.next_port.set(port.checked_add(1).unwrap_or(FIRST_PORT));
            port
        })
    }
}

/// A name as it is compared: capitals and the dot at the end make no difference.
fn bare(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Answers the connect of which `far` is the other end: accepts it, or refuses it where nobody listens or
/// the backlog is full. As with a kernel, the outcome is readiness.
fn answer(listener: Option<Rc<Shared>>, far: MemorySocket) {
    match listener {
        Some(listener) if listener.waiting.borrow().len() < listener.backlog => {
            far.accept();
            listener.waiting.borrow_mut().push_back(far);
            listener.signal();
        }
        _ => far.refuse(),
    }
}

impl MemoryListener {
    pub(crate) fn accept(&self) -> io::Result<(MemorySocket, Option<Address>)> {
        let socket = self.shared.waiting.borrow_mut().pop_front();
        match socket {
            Some(socket) => {
                let peer = socket.peer_address();
                Ok((socket, peer))
            }
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
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
        self.network.0.listeners.borrow_mut().remove(&self.shared.place);
        let waiting = std::mem::take(&mut *self.shared.waiting.borrow_mut());
        for socket in waiting {
            socket.reset();
        }
    }
}

impl Shared {
    fn signal(&self) {
        if let Some((key, signals)) = &*self.registration.borrow() {
            signals.borrow_mut().push_back((*key, Readiness::READ));
        }
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemoryListener").field(&self.shared.place).finish()
    }
}

//! A network in memory: addresses that are listened on and connected to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::pipe::{DEFAULT_CAPACITY, MemorySocket};
use crate::driver::Signals;
use crate::net::Address;
use crate::transport::{Key, Readiness};

/// The first port given out for port 0 and to clients: the range of Linux.
const FIRST_PORT: u16 = 32_768;

/// The beginning of 2025: equal programs see equal dates.
const FIRST_DATE: Duration = Duration::from_secs(1_735_689_600);

/// Who listens where, and what names mean.
#[derive(Clone, Default)]
pub(crate) struct Network(Rc<State>);

struct State {
    listeners: RefCell<BTreeMap<Place, Weak<Shared>>>,
    hosts: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    black_holes: RefCell<BTreeSet<SocketAddr>>,
    /// The far ends of connects that get no answer.
    unanswered: RefCell<Vec<MemorySocket>>,
    next_port: Cell<u16>,
    capacity: Cell<usize>,
    /// What time it is since the Unix epoch when a loop begins.
    date: Cell<Duration>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            listeners: RefCell::default(),
            hosts: RefCell::default(),
            black_holes: RefCell::default(),
            unanswered: RefCell::default(),
            next_port: Cell::new(FIRST_PORT),
            capacity: Cell::new(DEFAULT_CAPACITY),
            date: Cell::new(FIRST_DATE),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Ip(SocketAddr),
    Unix(PathBuf),
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

    #[cfg_attr(not(feature = "tls-core"), expect(dead_code, reason = "TLS looks at dates"))]
    pub(crate) fn date(&self) -> Duration {
        self.0.date.get()
    }

    /// Has loops begin `since_epoch`.
    pub(crate) fn set_date(&self, since_epoch: Duration) {
        self.0.date.set(since_epoch);
    }

    /// Has `host` resolve to `addresses`.
    pub(crate) fn add_host(&self, host: &str, addresses: Vec<IpAddr>) {
        self.0.hosts.borrow_mut().insert(host.to_owned(), addresses);
    }

    /// Has connects to `address` get no answer.
    pub(crate) fn add_black_hole(&self, address: SocketAddr) {
        self.0.black_holes.borrow_mut().insert(address);
    }

    /// `localhost` and the hosts that were added.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses = match self.0.hosts.borrow().get(host) {
            Some(addresses) => addresses.clone(),
            None if host == "localhost" => vec![Ipv4Addr::LOCALHOST.into()],
            None => Vec::new(),
        };
        if addresses.is_empty() {
            let text = format!("`{host}` is not known to the network in memory");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    pub(crate) fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<MemoryListener> {
        let address = if address.port() == 0 {
            self.free_port(address.ip(), |port| SocketAddr::new(address.ip(), port))
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

    pub(super) fn connect(
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
                self.free_port(ip, |port| SocketAddr::new(ip, port))
            }
        };
        let addresses = [Some(Address::Ip(local)), Some(Address::Ip(remote))];
        if self.0.black_holes.borrow().contains(&remote) {
            return Ok(self.connect_to_nobody(addresses));
        }
        let any = SocketAddr::new(
            if remote.is_ipv6() {
                IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
            } else {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            },
            remote.port(),
        );
        let listener = self.listener(&Place::Ip(remote)).or_else(|| self.listener(&Place::Ip(any)));
        Ok(self.connect_to(listener, addresses))
    }

    pub(super) fn connect_unix(&self, path: &Path) -> io::Result<MemorySocket> {
        let listener = self
            .listener(&Place::Unix(path.to_owned()))
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let addresses = [None, Some(Place::Unix(path.to_owned()).address())];
        Ok(self.connect_to(Some(listener), addresses))
    }

    /// Connects, or begins to and is refused: as a kernel does, the outcome is readiness.
    fn connect_to(
        &self,
        listener: Option<Rc<Shared>>,
        addresses: [Option<Address>; 2],
    ) -> MemorySocket {
        let (near, far) = MemorySocket::connecting(self.0.capacity.get(), addresses);
        match listener {
            Some(listener) if listener.waiting.borrow().len() < listener.backlog => {
                far.connected();
                listener.waiting.borrow_mut().push_back(far);
                listener.signal();
            }
            _ => far.refused(),
        }
        near
    }

    /// Begins to connect, and hears nothing: no answer, no refusal.
    fn connect_to_nobody(&self, addresses: [Option<Address>; 2]) -> MemorySocket {
        let (near, far) = MemorySocket::connecting(self.0.capacity.get(), addresses);
        let mut unanswered = self.0.unanswered.borrow_mut();
        unanswered.retain(|far| !far.is_deserted());
        unanswered.push(far);
        near
    }

    fn listener(&self, place: &Place) -> Option<Rc<Shared>> {
        self.0.listeners.borrow().get(place)?.upgrade()
    }

    /// A port nobody listens on; they are given out in turn.
    fn free_port(&self, ip: IpAddr, place: impl Fn(u16) -> SocketAddr) -> SocketAddr {
        let _ = ip;
        loop {
            let port = self.0.next_port.get();
            self.0.next_port.set(port.checked_add(1).unwrap_or(FIRST_PORT));
            if self.listener(&Place::Ip(place(port))).is_none() {
                return place(port);
            }
        }
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
    /// Whoever waits to be accepted is refused.
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

impl Place {
    fn address(&self) -> Address {
        match self {
            Self::Ip(address) => Address::Ip(*address),
            Self::Unix(path) => Address::Unix(crate::net::UnixAddress::from_path(path)),
        }
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemoryListener").field(&self.shared.place).finish()
    }
}

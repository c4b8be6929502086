//! A network in memory: its clock, its links, its machines, and what is where.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::clock::Clock;
use super::datagram_table::DatagramTable;
use super::links::Links;
use super::listener::Listeners;
use super::loops::Loops;
use super::machine::Machines;
use super::order::Order;
use super::pipe::{DEFAULT_CAPACITY, Marks, MemorySocket};

/// The first port given out for port 0 and to clients: the range of Linux.
const FIRST_PORT: u16 = 32_768;

/// The beginning of 2025: equal programs see equal dates.
const FIRST_DATE: Duration = Duration::from_secs(1_735_689_600);
/// What a datagram socket holds that nobody has received: what Linux grants by default.
pub(super) const DEFAULT_DATAGRAM_CAPACITY: usize = 208 * 1024;

/// What the loops on it share: time, links, machines, and what names mean.
#[derive(Clone, Default)]
pub(crate) struct Network(pub(super) Rc<State>);

pub(super) struct State {
    pub(super) clock: Rc<Clock>,
    pub(super) links: Rc<Links>,
    pub(super) order: Rc<Order>,
    pub(super) loops: Loops,
    pub(super) machines: Machines,
    pub(super) listeners: Listeners,
    pub(super) datagrams: DatagramTable,
    hosts: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    black_holes: RefCell<BTreeSet<SocketAddr>>,
    /// The far ends of connects that get no answer.
    pub(super) unanswered: RefCell<Vec<MemorySocket>>,
    next_port: Cell<u16>,
    pub(super) capacity: Cell<usize>,
    /// Where urgent data is, if there is any.
    urgent: Cell<Option<Marks>>,
    /// What time it was since the Unix epoch when the clock began.
    date: Cell<Duration>,
    pub(super) datagram_capacity: Cell<usize>,
}

impl Default for State {
    fn default() -> Self {
        let (clock, order) = (Rc::new(Clock::new()), Rc::new(Order::default()));
        Self {
            links: Links::new(&clock, &order),
            clock,
            order,
            loops: Loops::default(),
            machines: Machines::default(),
            listeners: Listeners::default(),
            datagrams: DatagramTable::default(),
            hosts: RefCell::default(),
            black_holes: RefCell::default(),
            unanswered: RefCell::default(),
            next_port: Cell::new(FIRST_PORT),
            capacity: Cell::new(DEFAULT_CAPACITY),
            urgent: Cell::new(None),
            date: Cell::new(FIRST_DATE),
            datagram_capacity: Cell::new(DEFAULT_DATAGRAM_CAPACITY),
        }
    }
}

impl Network {
    /// Lets `policy` decide what becomes of what passes over links.
    #[cfg(feature = "sim")]
    pub(crate) fn set_policy(&self, policy: Rc<dyn super::LinkPolicy>) {
        self.0.links.set_policy(Some(policy));
    }

    /// Lets `tap` see what is sent from now on.
    #[cfg(feature = "sim")]
    pub(crate) fn set_tap(&self, tap: Rc<dyn super::Tap>) {
        self.0.links.set_tap(tap);
    }

    /// How many turns loops may take in one instant before that is an error.
    #[cfg(feature = "sim")]
    pub(crate) fn set_patience(&self, turns: u64) {
        self.0.clock.set_patience(turns);
    }

    /// Lets what happens at one instant happen in the order that this chooses.
    #[cfg(feature = "sim")]
    pub(crate) fn set_order(&self, choose: Option<super::Choose>) {
        self.0.order.set(choose);
    }

    /// The policy would decide otherwise now.
    #[cfg(feature = "sim")]
    pub(crate) fn changed(&self) {
        self.0.links.changed();
    }

    /// Whether anything that was sent has not arrived, and may yet.
    #[cfg(feature = "sim")]
    pub(crate) fn is_anything_on_its_way(&self) -> bool {
        self.0.links.is_anything_on_its_way()
    }

    /// Virtual time since it was made.
    #[cfg(feature = "sim")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// As [`elapsed`](Self::elapsed), for what the network keeps itself.
    #[cfg(feature = "sim")]
    pub(crate) fn stopwatch(&self) -> impl Fn() -> Duration + use<> {
        let clock = Rc::clone(&self.0.clock);
        move || clock.elapsed()
    }

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

    /// The time since the Unix epoch.
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
            let text = format!("no host of this network is called `{}`", host.escape_debug());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// What a datagram socket holds before what comes in is dropped, or its sender has to wait.
    pub(crate) fn set_datagram_capacity(&self, capacity: usize) {
        self.0.datagram_capacity.set(capacity.max(1));
    }

    pub(super) fn is_black_hole(&self, address: SocketAddr) -> bool {
        self.0.black_holes.borrow().contains(&address)
    }

    /// The ports that are given out, each once, in turn.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
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

//! The ports of a simulated machine: which its kernel gives out, and between which addresses its connections are, also for
//! a while after their end. The rules are those of Linux.
//!
//! The loops without machines stand for any number of machines, and have none of this.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::kernel::KernelPolicy;
use super::pipe::KnownSocket;

/// How long nobody else has the addresses of a connection that was ended here first (`TCP_TIMEWAIT_LEN`), and how long
/// one that was closed waits for the end of the other side (`tcp_fin_timeout`).
const WAIT: Duration = Duration::from_secs(60);
/// After which time within a machine a connection has them again (`tcp_tw_reuse`).
const LOOPBACK_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Ports {
    clock: Rc<Clock>,
    policy: Rc<dyn KernelPolicy>,
    streams: Cell<u16>,
    datagrams: Cell<u16>,
    uses: RefCell<BTreeMap<Addresses, Use>>,
    /// Those that end by themselves, the next first.
    ending: RefCell<VecDeque<(Instant, Addresses, u64)>>,
    next_number: Cell<u64>,
}

/// The addresses of a connection of the machine: the own port first, by which they are looked for.
type Addresses = (u16, IpAddr, SocketAddr);

struct Use {
    number: u64,
    kind: PortKind,
    state: State,
}

/// How a connection has come to its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortKind {
    /// The kernel chose it: who chooses one for another remote address may choose it, too.
    pub(super) is_chosen: bool,
    /// `SO_REUSEADDR` is set.
    pub(super) is_reusable: bool,
}

enum State {
    Open(KnownSocket),
    /// It is over: `TIME_WAIT`, or a socket that was closed waits for the end of the other side.
    Ended {
        since: Instant,
    },
}

/// A connection has its addresses.
pub(super) struct PortUse {
    ports: Rc<Ports>,
    addresses: Addresses,
    number: u64,
}

impl Ports {
    #[cfg(feature = "sim")]
    pub(super) fn new(clock: Rc<Clock>, policy: Rc<dyn KernelPolicy>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            policy,
            streams: Cell::new(0),
            datagrams: Cell::new(0),
            uses: RefCell::default(),
            ending: RefCell::default(),
            next_number: Cell::new(0),
        })
    }

    /// The ports that are given out to streams, each once, in turn.
    pub(super) fn for_streams(&self) -> impl Iterator<Item = u16> {
        in_turn(&self.streams, self.policy.ephemeral_ports())
    }

    /// As [`for_streams`](Self::for_streams), to datagram sockets.
    pub(super) fn for_datagrams(&self) -> impl Iterator<Item = u16> {
        in_turn(&self.datagrams, self.policy.ephemeral_ports())
    }

    /// Whether the kernel may choose this local address for a connection to `remote`.
    pub(super) fn may_choose(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.forget_what_is_over();
        let uses = self.uses.borrow();
        let key = addresses(local, remote);
        let is_bound = uses
            .range(at(local.port()))
            .any(|((_, ip, _), other)| *ip == local.ip() && !other.kind.is_chosen);
        !is_bound
            && uses.get(&key).is_none_or(|other| match other.state {
                State::Open(_) => false,
                State::Ended { since } => {
                    let waits = self.clock.now().saturating_duration_since(since);
                    local.ip().is_loopback() && waits >= LOOPBACK_WAIT
                }
            })
    }

    /// Binds a socket that is to connect to `remote`.
    ///
    /// # Errors
    /// The port is another's, or there is a connection between these addresses.
    pub(super) fn bind_for(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
        self.check_bind(local, true)?;
        match self.uses.borrow().get(&addresses(local, remote)) {
            Some(Use { state: State::Open(_), .. }) => Err(io::ErrorKind::AddrNotAvailable.into()),
            // Its timestamps tell the two apart.
            Some(Use { state: State::Ended { .. }, .. }) | None => Ok(()),
        }
    }

    /// Whether a socket can be bound to this address, as far as connections are concerned.
    ///
    /// # Errors
    /// A connection has the port, and not both allow that.
    pub(super) fn check_bind(&self, local: SocketAddr, is_reusable: bool) -> io::Result<()> {
        self.forget_what_is_over();
        let any = local.ip().is_unspecified();
        let overlaps = |ip: &IpAddr| *ip == local.ip() || (any && ip.is_ipv4() == local.is_ipv4());
        let uses = self.uses.borrow();
        let mut others = uses.range(at(local.port()));
        let is_taken = others
            .any(|((_, ip, _), other)| overlaps(ip) && !(is_reusable && other.kind.is_reusable));
        if is_taken { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(()) }
    }

    /// Whether no connection has the port at this address.
    pub(super) fn is_free(&self, local: SocketAddr) -> bool {
        self.check_bind(local, false).is_ok()
    }

    /// A connection has these addresses from now on.
    pub(super) fn begin(
        self: &Rc<Self>,
        local: SocketAddr,
        remote: SocketAddr,
        kind: PortKind,
        socket: KnownSocket,
    ) -> PortUse {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        let addresses = addresses(local, remote);
        let state = State::Open(socket);
        self.uses.borrow_mut().insert(addresses, Use { number, kind, state });
        PortUse { ports: Rc::clone(self), addresses, number }
    }

    /// Which socket is between these addresses.
    pub(super) fn socket_between(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<KnownSocket> {
        match self.uses.borrow().get(&addresses(local, remote)) {
            Some(Use { state: State::Open(socket), .. }) => Some(socket.clone()),
            _ => None,
        }
    }

    /// The machine has lost its power.
    #[cfg(feature = "sim")]
    pub(super) fn forget(&self) {
        for known in self.uses.take().into_values() {
            if let State::Open(socket) = known.state {
                socket.is_forgotten();
            }
        }
        self.ending.borrow_mut().clear();
    }

    fn forget_what_is_over(&self) {
        let now = self.clock.now();
        let mut ending = self.ending.borrow_mut();
        while let Some((at, addresses, number)) = ending.front().copied()
            && at <= now
        {
            ending.pop_front();
            let mut uses = self.uses.borrow_mut();
            let is_it = |other: &Use| {
                let is_over = matches!(other.state, State::Ended { since } if since + WAIT <= now);
                other.number == number && is_over
            };
            if uses.get(&addresses).is_some_and(is_it) {
                uses.remove(&addresses);
            }
        }
    }
}

impl PortUse {
    /// It is over, and others can have the addresses at once.
    pub(super) fn free(self) {
        let mut uses = self.ports.uses.borrow_mut();
        if uses.get(&self.addresses).is_some_and(|known| known.number == self.number) {
            uses.remove(&self.addresses);
        }
    }

    /// It is over, and others can have the addresses after a while.
    pub(super) fn end(&self) {
        self.ports.forget_what_is_over();
        let now = self.ports.clock.now();
        let mut uses = self.ports.uses.borrow_mut();
        let own = uses.get_mut(&self.addresses).filter(|known| known.number == self.number);
        if let Some(own) = own {
            own.state = State::Ended { since: now };
            let entry = (now + WAIT, self.addresses, self.number);
            self.ports.ending.borrow_mut().push_back(entry);
        }
    }
}

fn addresses(local: SocketAddr, remote: SocketAddr) -> Addresses {
    (local.port(), local.ip(), remote)
}

/// All connections with this local port.
fn at(port: u16) -> RangeInclusive<Addresses> {
    let first = IpAddr::from([0; 4]);
    let last = IpAddr::from([u8::MAX; 16]);
    (port, first, SocketAddr::new(first, 0))..=(port, last, SocketAddr::new(last, u16::MAX))
}

/// Each of the range once, from where it was left the last time.
fn in_turn(next: &Cell<u16>, range: RangeInclusive<u16>) -> impl Iterator<Item = u16> {
    let first = (*range.start()).max(1);
    let range = first..=*range.end();
    range.clone().map(move |_| {
        let port = next.get();
        let port = if range.contains(&port) { port } else { first };
        next.set(port.wrapping_add(1));
        port
    })
}

//! The links of a network: the one place where something can happen to what passes over them.
//!
//! Whatever a socket sends to another (bytes, an end, a reset, a datagram, the steps of connecting)
//! passes here as a [`Cargo`] before it arrives. Without a [`LinkPolicy`] it arrives at once. A policy can
//! delay, split, lose or cut it. What is delayed waits in the agenda until its time, and the network's
//! clock stops there.
//!
//! Unix sockets and [`pair`](super::pair)s stay within one machine: they have no links.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::address::Address;
use crate::error::Error;
use crate::fence;

/// What becomes of what passes over the links of a network.
///
/// It is asked in the middle of what sockets do: it must not use the loops of the network. If it panics,
/// what it was asked about arrives at once, and the run of the loop ends with the panic's text as an error.
pub(crate) trait LinkPolicy {
    /// What becomes of `cargo`.
    fn fate(&self, link: Link<'_>, cargo: Cargo) -> Fate;

    /// How many of `len` bytes of a stream, at least one, travel together. The rest follows by itself, with
    /// a fate of its own, and a read ends between the two.
    fn split(&self, link: Link<'_>, len: usize) -> usize {
        let _ = link;
        len
    }
}

/// From where to where; `None` is a socket without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) from: Option<&'a Address>,
    pub(crate) to: Option<&'a Address>,
}

/// What passes over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// A client wants to connect.
    Connect,
    /// A connect, or a datagram to where nobody is, is answered.
    Answer,
    /// So many bytes of a stream.
    Bytes(usize),
    /// The end of one direction of a stream.
    End,
    /// The end of a connection.
    Reset,
    /// A reader has made room, and the writer waits for it.
    Room,
    /// A datagram of so many bytes.
    Datagram(usize),
}

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives after this time, and on a stream not before what was sent before it.
    Arrives(Duration),
    /// A datagram is gone. A stream would send it again, so there it is held, with all that follows it, until
    /// the links [change](Links::changed) and its fate is asked for once more.
    Lost,
}

impl Fate {
    pub(crate) const AT_ONCE: Self = Self::Arrives(Duration::ZERO);
}

type Arrival = Box<dyn FnOnce()>;

/// The links of a network, and what is on its way over them.
pub(super) struct Links {
    clock: Rc<Clock>,
    /// `None`: everything arrives at once.
    policy: RefCell<Option<Rc<dyn LinkPolicy>>>,
    /// The policy has panicked, and nobody was told yet.
    failure: Cell<Option<Error>>,
    /// What is on its way, by when it arrives. The number keeps the order of sending.
    agenda: RefCell<BTreeMap<(Instant, u64), Arrival>>,
    next_number: Cell<u64>,
    /// What waits for the links to change, in the order of sending.
    held: RefCell<VecDeque<Held>>,
}

struct Held {
    route: Rc<Route>,
    cargo: Cargo,
    arrival: Arrival,
}

/// One direction of a connection, in which what passes arrives in the order of sending.
pub(super) struct Route {
    /// The closures on their way hold connections, which hold their routes.
    links: Weak<Links>,
    from: Option<Address>,
    to: Option<Address>,
    last_arrival: Cell<Option<Instant>>,
    /// How much of it is in the agenda.
    on_its_way: Cell<usize>,
    /// How much of it is held.
    held: Cell<usize>,
}

impl Links {
    pub(super) fn new(clock: &Rc<Clock>) -> Rc<Self> {
        Rc::new(Self {
            clock: Rc::clone(clock),
            policy: RefCell::default(),
            failure: Cell::new(None),
            agenda: RefCell::default(),
            next_number: Cell::new(0),
            held: RefCell::default(),
        })
    }

    /// Lets `policy` decide on what is sent from now on, and on what is held.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the policies of a simulation"))]
    pub(super) fn set_policy(&self, policy: Option<Rc<dyn LinkPolicy>>) {
        let former = self.policy.replace(policy);
        self.changed();
        drop(former);
    }

    /// What the policy decides; `otherwise` without one.
    fn ask<R>(&self, otherwise: R, question: impl FnOnce(&dyn LinkPolicy) -> R) -> R {
        let policy = self.policy.borrow().clone();
        let Some(policy) = policy else { return otherwise };
        fence::run(|| question(&*policy)).unwrap_or_else(|panic| {
            let error = panic.into_error().in_context("the policy of the network's links failed");
            self.failure.set(Some(error));
            otherwise
        })
    }

    /// What the policy has failed with since this was asked last.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.take()
    }

    /// The policy would decide otherwise now: asks it again about what is held.
    pub(super) fn changed(&self) {
        let held = self.held.take();
        held.iter().for_each(|held| held.route.held.set(0));
        for Held { route, cargo, arrival } in held {
            route.send(cargo, arrival);
        }
    }

    /// Both directions of a connection between these addresses, as sides receive.
    pub(super) fn routes(self: &Rc<Self>, addresses: [Option<Address>; 2]) -> [Rc<Route>; 2] {
        let [first, second] = addresses;
        let route = |from: &Option<Address>, to: &Option<Address>| {
            Rc::new(Route {
                links: Rc::downgrade(self),
                from: from.clone(),
                to: to.clone(),
                last_arrival: Cell::new(None),
                on_its_way: Cell::new(0),
                held: Cell::new(0),
            })
        };
        [route(&second, &first), route(&first, &second)]
    }

    /// Sends something that need not keep an order, and is gone when it is lost: `arrive` is called, now or
    /// later, or dropped.
    pub(super) fn send(&self, link: Link<'_>, cargo: Cargo, arrive: impl FnOnce() + 'static) {
        match self.ask(Fate::AT_ONCE, |policy| policy.fate(link, cargo)) {
            Fate::Arrives(after) if after.is_zero() => arrive(),
            Fate::Arrives(after) => self.schedule(self.clock.after(after), Box::new(arrive)),
            Fate::Lost => {}
        }
    }

    fn schedule(&self, at: Instant, arrival: Arrival) {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        self.agenda.borrow_mut().insert((at, number), arrival);
    }

    /// When the next of what is on its way arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.agenda.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Delivers everything whose time has come. Returns whether there was anything.
    pub(super) fn deliver_due(&self) -> bool {
        let mut any = false;
        while self.next_arrival().is_some_and(|at| at <= self.clock.now()) {
            let next = self.agenda.borrow_mut().pop_first();
            if let Some((_, arrival)) = next {
                arrival();
                any = true;
            }
        }
        any
    }
}

impl Route {
    /// Sends something behind what was sent before: `arrive` is called, now or later.
    pub(super) fn send(self: &Rc<Self>, cargo: Cargo, arrive: impl FnOnce() + 'static) {
        let Some(links) = self.links.upgrade() else { return arrive() };
        let fate = if self.held.get() > 0 {
            Fate::Lost
        } else {
            links.ask(Fate::AT_ONCE, |policy| policy.fate(self.link(), cargo))
        };
        match fate {
            Fate::Arrives(after) if after.is_zero() && self.on_its_way.get() == 0 => arrive(),
            Fate::Arrives(after) => self.schedule(&links, after, arrive),
            Fate::Lost => {
                self.held.set(self.held.get() + 1);
                let held = Held { route: Rc::clone(self), cargo, arrival: Box::new(arrive) };
                links.held.borrow_mut().push_back(held);
            }
        }
    }

    fn schedule(self: &Rc<Self>, links: &Links, after: Duration, arrive: impl FnOnce() + 'static) {
        let earliest = links.clock.after(after);
        let at = self.last_arrival.get().map_or(earliest, |last| last.max(earliest));
        self.last_arrival.set(Some(at));
        self.on_its_way.set(self.on_its_way.get() + 1);
        let route = Rc::clone(self);
        let arrival = move || {
            route.on_its_way.set(route.on_its_way.get() - 1);
            arrive();
        };
        links.schedule(at, Box::new(arrival));
    }

    /// How many of `len` bytes travel together.
    pub(super) fn split(&self, len: usize) -> usize {
        let Some(links) = self.links.upgrade() else { return len };
        links.ask(len, |policy| policy.split(self.link(), len)).clamp(1, len)
    }

    fn link(&self) -> Link<'_> {
        Link { from: self.from.as_ref(), to: self.to.as_ref() }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Links")
            .field("on_their_way", &self.agenda.borrow().len())
            .field("held", &self.held.borrow().len())
            .finish_non_exhaustive()
    }
}

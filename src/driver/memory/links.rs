//! The links of a network: the one place where something can happen to what passes over them.
//!
//! Whatever a socket sends to another (bytes, an end, a reset, a datagram, the steps of connecting)
//! passes here as a [`Packet`] before it arrives. Without a [`LinkPolicy`] it arrives at once. A policy can
//! delay, split, lose or cut it. What is delayed is an event that waits until its time, and the network's
//! clock stops there.
//!
//! Unix sockets and [`pair`](super::pair)s stay within one machine: they have no links.

use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "sim")]
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use super::agenda::Agenda;
use super::clock::{Clock, Moment};
use super::order::Order;
use super::packet::Packet;
use super::pipe::BytesArrival;
use super::route::Route;
use crate::address::Address;
use crate::error::Error;
use crate::fence;

/// What becomes of what passes over the links of a network.
///
/// It is asked in the middle of what sockets do: it must not use the loops of the network. If it panics,
/// what it was asked about arrives at once, and the run of the loop ends with the panic's text as an error.
pub(crate) trait LinkPolicy {
    /// What becomes of `packet`.
    fn fate(&self, link: Link<'_>, packet: Packet) -> Fate;

    /// How many of `len` bytes of a stream, at least one, travel together. The rest follows by itself, with
    /// a fate of its own, and a read ends between the two.
    fn split(&self, link: Link<'_>, len: usize) -> usize {
        let _ = link;
        len
    }

    /// Whether a datagram arrives twice.
    fn is_doubled(&self, link: Link<'_>) -> bool {
        let _ = link;
        false
    }

    /// When something of a stream that was lost `losses` times in a row is sent again.
    fn retry(&self, link: Link<'_>, packet: Packet, losses: u32) -> Retry {
        let _ = (link, packet, losses);
        Retry::WhenChanged
    }

    /// In which life of its sender something is sent, or kept to be sent again: a machine that crashes and is started
    /// again has another, and knows nothing of what it had sent. `None`: it is off, and sends nothing.
    fn life(&self, link: Link<'_>) -> Option<u64> {
        let _ = link;
        Some(0)
    }

    /// Whether what was on its way arrives after all, now that it is there: else it is lost.
    fn arrives(&self, link: Link<'_>, packet: Packet) -> bool {
        let _ = (link, packet);
        true
    }
}

/// Sees what sockets write, and how much more they take: what a capture needs beside what passes.
#[cfg(feature = "sim")]
pub(crate) trait Tap {
    /// `count` bytes of `slices` are written to a stream. They pass later, in order, as [`Packet::Bytes`].
    fn wrote(&self, link: Link<'_>, slices: &[IoSlice<'_>], count: usize);

    /// The receiver of a stream takes so many bytes more.
    fn has_room(&self, link: Link<'_>, room: usize);

    /// What the next datagram over this link is.
    fn datagram(&self, link: Link<'_>, data: &[u8]);
}

/// From where to where; `None` is a socket without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) from: Option<&'a Address>,
    pub(crate) to: Option<&'a Address>,
}

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "sim")),
    expect(dead_code, reason = "only a simulation's links lose anything")
)]
pub(crate) enum Fate {
    /// It arrives after this time, and on a stream not before what was sent before it.
    Arrives(Duration),
    /// A datagram is gone. A stream sends it again, so there it is held, with all that follows it, until its
    /// [`retry`](LinkPolicy::retry), when its fate is asked for once more.
    Lost,
    /// A datagram waits until the links [change](Links::changed), when its fate is asked for once more. On a stream it is
    /// as if it was lost.
    #[cfg(feature = "sim")]
    Held,
}

/// When what a stream has lost is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "sim"),
    expect(dead_code, reason = "only a simulation's links send anything again")
)]
pub(crate) enum Retry {
    /// When the links [change](Links::changed).
    WhenChanged,
    /// After this time.
    After(Duration),
    /// Never: the connection has failed, but for a reset, of which nobody is told.
    Never,
}

impl Fate {
    pub(crate) const AT_ONCE: Self = Self::Arrives(Duration::ZERO);
}

/// What happens when something arrives.
pub(super) enum Arrival {
    /// What arrives most often takes no memory of its own.
    Bytes(BytesArrival),
    Call(Box<dyn FnOnce()>),
}

impl Arrival {
    pub(super) fn happen(self) {
        match self {
            Self::Bytes(bytes) => bytes.arrive(),
            Self::Call(call) => call(),
        }
    }
}

/// The links of a network, and what is on its way over them.
pub(super) struct Links {
    clock: Rc<Clock>,
    /// `None`: everything arrives at once.
    policy: RefCell<Option<Rc<dyn LinkPolicy>>>,
    /// The policy has panicked, and nobody was told yet.
    failure: Cell<Option<Error>>,
    #[cfg(feature = "sim")]
    tap: RefCell<Option<Rc<dyn Tap>>>,
    order: Rc<Order>,
    /// What has the same rank at the same moment keeps the order of sending.
    events: RefCell<Agenda<Event>>,
    /// How many of these are no more than timers.
    timers: Cell<usize>,
    /// Which routes wait for the links to change.
    waiting: RefCell<Vec<Rc<Route>>>,
    /// What belongs to no connection, and waits for the same.
    #[cfg(feature = "sim")]
    held: RefCell<Vec<Held>>,
}

#[cfg(feature = "sim")]
struct Held {
    from: Option<Address>,
    to: Option<Address>,
    packet: Packet,
    arrival: Box<dyn FnOnce()>,
}

/// Something that happens at a time of its own.
pub(super) enum Event {
    /// Something that has no order to keep arrives.
    Arrival(Box<dyn FnOnce()>),
    /// Something arrives by a route.
    ByRoute(Rc<Route>, Packet, Arrival),
    /// A route sends again what was lost.
    Retry(Rc<Route>),
    /// A kernel looks after something.
    Timer(Box<dyn FnOnce()>),
}

impl Links {
    pub(super) fn new(clock: &Rc<Clock>, order: &Rc<Order>) -> Rc<Self> {
        Rc::new(Self {
            clock: Rc::clone(clock),
            order: Rc::clone(order),
            policy: RefCell::default(),
            failure: Cell::new(None),
            #[cfg(feature = "sim")]
            tap: RefCell::default(),
            events: RefCell::default(),
            timers: Cell::new(0),
            waiting: RefCell::default(),
            #[cfg(feature = "sim")]
            held: RefCell::default(),
        })
    }

    /// Lets `policy` decide on what is sent from now on, and on what is held.
    #[cfg_attr(not(any(test, feature = "sim")), expect(dead_code, reason = "a simulation has one"))]
    pub(super) fn set_policy(&self, policy: Option<Rc<dyn LinkPolicy>>) {
        let former = self.policy.replace(policy);
        self.changed();
        drop(former);
    }

    /// Lets `tap` see what is sent from now on.
    #[cfg(feature = "sim")]
    pub(super) fn set_tap(&self, tap: Rc<dyn Tap>) {
        *self.tap.borrow_mut() = Some(tap);
    }

    #[cfg(feature = "sim")]
    pub(super) fn tell_tap(&self, tell: impl FnOnce(&dyn Tap)) {
        if let Some(tap) = &*self.tap.borrow() {
            tell(&**tap);
        }
    }

    /// What the policy decides; `otherwise` without one.
    pub(super) fn ask<R>(&self, otherwise: R, question: impl FnOnce(&dyn LinkPolicy) -> R) -> R {
        let policy = self.policy.borrow();
        let Some(policy) = &*policy else { return otherwise };
        fence::run(|| question(&**policy)).unwrap_or_else(|panic| {
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
        for route in self.waiting.take() {
            route.retry(self);
        }
        #[cfg(feature = "sim")]
        for Held { from, to, packet, arrival } in self.held.take() {
            self.send(Link { from: from.as_ref(), to: to.as_ref() }, packet, arrival);
        }
    }

    /// A route tries again when the links have changed.
    pub(super) fn wait_for_change(&self, route: &Rc<Route>) {
        self.waiting.borrow_mut().push(Rc::clone(route));
    }

    /// Both directions of a connection between these addresses, as sides receive.
    pub(super) fn routes(self: &Rc<Self>, addresses: [Option<Address>; 2]) -> [Rc<Route>; 2] {
        let [first, second] = addresses;
        let route = |from: &Option<Address>, to: &Option<Address>| {
            Route::new(Rc::downgrade(self), from.clone(), to.clone())
        };
        [route(&second, &first), route(&first, &second)]
    }

    /// Sends something that need not keep an order, and is gone when it is lost: `arrive` is called, now or
    /// later, or dropped.
    pub(super) fn send(&self, link: Link<'_>, packet: Packet, arrive: impl FnOnce() + 'static) {
        match self.ask(Fate::AT_ONCE, |policy| policy.fate(link, packet)) {
            Fate::Arrives(after) if after.is_zero() => arrive(),
            Fate::Arrives(after) => {
                self.schedule(self.clock.after(after), Event::Arrival(Box::new(arrive)));
            }
            Fate::Lost => {}
            #[cfg(feature = "sim")]
            Fate::Held => {
                let (from, to) = (link.from.cloned(), link.to.cloned());
                let arrival = Box::new(arrive);
                self.held.borrow_mut().push(Held { from, to, packet, arrival });
            }
        }
    }

    /// Does something after a time, of a kernel's own accord: nothing is on its way because of it.
    pub(super) fn set_timer(&self, time: Duration, act: impl FnOnce() + 'static) {
        self.timers.set(self.timers.get() + 1);
        self.schedule(self.clock.after(time), Event::Timer(Box::new(act)));
    }

    pub(super) fn schedule(&self, at: Moment, event: Event) {
        self.schedule_ranked(at, self.rank(), event);
    }

    /// As [`schedule`](Self::schedule), behind what was scheduled with the same rank for the same instant.
    pub(super) fn schedule_ranked(&self, at: Moment, rank: u32, event: Event) {
        self.events.borrow_mut().insert(at, rank, event);
    }

    /// By what something is ordered among what happens at the same instant.
    pub(super) fn rank(&self) -> u32 {
        self.order.rank()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether anything is on its way, or waits to be.
    #[cfg(feature = "sim")]
    pub(super) fn is_anything_on_its_way(&self) -> bool {
        let is_held = !self.waiting.borrow().is_empty() || !self.held.borrow().is_empty();
        is_held || self.events.borrow().len() > self.timers.get()
    }

    /// When the next of what is on its way arrives.
    pub(super) fn next_arrival(&self) -> Option<Moment> {
        self.events.borrow().first()
    }

    /// Delivers everything whose time has come, or less, where the order gives others their turn between. Returns
    /// whether there was anything.
    pub(super) fn deliver_due(&self) -> bool {
        let mut any = false;
        while let Some(next) = self.take_due() {
            match next {
                Event::Arrival(arrive) => arrive(),
                Event::Timer(act) => {
                    self.timers.set(self.timers.get() - 1);
                    act();
                }
                Event::ByRoute(route, packet, arrival) => route.arrive(self, packet, arrival),
                Event::Retry(route) => route.retry(self),
            }
            any = true;
            if self.order.gives_way() {
                break;
            }
        }
        any
    }

    fn take_due(&self) -> Option<Event> {
        self.events.borrow_mut().take_due(self.clock.moment())
    }
}

impl Drop for Links {
    /// What routes hold holds connections, which hold their routes: neither would ever be freed.
    fn drop(&mut self) {
        let sent_again = self.events.take().into_values().filter_map(|event| match event {
            Event::Retry(route) => Some(route),
            Event::Arrival(_) | Event::Timer(_) | Event::ByRoute(..) => None,
        });
        for route in self.waiting.take().into_iter().chain(sent_again) {
            route.forget();
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Links")
            .field("events", &self.events.borrow().len())
            .field("waiting", &self.waiting.borrow().len())
            .finish_non_exhaustive()
    }
}

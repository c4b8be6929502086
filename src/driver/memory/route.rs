//! One direction of a connection, in which what passes arrives in the order of sending: what is lost is sent again.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

#[cfg(feature = "sim")]
use super::links::Tap;
use super::links::{Arrival, Cargo, Fate, Happening, Link, Links, Retry};
use crate::address::Address;

pub(super) struct Route {
    /// The closures on their way hold connections, which hold their routes.
    links: Weak<Links>,
    from: Option<Address>,
    to: Option<Address>,
    /// When the last of it arrives, and its rank: what arrives together keeps its order.
    last_arrival: Cell<Option<(Instant, u32)>>,
    /// How much of it is in the agenda.
    on_its_way: Cell<usize>,
    /// How many of these, the next, are behind something that was lost on its way: they are held, too.
    behind: Cell<usize>,
    /// What waits: the first was lost, the others are behind it.
    held: RefCell<VecDeque<(Cargo, Arrival)>>,
    /// How many of these were on their way before what was sent since.
    returned: Cell<usize>,
    /// How often in a row the first of them was lost.
    losses: Cell<u32>,
    /// Told when something is not sent again any more: the connection has failed.
    on_failure: OnceCell<Box<dyn Fn(Cargo)>>,
}

impl Route {
    pub(super) fn new(links: Weak<Links>, from: Option<Address>, to: Option<Address>) -> Rc<Self> {
        Rc::new(Self {
            links,
            from,
            to,
            last_arrival: Cell::new(None),
            on_its_way: Cell::new(0),
            behind: Cell::new(0),
            held: RefCell::default(),
            returned: Cell::new(0),
            losses: Cell::new(0),
            on_failure: OnceCell::new(),
        })
    }

    /// What is called when something is not sent again any more. The first call counts.
    pub(super) fn on_failure(&self, call: impl Fn(Cargo) + 'static) {
        self.on_failure.get_or_init(|| Box::new(call));
    }

    /// Sends something behind what was sent before: `arrive` is called, now or later.
    pub(super) fn send(self: &Rc<Self>, cargo: Cargo, arrive: impl FnOnce() + 'static) {
        let Some(links) = self.links.upgrade() else { return arrive() };
        if cargo == Cargo::Reset && self.losses.get() > 0 {
            // Whoever resets a connection sends nothing again that was lost.
            drop(self.held.take());
            self.returned.set(0);
            self.losses.set(0);
        }
        if !self.held.borrow().is_empty() {
            self.held.borrow_mut().push_back((cargo, Box::new(arrive)));
            return;
        }
        match links.ask(Fate::AT_ONCE, |policy| policy.fate(self.link(), cargo)) {
            Fate::Arrives(after) if after.is_zero() && self.on_its_way.get() == 0 => arrive(),
            Fate::Arrives(after) => self.schedule(&links, after, cargo, Box::new(arrive)),
            // Lost or held.
            _ => {
                self.held.borrow_mut().push_back((cargo, Box::new(arrive)));
                self.lost(&links);
            }
        }
    }

    fn schedule(self: &Rc<Self>, links: &Links, after: Duration, cargo: Cargo, arrival: Arrival) {
        let earliest = links.clock().after(after);
        let (at, rank) = match self.last_arrival.get() {
            Some((last, rank)) if last >= earliest => (last, rank),
            _ => (earliest, links.rank()),
        };
        self.last_arrival.set(Some((at, rank)));
        self.on_its_way.set(self.on_its_way.get() + 1);
        links.schedule_ranked(at, rank, Happening::ByRoute(Rc::clone(self), cargo, arrival));
    }

    /// Something is there, and arrives, if nothing has happened to it on its way or to what was before it.
    pub(super) fn arrive(self: &Rc<Self>, links: &Links, cargo: Cargo, arrival: Arrival) {
        self.on_its_way.set(self.on_its_way.get() - 1);
        if self.behind.get() > 0 {
            self.behind.set(self.behind.get() - 1);
        } else if links.ask(true, |policy| policy.arrives(self.link(), cargo)) {
            // What was lost since was sent later.
            return arrival();
        } else {
            self.behind.set(self.on_its_way.get());
            self.returned.set(0);
        }
        let is_first = self.held.borrow().is_empty();
        let place = self.returned.get();
        self.returned.set(place + 1);
        self.held.borrow_mut().insert(place, (cargo, arrival));
        if is_first {
            self.lost(links);
        }
    }

    /// The first of what is held was lost.
    fn lost(self: &Rc<Self>, links: &Links) {
        let Some(cargo) = self.first_held() else { return };
        let losses = self.losses.get() + 1;
        match links.ask(Retry::WhenChanged, |policy| policy.retry(self.link(), cargo, losses)) {
            // It has only waited.
            Retry::WhenChanged => links.wait_for_change(self),
            Retry::After(after) => {
                self.losses.set(losses);
                links.schedule(links.clock().after(after), Happening::Retry(Rc::clone(self)));
            }
            Retry::Never => self.fail(cargo),
        }
    }

    /// Sends again what is held, until something of it is lost.
    pub(super) fn retry(self: &Rc<Self>, links: &Links) {
        if let Some((at, rank)) = self.last_arrival.get().filter(|_| self.behind.get() > 0) {
            // With what comes back until then, or what is sent now would overtake it.
            return links.schedule_ranked(at, rank, Happening::Retry(Rc::clone(self)));
        }
        while let Some(cargo) = self.first_held() {
            let fate = links.ask(Fate::AT_ONCE, |policy| policy.fate(self.link(), cargo));
            let Fate::Arrives(after) = fate else { return self.lost(links) };
            self.losses.set(0);
            self.returned.set(self.returned.get().saturating_sub(1));
            let next = self.held.borrow_mut().pop_front();
            let Some((_, arrival)) = next else { return };
            if after.is_zero() && self.on_its_way.get() == 0 {
                arrival();
            } else {
                self.schedule(links, after, cargo, arrival);
            }
        }
    }

    fn first_held(&self) -> Option<Cargo> {
        self.held.borrow().front().map(|(cargo, _)| *cargo)
    }

    /// What is held never arrives.
    fn fail(&self, cargo: Cargo) {
        let held = self.held.take();
        self.returned.set(0);
        self.losses.set(0);
        drop(held);
        if let Some(call) = self.on_failure.get() {
            call(cargo);
        }
    }

    /// How many of `len` bytes travel together.
    pub(super) fn split(&self, len: usize) -> usize {
        let Some(links) = self.links.upgrade() else { return len };
        links.ask(len, |policy| policy.split(self.link(), len)).clamp(1, len)
    }

    #[cfg(feature = "sim")]
    pub(super) fn tell_tap(&self, tell: impl FnOnce(&dyn Tap, Link<'_>)) {
        if let Some(links) = self.links.upgrade() {
            links.tell_tap(|tap| tell(tap, self.link()));
        }
    }

    fn link(&self) -> Link<'_> {
        Link { from: self.from.as_ref(), to: self.to.as_ref() }
    }
}

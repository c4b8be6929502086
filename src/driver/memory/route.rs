//! One direction of a connection, in which what passes arrives in the order of sending: what is lost is sent again.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::clock::Moment;
#[cfg(feature = "sim")]
use super::links::Tap;
use super::links::{Arrival, Event, Fate, Link, LinkPolicy, Links, Retry};
use super::packet::Packet;
use crate::address::Address;

pub(super) struct Route {
    /// The closures on their way hold connections, which hold their routes.
    links: Weak<Links>,
    from: Option<Address>,
    to: Option<Address>,
    /// When the last of it arrives, and its rank: what arrives together keeps its order.
    last_arrival: Cell<Option<(Moment, u32)>>,
    /// How many of the events are its own.
    on_its_way: Cell<usize>,
    /// How many of these, the next, are behind something that was lost on its way: they are held, too.
    behind: Cell<usize>,
    /// What waits: the first was lost, the others are behind it.
    held: RefCell<VecDeque<Held>>,
    /// How many of these were on their way before what was sent since.
    returned: Cell<usize>,
    /// How often in a row the first of them was lost.
    losses: Cell<u32>,
    /// Told when something is not sent again any more: the connection has failed.
    on_failure: OnceCell<Box<dyn Fn(Packet, Failed)>>,
}

/// Something that is to be sent again.
struct Held {
    packet: Packet,
    arrival: Arrival,
    /// In which life of its sender.
    life: u64,
}

/// Why something is not sent again any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was lost too often.
    GivenUp,
    /// Its sender has crashed since.
    SenderIsGone,
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
    pub(super) fn on_failure(&self, call: impl Fn(Packet, Failed) + 'static) {
        self.on_failure.get_or_init(|| Box::new(call));
    }

    /// Sends something behind what was sent before: `arrival` happens, now or later.
    pub(super) fn send(self: &Rc<Self>, packet: Packet, arrival: Arrival) {
        let Some(links) = self.links.upgrade() else { return arrival.happen() };
        if packet == Packet::Reset && self.losses.get() > 0 {
            // Whoever resets a connection sends nothing again that was lost.
            drop(self.held.take());
            self.returned.set(0);
            self.losses.set(0);
        }
        if !self.held.borrow().is_empty() {
            self.hold(&links, packet, arrival);
            return;
        }
        let fate = links.ask(Fate::AT_ONCE, |policy| policy.fate(self.link(), packet));
        self.go(&links, fate, packet, arrival);
    }

    /// As [`send`](Self::send), for as many of `len` bytes as travel together. Returns how many these are.
    pub(super) fn send_bytes(
        self: &Rc<Self>,
        len: usize,
        arrival: impl FnOnce(usize) -> Arrival,
    ) -> usize {
        let Some(links) = self.links.upgrade() else {
            arrival(len).happen();
            return len;
        };
        let split = |policy: &dyn LinkPolicy| policy.split(self.link(), len).clamp(1, len);
        if !self.held.borrow().is_empty() {
            let count = links.ask(len, split);
            self.hold(&links, Packet::Bytes(count), arrival(count));
            return count;
        }
        let (count, fate) = links.ask((len, Fate::AT_ONCE), |policy| {
            let count = split(policy);
            (count, policy.fate(self.link(), Packet::Bytes(count)))
        });
        self.go(&links, fate, Packet::Bytes(count), arrival(count));
        count
    }

    /// Something is sent that has this fate.
    fn go(self: &Rc<Self>, links: &Links, fate: Fate, packet: Packet, arrival: Arrival) {
        match fate {
            Fate::Arrives(after) if after.is_zero() && self.on_its_way.get() == 0 => {
                arrival.happen();
            }
            Fate::Arrives(after) => self.schedule(links, after, packet, arrival),
            // Lost or held.
            _ => {
                if self.hold(links, packet, arrival) {
                    self.lost(links);
                }
            }
        }
    }

    /// Sends something that keeps no order, and is gone when it is lost.
    pub(super) fn send_apart(self: &Rc<Self>, packet: Packet, arrive: impl FnOnce() + 'static) {
        let Some(links) = self.links.upgrade() else { return };
        let route = Rc::clone(self);
        links.send(self.link(), packet, move || {
            let is_there = route.links.upgrade().is_some_and(|links| {
                links.ask(true, |policy| policy.arrives(route.link(), packet))
            });
            if is_there {
                arrive();
            }
        });
    }

    /// Whether anything is on its way, or is to be sent again.
    pub(super) fn is_busy(&self) -> bool {
        self.on_its_way.get() > 0 || !self.held.borrow().is_empty()
    }

    fn schedule(self: &Rc<Self>, links: &Links, after: Duration, packet: Packet, arrival: Arrival) {
        let earliest = links.clock().after(after);
        let (at, rank) = match self.last_arrival.get() {
            Some((last, rank)) if last >= earliest => (last, rank),
            _ => (earliest, links.rank()),
        };
        self.last_arrival.set(Some((at, rank)));
        self.on_its_way.set(self.on_its_way.get() + 1);
        links.schedule_ranked(at, rank, Event::ByRoute(Rc::clone(self), packet, arrival));
    }

    /// Something is there, and arrives, if nothing has happened to it on its way or to what was before it.
    pub(super) fn arrive(self: &Rc<Self>, links: &Links, packet: Packet, arrival: Arrival) {
        self.on_its_way.set(self.on_its_way.get() - 1);
        if self.behind.get() > 0 {
            self.behind.set(self.behind.get() - 1);
        } else if links.ask(true, |policy| policy.arrives(self.link(), packet)) {
            // What was lost since was sent later.
            return arrival.happen();
        } else {
            self.behind.set(self.on_its_way.get());
            self.returned.set(0);
        }
        // The receiver was off: it knows nothing of what it would hear from a former life of the sender.
        let life = links.ask(Some(0), |policy| policy.life(self.link())).unwrap_or(0);
        let is_first = self.held.borrow().is_empty();
        let place = self.returned.get();
        self.returned.set(place + 1);
        self.held.borrow_mut().insert(place, Held { packet, arrival, life });
        if is_first {
            self.lost(links);
        }
    }

    /// Keeps something to be sent again, behind the others. Whether its sender is there to do so.
    fn hold(&self, links: &Links, packet: Packet, arrival: Arrival) -> bool {
        let life = links.ask(Some(0), |policy| policy.life(self.link()));
        if let Some(life) = life {
            self.held.borrow_mut().push_back(Held { packet, arrival, life });
        } else {
            drop(arrival);
            self.tell(packet, Failed::SenderIsGone);
        }
        life.is_some()
    }

    /// Forgets what was to be sent again by a machine that has crashed since.
    fn forget_former_lives(&self, links: &Links) {
        if self.held.borrow().is_empty() {
            return;
        }
        let life = links.ask(Some(0), |policy| policy.life(self.link()));
        let (mut kept, mut gone, mut returned) = (VecDeque::new(), Vec::new(), 0);
        for (index, held) in self.held.take().into_iter().enumerate() {
            if Some(held.life) == life {
                returned += usize::from(index < self.returned.get());
                kept.push_back(held);
            } else {
                gone.push(held);
            }
        }
        self.held.replace(kept);
        if gone.is_empty() {
            return;
        }
        self.returned.set(returned);
        self.losses.set(0);
        for Held { packet, arrival, .. } in gone {
            drop(arrival);
            self.tell(packet, Failed::SenderIsGone);
        }
    }

    /// The first of what is held was lost.
    fn lost(self: &Rc<Self>, links: &Links) {
        self.forget_former_lives(links);
        let Some(packet) = self.first_held() else { return };
        let losses = self.losses.get() + 1;
        match links.ask(Retry::WhenChanged, |policy| policy.retry(self.link(), packet, losses)) {
            // It has only waited.
            Retry::WhenChanged => links.wait_for_change(self),
            Retry::After(after) => {
                self.losses.set(losses);
                links.schedule(links.clock().after(after), Event::Retry(Rc::clone(self)));
            }
            Retry::Never => self.fail(packet),
        }
    }

    /// Sends again what is held, until something of it is lost.
    pub(super) fn retry(self: &Rc<Self>, links: &Links) {
        if let Some((at, rank)) = self.last_arrival.get().filter(|_| self.behind.get() > 0) {
            // With what comes back until then, or what is sent now would overtake it.
            return links.schedule_ranked(at, rank, Event::Retry(Rc::clone(self)));
        }
        self.forget_former_lives(links);
        while let Some(packet) = self.first_held() {
            let fate = links.ask(Fate::AT_ONCE, |policy| policy.fate(self.link(), packet));
            let Fate::Arrives(after) = fate else { return self.lost(links) };
            self.losses.set(0);
            self.returned.set(self.returned.get().saturating_sub(1));
            let next = self.held.borrow_mut().pop_front();
            let Some(Held { arrival, .. }) = next else { return };
            if after.is_zero() && self.on_its_way.get() == 0 {
                arrival.happen();
            } else {
                self.schedule(links, after, packet, arrival);
            }
        }
    }

    /// The network is gone: what is held never arrives, and nobody is told.
    pub(super) fn forget(&self) {
        drop(self.held.take());
    }

    fn first_held(&self) -> Option<Packet> {
        self.held.borrow().front().map(|held| held.packet)
    }

    /// What is held never arrives.
    fn fail(&self, packet: Packet) {
        let held = self.held.take();
        self.returned.set(0);
        self.losses.set(0);
        drop(held);
        self.tell(packet, Failed::GivenUp);
    }

    fn tell(&self, packet: Packet, failed: Failed) {
        if let Some(call) = self.on_failure.get() {
            call(packet, failed);
        }
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

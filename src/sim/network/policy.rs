//! What becomes of what hosts send.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::cuts::{Cut, Cuts};
use super::options::LinkOptions;
use super::timeouts;
use crate::address::Address;
use crate::driver::memory::{Fate, Link, LinkPolicy, Network, Packet, Retry};
use crate::sim::addresses;
use crate::sim::disk::Disk;
use crate::sim::host::{HostId, OTHERS};
use crate::sim::random::{Random, probable};
use crate::sim::trace::{Capture, CapturedEnds, Delivery, Trace, TraceEvent};

/// What becomes of what hosts send: the policy of the simulation's network.
pub(in crate::sim) struct SimulatedLinks {
    /// The network keeps its policy.
    elapsed: Box<dyn Fn() -> Duration>,
    random: Random,
    trace: Trace,
    hosts: Cell<usize>,
    /// There are loops that are no host's, at any addresses.
    has_others: Cell<bool>,
    cuts: Cuts,
    /// Of links that have none of their own.
    default: RefCell<LinkOptions>,
    options: RefCell<BTreeMap<(HostId, HostId), LinkOptions>>,
    /// Until when a link with a bandwidth is busy.
    busy: RefCell<BTreeMap<(HostId, HostId), Duration>>,
    /// More loss than the links have of their own.
    added_loss: Cell<f64>,
    /// How many datagrams wait for a link since links have changed.
    held: RefCell<BTreeMap<(HostId, HostId), usize>>,
}

impl SimulatedLinks {
    pub(in crate::sim) fn new(network: &Network, random: Random, trace: Trace) -> Self {
        Self {
            elapsed: Box::new(network.stopwatch()),
            random,
            trace,
            hosts: Cell::new(0),
            has_others: Cell::new(false),
            cuts: Cuts::default(),
            default: RefCell::default(),
            options: RefCell::default(),
            busy: RefCell::default(),
            added_loss: Cell::new(0.0),
            held: RefCell::default(),
        }
    }

    /// There is one more.
    pub(in crate::sim) fn add_host(&self) {
        self.hosts.set(self.hosts.get() + 1);
    }

    /// There are loops that are no host's: what passes to them and from them passes over links.
    pub(in crate::sim) fn add_others(&self) {
        self.has_others.set(true);
    }

    pub(in crate::sim) fn set_default(&self, options: LinkOptions) {
        *self.default.borrow_mut() = options;
    }

    pub(in crate::sim) fn set_between(&self, a: HostId, b: HostId, options: LinkOptions) {
        self.options.borrow_mut().extend([((a, b), options.clone()), ((b, a), options)]);
    }

    pub(in crate::sim) fn set_added_loss(&self, loss: f64) {
        self.added_loss.set(probable(loss));
    }

    /// Loses what is sent from one to the other, or does not any more.
    pub(in crate::sim) fn cut(&self, from: HostId, to: HostId, on: bool) {
        self.cuts.set(from, to, on.then_some(Cut::Lossy));
    }

    /// Holds what is sent from one to the other, or does not any more.
    pub(in crate::sim) fn clog(&self, from: HostId, to: HostId, on: bool) {
        self.cuts.set(from, to, on.then_some(Cut::Clogged));
    }

    /// What waits is about to be tried again.
    pub(in crate::sim) fn changed(&self) {
        self.held.borrow_mut().clear();
    }

    /// Every link is whole.
    pub(in crate::sim) fn heal(&self) {
        self.cuts.clear();
    }

    pub(in crate::sim) fn is_down(&self, host: HostId) -> bool {
        self.cuts.is_down(host)
    }

    pub(in crate::sim) fn set_down(&self, host: HostId, is_down: bool) {
        self.cuts.set_down(host, is_down);
    }

    /// A host has a disk: while that has no power, the host has none.
    pub(in crate::sim) fn add_disk(&self, host: HostId, disk: Disk) {
        self.cuts.add_disk(host, disk);
    }

    fn ends(&self, link: Link<'_>) -> Option<(HostId, HostId)> {
        Some((self.host(link.from)?, self.host(link.to)?))
    }

    fn host(&self, address: Option<&Address>) -> Option<HostId> {
        let host = addresses::host_at(address?.as_ip()?.ip());
        let host = host.filter(|id| *id < self.hosts.get());
        host.or_else(|| self.has_others.get().then_some(OTHERS))
    }

    fn with_options<R>(
        &self,
        ends: (HostId, HostId),
        use_them: impl FnOnce(&LinkOptions) -> R,
    ) -> R {
        match self.options.borrow().get(&ends) {
            Some(options) => use_them(options),
            None => use_them(&self.default.borrow()),
        }
    }

    fn is_lost(&self, link: Link<'_>, ends: (HostId, HostId), packet: Packet) -> bool {
        let added = self.added_loss.get();
        if added == 0.0
            && !matches!(packet, Packet::Datagram(_))
            && self.with_options(ends, |options| options.loss) == 0.0
        {
            return false;
        }
        let is_ipv6 = link.to.and_then(Address::as_ip).is_some_and(|address| address.is_ipv6());
        let (loss, packets) = self.with_options(ends, |options| match packet {
            Packet::Datagram(length) => (options.loss, options.packets(length, is_ipv6)),
            _ => (options.loss, Some(1)),
        });
        let Some(packets) = packets else { return true };
        let passes = (1.0 - loss) * (1.0 - added);
        self.random.chance(1.0 - (0..packets).fold(1.0, |all, _| all * passes))
    }

    /// Whether one more waits for a clogged link. Of a stream no more does than its buffer holds.
    fn has_room(&self, ends: (HostId, HostId), packet: Packet) -> bool {
        if !matches!(packet, Packet::Datagram(_) | Packet::Unreachable) {
            return true;
        }
        let mut held = self.held.borrow_mut();
        let count = held.entry(ends).or_default();
        *count += 1;
        *count <= QUEUE
    }

    /// How long something takes, with the time until it is its turn on a link of limited bandwidth.
    fn time(&self, ends: (HostId, HostId), packet: Packet) -> Duration {
        let (latency, bandwidth) =
            self.with_options(ends, |options| (options.latency.clone(), options.bandwidth));
        let latency = self.random.duration(latency);
        let (Some(bandwidth), Some(length)) = (bandwidth, length(packet)) else { return latency };
        let now = (self.elapsed)();
        let takes = Duration::from_secs_f64(length as f64 / bandwidth.max(1) as f64);
        let mut busy = self.busy.borrow_mut();
        let until = busy.entry(ends).or_default();
        *until = (*until).max(now).saturating_add(takes);
        until.saturating_sub(now).saturating_add(latency)
    }

    fn note(
        &self,
        link: Link<'_>,
        (from, to): (HostId, HostId),
        packet: Packet,
        delivery: Delivery,
    ) {
        if from == OTHERS || to == OTHERS {
            return;
        }
        let at = (self.elapsed)();
        let port = |address: Option<&Address>| {
            address.and_then(Address::as_ip).map_or(0, |address| address.port())
        };
        if let Some((capture, ends)) = self.capture(link)
            && !self.cuts.is_down(from)
        {
            capture.borrow_mut().sent(at, ends, packet, delivery);
        }
        let (from_port, to_port) = (port(link.from), port(link.to));
        self.trace.add(TraceEvent::Sent { at, from, from_port, to, to_port, packet, delivery });
    }
}

impl SimulatedLinks {
    /// What records packets, if they are recorded, and from where to where this one passes.
    fn capture(&self, link: Link<'_>) -> Option<(Rc<RefCell<Capture>>, CapturedEnds)> {
        let capture = self.trace.capture()?;
        Some((capture, (link.from?.as_ip()?, link.to?.as_ip()?)))
    }
}

impl LinkPolicy for SimulatedLinks {
    fn fate(&self, link: Link<'_>, packet: Packet) -> Fate {
        let Some(ends) = self.ends(link) else { return Fate::AT_ONCE };
        let lost = match self.cuts.between(ends.0, ends.1) {
            Some(Cut::Lossy) => Some(Delivery::Lost),
            Some(Cut::Clogged) if self.has_room(ends, packet) => Some(Delivery::Held),
            Some(Cut::Clogged) => Some(Delivery::Lost),
            None => self.is_lost(link, ends, packet).then_some(Delivery::Lost),
        };
        if let Some(delivery) = lost {
            self.note(link, ends, packet, delivery);
            return if delivery == Delivery::Held { Fate::Held } else { Fate::Lost };
        }
        let time = self.time(ends, packet);
        self.note(link, ends, packet, Delivery::After(time));
        Fate::Arrives(time)
    }

    fn split(&self, link: Link<'_>, len: usize) -> usize {
        let Some(ends) = self.ends(link) else { return len };
        let (split, bandwidth) =
            self.with_options(ends, |options| (options.split, options.bandwidth));
        // Others have their turn between.
        let most = if bandwidth.is_some() { len.min(PIECE) } else { len };
        if most > 1 && self.random.chance(split) { 1 + self.random.below(most - 1) } else { most }
    }

    fn is_doubled(&self, link: Link<'_>) -> bool {
        let Some(ends) = self.ends(link) else { return false };
        let duplication = self.with_options(ends, |options| options.duplication);
        self.random.chance(duplication)
    }

    fn retry(&self, link: Link<'_>, packet: Packet, losses: u32) -> Retry {
        let Some((from, to)) = self.ends(link) else { return Retry::WhenChanged };
        // Nobody is there to send it again.
        if self.cuts.is_down(from) {
            return Retry::Never;
        }
        match self.cuts.between(from, to) {
            Some(Cut::Clogged) => Retry::WhenChanged,
            Some(Cut::Lossy) | None => timeouts::retry(packet, losses),
        }
    }

    fn life(&self, link: Link<'_>) -> Option<u64> {
        self.ends(link).map_or(Some(0), |(from, _)| self.cuts.life(from))
    }

    fn arrives(&self, link: Link<'_>, packet: Packet) -> bool {
        if !self.cuts.is_any() && self.trace.capture().is_none() {
            return true;
        }
        let Some(ends) = self.ends(link) else { return true };
        // What has left a host that is off by now arrives all the same.
        let is_there = !self.cuts.is_down(ends.1);
        if !is_there {
            self.note(link, ends, packet, Delivery::LostOnArrival);
        }
        // Keep-alive is apart from what passes in order.
        let is_in_order = !matches!(packet, Packet::Probe | Packet::Alive);
        let is_of_hosts = ends.0 != OTHERS && ends.1 != OTHERS;
        if let Some((capture, ends)) = self.capture(link).filter(|_| is_in_order && is_of_hosts) {
            capture.borrow_mut().arrived((self.elapsed)(), ends, is_there);
        }
        is_there
    }
}

/// How many datagrams wait for a link: as many as Linux queues for an interface by default.
const QUEUE: usize = 1000;

/// What passes together on a link of limited bandwidth.
const PIECE: usize = 16 * 1024;

fn length(packet: Packet) -> Option<usize> {
    match packet {
        Packet::Bytes(length) | Packet::Datagram(length) => Some(length),
        Packet::Connect
        | Packet::Accept
        | Packet::Refuse
        | Packet::Unreachable
        | Packet::End
        | Packet::Reset
        | Packet::Room
        | Packet::Probe
        | Packet::Alive => None,
    }
}

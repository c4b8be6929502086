//! A simulated network with its hosts.

mod others;
mod running;
mod settle;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::Driver;
use crate::driver::memory::{Machine, Network};
use crate::error::Failure;
use crate::event_loop::{Core, EventLoop};
use crate::sim::addresses::{MOST_HOSTS, bare, is_name};
use crate::sim::fault::Fault;
use crate::sim::faults::Faults;
use crate::sim::host::Host;
use crate::sim::kernel::{KernelOptions, Kernels};
use crate::sim::network::{LinkOptions, SimulatedLinks};
use crate::sim::random::Random;
use crate::sim::script::Script;
use crate::sim::trace::{Capture, CaptureTap, Trace, TraceEvent};
use crate::task::Promise;

/// Hosts on a network, in virtual time, from one seed.
///
/// Dropping the one that [`new`](Self::new) gave ends it: hosts are off, and their programs gone. Dropping a clone changes
/// nothing.
pub struct Simulation {
    pub(in crate::sim) shared: Rc<Shared>,
    is_owner: bool,
}

pub(in crate::sim) struct Shared {
    seed: u64,
    pub(in crate::sim) network: Network,
    pub(in crate::sim) links: Rc<SimulatedLinks>,
    pub(in crate::sim) kernels: Kernels,
    pub(in crate::sim) trace: Trace,
    pub(in crate::sim) random: Random,
    /// What TLS draws its keys from.
    #[cfg(feature = "tls")]
    pub(in crate::sim) cryptographic: Random,
    /// Apart, so that a script in place of the faults at random leaves all other numbers as they were.
    random_faults: Random,
    /// What lets time pass: it has nothing on the network.
    director: RefCell<Option<EventLoop>>,
    hosts: RefCell<Vec<Host>>,
    /// By their names in small letters.
    by_name: RefCell<BTreeMap<String, Host>>,
    /// How many programs are waited for that are not done.
    pub(in crate::sim) awaited: Cell<usize>,
    failure: RefCell<Option<Failure>>,
    /// Who waits for the programs.
    waits: RefCell<Option<Promise<()>>>,
    limit: Cell<Duration>,
    /// What is to happen to it, before anything has run.
    script: RefCell<Option<Script>>,
    faults: RefCell<Option<Faults>>,
    /// What is to happen instead of both.
    replayed: RefCell<Option<Script>>,
}

/// How long a simulation runs in virtual time before it has failed.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// How many turns loops take in one instant before it has failed.
const PATIENCE: u64 = 100_000;

impl Simulation {
    /// A network without hosts, on which everything follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let network = Network::default();
        let (random, trace) = (Random::new(seed), Trace::new(seed));
        let links = Rc::new(SimulatedLinks::new(&network, random.fork(), trace.clone()));
        network.set_policy(Rc::clone(&links) as Rc<_>);
        let kernels = Kernels::new(&network, trace.clone());
        let driver = Driver::in_memory(Machine::shared(network.clone()));
        let director = EventLoop::owner(Core::new(driver, 1, 1));
        let shared = Shared {
            seed,
            network,
            links,
            kernels,
            trace,
            #[cfg(feature = "tls")]
            cryptographic: Random::new(!seed),
            random_faults: random.fork(),
            random,
            director: RefCell::new(Some(director)),
            hosts: RefCell::default(),
            by_name: RefCell::default(),
            awaited: Cell::default(),
            failure: RefCell::default(),
            waits: RefCell::default(),
            limit: Cell::new(LIMIT),
            script: RefCell::default(),
            faults: RefCell::default(),
            replayed: RefCell::default(),
        };
        let simulation = Self { shared: Rc::new(shared), is_owner: true };
        simulation.shuffle(true);
        simulation.patience(PATIENCE);
        simulation.watch();
        simulation
    }

    /// A callback of the test itself that panics is a failure, too.
    fn watch(&self) {
        let owner = Rc::downgrade(&self.shared);
        if let Some(director) = &*self.shared.director.borrow() {
            director.set_exception_handler(move |_, exception| {
                if let Some(owner) = owner.upgrade() {
                    owner.fail("the simulation", exception.to_string());
                }
            });
        }
    }

    pub(in crate::sim) fn of(shared: Rc<Shared>) -> Self {
        Self { shared, is_owner: false }
    }

    /// What everything follows from.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// The host with this name: a new one, if there is none yet. Other hosts reach it by its name. As in all names of
    /// hosts, capitals make no difference.
    ///
    /// # Panics
    /// The name is empty, an address or `localhost`, or has white space, `:`, `;` or `'` in it, which scripts and those
    /// who connect could not have. There are 65,534 hosts already.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host {
        let name = bare(name);
        if let Some(host) = self.known(name) {
            return host;
        }
        assert!(is_name(name), "`{}` is no name of a host", name.escape_debug());
        let id = self.shared.hosts.borrow().len();
        assert!(id < MOST_HOSTS, "a simulation has no more than {MOST_HOSTS} hosts");
        let host = Host::new(self, id, name);
        self.shared.network.add_host(name, vec![host.ipv4().into()]);
        self.shared.links.add_host();
        self.shared.trace.add_host(name, [host.ipv4().into(), host.ipv6().into()]);
        self.shared.hosts.borrow_mut().push(host.clone());
        self.shared.by_name.borrow_mut().insert(name.to_ascii_lowercase(), host.clone());
        host
    }

    /// All hosts, in the order in which they were made.
    pub fn hosts(&self) -> Vec<Host> {
        self.shared.hosts.borrow().clone()
    }

    /// What links do that have no options of their own.
    pub fn links(&self, options: LinkOptions) -> &Self {
        self.shared.links.set_default(options);
        self
    }

    /// What the link between two hosts does.
    pub fn link(&self, a: &Host, b: &Host, options: LinkOptions) -> &Self {
        self.shared.links.set_between(a.shared.id, b.shared.id, options);
        self
    }

    /// What the kernels of hosts do that are made from now on.
    pub fn kernels(&self, options: KernelOptions) -> &Self {
        self.shared.kernels.set_default(options);
        self
    }

    /// Whether what happens at one instant happens in an order that follows from the seed, as it does unless this is
    /// called: whose turn it is, what arrives first, which socket is ready first. Else it happens in the order in which
    /// it was made. What one connection carries keeps its order, as do timers of one host.
    pub fn shuffle(&self, on: bool) -> &Self {
        let random = self.shared.random.fork();
        let choose = move |count| random.below(count);
        self.shared.network.set_order(on.then(|| Box::new(choose) as Box<_>));
        self
    }

    /// Lets hosts and links fail at random, as the seed says, as soon as something runs.
    pub fn faults(&self, faults: Faults) -> &Self {
        *self.shared.faults.borrow_mut() = Some(faults);
        self
    }

    /// Lets these things happen, as soon as something runs, in place of those at random.
    pub fn script(&self, script: Script) -> &Self {
        *self.shared.script.borrow_mut() = Some(script);
        self
    }

    /// Does this now, or in this turn if something runs.
    ///
    /// A host that it names and that is none, as by a slip of the pen, is a failure of the simulation.
    pub fn apply(&self, fault: &Fault) {
        if let Some(name) = fault.hosts().find(|name| self.known(name).is_none()) {
            self.shared.fail("the network", format!("`{fault}`: no host is called `{name}`"));
            return;
        }
        // Hosts say themselves what happens to them, whoever does it.
        if !fault.is_noted_by_host() {
            self.shared.note_fault(fault);
        }
        fault.apply(self);
    }

    /// Calls something once this time has passed. If it panics, the simulation has failed.
    pub fn after(&self, wait: Duration, call: impl FnOnce(&Self) + 'static) {
        let shared = Rc::downgrade(&self.shared);
        if let Some(director) = &*self.shared.director.borrow() {
            director.call_later(wait, move || {
                if let Some(shared) = shared.upgrade() {
                    call(&Self::of(shared));
                }
            });
        }
    }

    /// What makes something happen in this turn, called on any thread.
    pub(in crate::sim) fn sender_of(&self, fault: Fault) -> Box<dyn Fn() + Send> {
        let director = self.shared.director.borrow();
        let Some(director) = &*director else { return Box::new(|| {}) };
        let (sender, receiver) = director.create_channel(1);
        let shared = Rc::downgrade(&self.shared);
        let happens = move |()| {
            if let Some(shared) = shared.upgrade() {
                Self::of(shared).apply(&fault);
            }
        };
        receiver.on_message(happens).detach();
        // One that is under way is enough.
        Box::new(move || drop(sender.try_send(())))
    }

    /// How long it may run, in virtual time since it began: an hour unless set. That is for all runs together.
    pub fn limit(&self, limit: Duration) -> &Self {
        self.shared.limit.set(limit);
        self
    }

    /// How many turns the loops of hosts may take in one instant before the simulation has failed: 100,000 unless set.
    /// Time passes only when none has anything to do, so a program that waits for it in a loop without a pause, or two
    /// that answer each other over links that take no time, would go on for ever.
    pub fn patience(&self, turns: u64) -> &Self {
        self.shared.network.set_patience(turns);
        self
    }

    /// Virtual time since it began.
    pub fn elapsed(&self) -> Duration {
        self.shared.network.elapsed()
    }

    /// Random numbers that follow from the seed.
    pub fn random(&self) -> Random {
        self.shared.random.clone()
    }

    /// What has happened.
    pub fn trace(&self) -> Trace {
        self.shared.trace.clone()
    }

    /// Keeps the packets that hosts send from now on, for [`Trace::write_packets`]: their headers, but not what is in
    /// them. That costs time and memory, some 100 bytes each.
    pub fn record_packets(&self) -> &Self {
        self.record(false)
    }

    /// As [`record_packets`](Self::record_packets), with what is in the packets, of the connections that begin from now
    /// on and of datagrams.
    pub fn record_contents(&self) -> &Self {
        self.record(true)
    }

    fn record(&self, has_contents: bool) -> &Self {
        let network = &self.shared.network;
        let date = network.date().saturating_sub(network.elapsed());
        let capture = Rc::new(RefCell::new(Capture::new(has_contents, date)));
        network.set_tap(Rc::new(CaptureTap::new(network, &capture)));
        self.shared.trace.set_capture(capture);
        self
    }

    /// Puts a line of the test's own into the trace.
    pub fn note(&self, text: impl Into<String>) {
        self.shared.trace.add(TraceEvent::Note { at: self.elapsed(), text: text.into() });
    }

    /// All links are whole, and all hosts on: from here on everything has to come right.
    pub fn end_faults(&self) {
        self.shared.script.take();
        self.shared.faults.take();
        self.shared.replayed.take();
        self.apply(&Fault::Recover);
    }

    pub(in crate::sim) fn known(&self, name: &str) -> Option<Host> {
        self.shared.by_name.borrow().get(&bare(name).to_ascii_lowercase()).cloned()
    }

    /// Lets these things happen in place of what the scenario wants to happen first.
    pub(in crate::sim) fn replay(&self, script: Script) {
        *self.shared.replayed.borrow_mut() = Some(script);
    }
}

impl Shared {
    /// The simulation is being dropped.
    pub(in crate::sim) fn is_over(&self) -> bool {
        self.director.borrow().is_none()
    }

    pub(in crate::sim) fn note_fault(&self, fault: &Fault) {
        let at = self.network.elapsed();
        self.trace.add(TraceEvent::Fault { at, fault: fault.to_string() });
    }

    /// Something has failed: the simulation ends.
    pub(in crate::sim) fn fail(&self, host: &str, what: impl fmt::Display) {
        let text = format!("{host} at {:?}: {what}", self.network.elapsed());
        self.trace.add(TraceEvent::Note { at: self.network.elapsed(), text: text.clone() });
        self.failure.borrow_mut().get_or_insert_with(|| text.into());
        self.look();
    }

    /// Whoever waits looks whether it is over.
    pub(in crate::sim) fn look(&self) {
        let waits = self.waits.take();
        if let Some(promise) = waits {
            let _ = promise.set_result(());
        }
    }
}

impl Clone for Simulation {
    fn clone(&self) -> Self {
        Self::of(Rc::clone(&self.shared))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if self.is_owner {
            // What drop code begins now does not begin.
            let director = self.shared.director.take();
            for host in self.hosts() {
                host.close();
            }
            drop(director);
            let hosts = (self.shared.hosts.take(), self.shared.by_name.take());
            drop(hosts);
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulation")
            .field("seed", &self.shared.seed)
            .field("elapsed", &self.elapsed())
            .field("hosts", &self.shared.hosts.borrow())
            .finish_non_exhaustive()
    }
}

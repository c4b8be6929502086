//! The machines of a network: each has addresses, ports and paths of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use super::kernel::Kernel;
use super::network::Network;
#[cfg(feature = "sim")]
use super::network::State;
#[cfg(feature = "sim")]
use super::ports::Ports;

/// Which machine of a network. 0 is where all loops are that were given none of their own: it has every address
/// that no other machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MachineId(u32);

/// A machine of a network, as its loops know it.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(super) network: Network,
    pub(super) id: MachineId,
}

/// The machines that have addresses of their own.
#[derive(Default)]
pub(super) struct Machines {
    table: RefCell<Vec<Entry>>,
    /// That of the loops that were given no machine.
    #[cfg(feature = "sim")]
    shared_kernel: RefCell<Kernel>,
    by_address: RefCell<BTreeMap<IpAddr, MachineId>>,
}

struct Entry {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    is_running: Rc<Cell<bool>>,
    /// How far its wall clock is ahead of the network's, and behind it.
    clock_offset: Cell<(Duration, Duration)>,
    seed: Cell<u64>,
    /// How long the next job takes.
    #[cfg(feature = "sim")]
    job_time: RefCell<Option<Rc<dyn Fn() -> Duration>>>,
    kernel: RefCell<Kernel>,
}

impl MachineId {
    /// Where loops are that were given no machine.
    pub(super) const SHARED: Self = Self(0);

    /// The next one.
    pub(super) fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    fn index(self) -> Option<usize> {
        self.0.checked_sub(1).map(|index| index as usize)
    }
}

impl Machine {
    /// Where loops are that were given no machine.
    pub(crate) fn shared(network: Network) -> Self {
        Self { network, id: MachineId::SHARED }
    }

    /// A new machine with these addresses, which no other has.
    #[cfg(feature = "sim")]
    pub(crate) fn new(network: Network, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        let id = network.0.machines.add(v4, v6);
        Self { network, id }
    }

    /// From where it connects to `remote`, if nothing else is said.
    pub(super) fn source(&self, remote: IpAddr) -> IpAddr {
        let machines = &self.network.0.machines;
        match machines.addresses(self.id).filter(|_| !remote.is_loopback()) {
            Some((v4, _)) if remote.is_ipv4() => v4.into(),
            Some((_, v6)) => v6.into(),
            None if remote.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            None => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// Which machine has this address, seen from here; `None`: none has.
    pub(super) fn of(&self, address: IpAddr) -> Option<MachineId> {
        if address.is_loopback() || address.is_unspecified() {
            return Some(self.id);
        }
        let machines = &self.network.0.machines;
        let known = machines.by_address.borrow().get(&address).copied();
        known.or_else(|| machines.addresses(self.id).is_none().then_some(MachineId::SHARED))
    }

    /// Whether what comes from this address of its own can leave it for `remote`: a loopback address stays within a
    /// machine.
    pub(super) fn reaches(&self, own: IpAddr, remote: IpAddr) -> bool {
        self.id == MachineId::SHARED || !own.is_loopback() || self.of(remote) == Some(self.id)
    }

    /// Whether sockets can be bound to this address here.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        address.is_multicast() || self.of(address) == Some(self.id)
    }

    /// Whether what passes to `other` does not leave this machine. Among the loops without machines, which stand for
    /// any number of machines, all passes over links.
    pub(super) fn is_within(&self, other: MachineId) -> bool {
        self.id == other && self.id != MachineId::SHARED
    }

    /// Stops and starts giving turns to its loops; what arrives meanwhile waits in its sockets.
    #[cfg(feature = "sim")]
    pub(crate) fn set_running(&self, on: bool) {
        self.network.0.machines.with(self.id, |entry| entry.is_running.set(on));
    }

    /// Sets its wall clock ahead of the network's, and behind it.
    #[cfg(feature = "sim")]
    pub(crate) fn set_clock_offset(&self, ahead: Duration, behind: Duration) {
        self.network.0.machines.with(self.id, |entry| entry.clock_offset.set((ahead, behind)));
    }

    /// What its wall clock says: the time since the Unix epoch.
    #[cfg_attr(
        not(any(feature = "tls-core", feature = "sim")),
        expect(dead_code, reason = "TLS looks at dates")
    )]
    pub(crate) fn date(&self) -> Duration {
        let machines = &self.network.0.machines;
        let offset = machines.with(self.id, |entry| entry.clock_offset.get());
        let (ahead, behind) = offset.unwrap_or_default();
        self.network.date().saturating_add(ahead).saturating_sub(behind)
    }

    /// How long jobs take which its loops hand to threads; `time` is asked for each.
    #[cfg(feature = "sim")]
    pub(crate) fn set_job_time(&self, time: impl Fn() -> Duration + 'static) {
        let time: Rc<dyn Fn() -> Duration> = Rc::new(time);
        self.network.0.machines.with(self.id, |entry| entry.job_time.replace(Some(time)));
    }

    /// How long the next job takes.
    #[cfg(feature = "sim")]
    pub(crate) fn job_time(&self) -> Duration {
        let time = self.network.0.machines.with(self.id, |entry| entry.job_time.borrow().clone());
        time.flatten().map_or(Duration::ZERO, |time| time())
    }

    /// What the random numbers of its loops begin with.
    #[cfg(feature = "sim")]
    pub(crate) fn set_seed(&self, seed: u64) {
        self.network.0.machines.with(self.id, |entry| entry.seed.set(seed));
    }

    /// Lets `policy` decide what its kernel does to the calls of its programs, on sockets that are opened from now on.
    #[cfg(feature = "sim")]
    pub(crate) fn set_kernel(&self, policy: Rc<dyn super::KernelPolicy>) {
        let State { links, clock, machines, .. } = &*self.network.0;
        if self.id == MachineId::SHARED {
            machines.shared_kernel.replace(Kernel::new(policy, links, None));
        } else {
            let ports = Ports::new(Rc::clone(clock), Rc::clone(&policy));
            let kernel = Kernel::new(policy, links, Some(ports));
            machines.with(self.id, |entry| entry.kernel.replace(kernel));
        }
    }

    pub(super) fn kernel(&self) -> Kernel {
        self.network.0.machines.kernel(self.id)
    }

    /// Its kernel has lost its power, and knows of no connection any more.
    #[cfg(feature = "sim")]
    pub(crate) fn forget_connections(&self) {
        if let Some(ports) = self.kernel().ports() {
            ports.forget();
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.network.0.machines.with(self.id, |entry| entry.seed.get()).unwrap_or(0)
    }

    /// Whether its loops have turns.
    pub(super) fn running(&self) -> Option<Rc<Cell<bool>>> {
        self.network.0.machines.with(self.id, |entry| Rc::clone(&entry.is_running))
    }
}

impl Machines {
    #[cfg(feature = "sim")]
    fn add(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> MachineId {
        let mut table = self.table.borrow_mut();
        table.push(Entry {
            v4,
            v6,
            is_running: Rc::new(Cell::new(true)),
            clock_offset: Cell::default(),
            seed: Cell::new(0),
            job_time: RefCell::default(),
            kernel: RefCell::default(),
        });
        let id = MachineId(u32::try_from(table.len()).unwrap_or(u32::MAX));
        let mut by_address = self.by_address.borrow_mut();
        by_address.insert(v4.into(), id);
        by_address.insert(v6.into(), id);
        id
    }

    pub(super) fn kernel(&self, id: MachineId) -> Kernel {
        #[cfg(feature = "sim")]
        if id == MachineId::SHARED {
            return self.shared_kernel.borrow().clone();
        }
        self.with(id, |entry| entry.kernel.borrow().clone()).unwrap_or_default()
    }

    fn addresses(&self, id: MachineId) -> Option<(Ipv4Addr, Ipv6Addr)> {
        self.with(id, |entry| (entry.v4, entry.v6))
    }

    fn with<R>(&self, id: MachineId, use_it: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.table.borrow().get(id.index()?).map(use_it)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Machine").field(&self.id).finish()
    }
}

//! The machines of a simulation.

mod power;
mod signal;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use crate::driver::memory::Machine;
use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::sim::addresses;
use crate::sim::disk::{Disk, DiskFault};
use crate::sim::fault::Fault;
use crate::sim::kernel::{HostKernel, KernelOptions};
use crate::sim::program::Program;
use crate::sim::random::Random;
use crate::sim::simulation::{Shared, Simulation};
use crate::sim::trace::TraceEvent;

pub(in crate::sim) use self::signal::{name_of, named};

/// What every clock can say: some 9,999 years.
const LAST_DATE: Duration = Duration::from_secs(9_999 * 365 * 24 * 60 * 60);

/// Which host of a simulation, in the order in which they were made.
pub(in crate::sim) type HostId = usize;

/// All loops of a simulation that are no host's.
pub(in crate::sim) const OTHERS: HostId = usize::MAX;

/// A machine of a [`Simulation`], with a name, addresses, an event loop, and programs.
///
/// Clones are the same host. The simulation keeps it: dropping it changes nothing.
#[derive(Clone)]
pub struct Host {
    pub(in crate::sim) shared: Rc<HostShared>,
}

pub(in crate::sim) struct HostShared {
    pub(in crate::sim) id: HostId,
    pub(in crate::sim) name: String,
    pub(in crate::sim) addresses: (Ipv4Addr, Ipv6Addr),
    simulation: Weak<Shared>,
    machine: Machine,
    pub(in crate::sim) kernel: Rc<HostKernel>,
    /// What the random numbers of its loops begin with: another number after each start.
    seed: u64,
    /// `None`: it is off.
    event_loop: RefCell<Option<EventLoop>>,
    programs: RefCell<Vec<Rc<Program>>>,
    random: Random,
    starts: Cell<u32>,
    /// Once somebody has asked for it.
    disk: OnceCell<Disk>,
    is_paused: Cell<bool>,
    /// What has come while it stood still.
    signals: RefCell<Vec<i32>>,
    /// Whether it ever had a program that is waited for.
    was_awaited: Cell<bool>,
}

impl Host {
    pub(in crate::sim) fn new(simulation: &Simulation, id: HostId, name: &str) -> Self {
        let shared = &simulation.shared;
        let (v4, v6) = addresses::of_host(id);
        let machine = Machine::new(shared.network.clone(), v4, v6);
        let seed = shared.random.next_u64();
        let kernel = shared.kernels.of_host(id, shared.random.fork());
        machine.set_kernel(Rc::clone(&kernel) as Rc<_>);
        let host = HostShared {
            id,
            name: name.to_owned(),
            addresses: (v4, v6),
            simulation: Rc::downgrade(shared),
            machine,
            kernel,
            seed,
            event_loop: RefCell::new(None),
            programs: RefCell::default(),
            random: shared.random.fork(),
            starts: Cell::new(0),
            disk: OnceCell::new(),
            is_paused: Cell::new(false),
            signals: RefCell::default(),
            was_awaited: Cell::new(false),
        };
        let host = Self { shared: Rc::new(host) };
        host.begin();
        host
    }

    /// Its name, which connects and other hosts' resolvers know.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its IPv4 address: 10.0.0.1 for the first host, and so on.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.shared.addresses.0
    }

    /// Its IPv6 address: fd00::1 for the first host, and so on.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.shared.addresses.1
    }

    /// Begins a program that need not end: a server. It begins anew when the host is restarted. If it fails, or a
    /// callback of its loop panics, the simulation has failed. [`Simulation::run`] does not wait for it.
    #[track_caller]
    pub fn serve(&self, program: impl AsyncFn(EventLoop) -> Result + 'static) {
        self.add(Program::new(program, false));
    }

    /// As [`serve`](Self::serve), for a program that [`Simulation::run`] waits for. It begins anew when the host is
    /// restarted before it is done.
    #[track_caller]
    pub fn start(&self, program: impl AsyncFn(EventLoop) -> Result + 'static) {
        self.add(Program::new(program, true));
    }

    /// Runs the simulation until this program is done.
    ///
    /// # Errors
    /// The program's, whatever else has failed in the simulation, and those of [`Simulation::run`].
    #[track_caller]
    pub fn run<T: 'static>(
        &self,
        program: impl AsyncFnOnce(EventLoop) -> Result<T> + 'static,
    ) -> Result<T> {
        let output = Rc::new(RefCell::new(None));
        let (program, result) = (RefCell::new(Some(program)), Rc::clone(&output));
        let program = Rc::new(program);
        self.serve(async move |event_loop| {
            let Some(program) = program.take() else {
                return Err(
                    "the host was restarted in the middle of a program that runs once".into()
                );
            };
            let value = program(event_loop).await?;
            *result.borrow_mut() = Some(value);
            Ok(())
        });
        let simulation = self.simulation()?;
        let waits_for = || format!("the program that `{}` runs has not ended", self.name());
        simulation.run_while(|| output.borrow().is_none(), waits_for)?;
        output.take().ok_or_else(|| "the simulation has ended before the program".into())
    }

    /// What its wall clock says.
    pub fn date(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.shared.machine.date().min(LAST_DATE)
    }

    /// Sets its wall clock ahead of the simulation's, or behind it. Timers do not follow it.
    pub fn set_clock(&self, offset: ClockOffset) {
        let (ahead, behind) = match offset {
            ClockOffset::Ahead(time) => (time, Duration::ZERO),
            ClockOffset::Behind(time) => (Duration::ZERO, time),
        };
        let seconds = ahead.as_secs_f64() - behind.as_secs_f64();
        self.note(|name| Fault::Clock(name, seconds), true);
        self.shared.machine.set_clock_offset(ahead, behind);
    }

    /// What it stores.
    pub fn disk(&self) -> Disk {
        self.shared.disk.get_or_init(|| self.new_disk()).clone()
    }

    /// How long that takes which its programs hand to threads: a random time of these. No time, unless set.
    ///
    /// It is done at the beginning of that time, and heard of at the end.
    pub fn set_job_time(&self, time: RangeInclusive<Duration>) {
        let random = self.shared.random.fork();
        self.shared.machine.set_job_time(move || random.duration(time.clone()));
    }

    /// What its kernel does from now on.
    pub fn set_kernel(&self, options: KernelOptions) {
        self.shared.kernel.set_options(options);
    }

    /// Random numbers that follow from the seed, and that no other host's depend on.
    pub fn random(&self) -> Random {
        self.shared.random.clone()
    }

    /// How often it has been started: 1 before any restart.
    pub fn starts(&self) -> u32 {
        self.shared.starts.get()
    }

    fn simulation(&self) -> Result<Simulation> {
        let shared = self.shared.simulation.upgrade().ok_or("the simulation is gone")?;
        Ok(Simulation::of(shared))
    }

    fn add(&self, program: Program) {
        // At its end none begins.
        let simulation = self.shared.simulation.upgrade();
        let Some(simulation) = simulation.filter(|simulation| !simulation.is_over()) else {
            return;
        };
        if program.is_awaited {
            self.shared.was_awaited.set(true);
            simulation.awaited.set(simulation.awaited.get() + 1);
        }
        let program = Rc::new(program);
        let done = {
            let mut programs = self.shared.programs.borrow_mut();
            let done: Vec<_> = programs.extract_if(.., |program| program.is_done.get()).collect();
            programs.push(Rc::clone(&program));
            done
        };
        // They never begin anew, and what they hold may do anything when it is dropped.
        drop(done);
        let event_loop = self.shared.event_loop.borrow().as_ref().cloned();
        if let Some(event_loop) = event_loop {
            self.shared.run(&event_loop, program);
        }
    }

    /// What happens to it is in the trace, whoever does it: not if it `changes` nothing.
    fn note(&self, fault: impl FnOnce(String) -> Fault, changes: bool) {
        if changes && let Some(simulation) = self.shared.simulation.upgrade() {
            simulation.note_fault(&fault(self.shared.name.clone()));
        }
    }

    pub(in crate::sim) fn set_disk_fault(&self, fault: DiskFault) {
        if let Some(disk) = self.shared.disk.get() {
            disk.set(fault);
        }
    }

    fn new_disk(&self) -> Disk {
        let Some(simulation) = self.shared.simulation.upgrade() else {
            return Disk::new(0, Box::new(|| {}));
        };
        let owner = Simulation::of(simulation);
        let crash = Fault::Crash(self.name().to_owned());
        let id = self.shared.id as u64;
        let disk = Disk::new(owner.seed() ^ id << 48, owner.sender_of(crash));
        owner.shared.links.add_disk(self.shared.id, disk.clone());
        disk
    }
}

impl HostShared {
    fn run(self: &Rc<Self>, event_loop: &EventLoop, program: Rc<Program>) {
        let place = program.place;
        let running = program.begin(event_loop.clone());
        let host = Rc::downgrade(self);
        let main = async move {
            let outcome = running.await;
            // One without power is about to crash, and what it does means nothing.
            let Some(host) = host.upgrade().filter(|host| host.has_power()) else { return };
            let was_done = program.is_done.replace(true);
            let Some(simulation) = host.simulation.upgrade() else { return };
            if program.is_awaited && !was_done {
                simulation.awaited.set(simulation.awaited.get() - 1);
            }
            let at = simulation.network.elapsed();
            simulation.trace.add(TraceEvent::Ended { at, host: host.id });
            match outcome {
                Ok(()) => simulation.look(),
                Err(error) => simulation.fail(&host.name, format!("{error:#}")),
            }
        };
        event_loop.create_task_at(place, main).named("a host's program").detach();
    }

    fn has_power(&self) -> bool {
        self.disk.get().is_none_or(Disk::has_power)
    }

    pub(in crate::sim) fn was_awaited(&self) -> bool {
        self.was_awaited.get()
    }

    pub(in crate::sim) fn awaits(&self) -> bool {
        self.programs.borrow().iter().any(|program| program.is_awaited && !program.is_done.get())
    }
}

/// How far a clock is from the simulation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOffset {
    /// So far ahead.
    Ahead(Duration),
    /// So far behind.
    Behind(Duration),
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Host")
            .field("name", &self.shared.name)
            .field("ipv4", &self.ipv4())
            .field("is_on", &self.is_on())
            .finish_non_exhaustive()
    }
}

impl From<&Host> for IpAddr {
    fn from(host: &Host) -> Self {
        host.ipv4().into()
    }
}

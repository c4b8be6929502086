//! What can happen to hosts and links.

use std::fmt;
use std::time::Duration;

use super::disk::DiskFault;
use super::host::{self, ClockOffset, Host};
use super::kernel::KernelFault;
use super::simulation::Simulation;

/// Something that happens to hosts and links, which are named. A name that no host has is a failure of the simulation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// What the first sends to the second is lost, from now on.
    Cut(String, String),
    /// What the first sends to the second waits, from now on: of datagrams 1,000 at most, more are lost.
    Clog(String, String),
    /// What the first sends to the second passes again.
    Join(String, String),
    /// All links pass again.
    Heal,
    /// So much of everything is lost, 0 to 1, besides what the links lose by themselves.
    Loss(f64),
    /// The kernel of the host does this with so much more probability, 0 to 1, than its
    /// [options](super::KernelOptions) say.
    Kernel(String, KernelFault, f64),
    /// [`Host::crash`].
    Crash(String),
    /// [`Host::kill`].
    Kill(String),
    /// [`Host::restart`].
    Restart(String),
    /// [`Host::pause`].
    Pause(String),
    /// [`Host::resume`].
    Resume(String),
    /// [`Host::signal`].
    Signal(String, i32),
    /// The host's wall clock is so many seconds ahead of the simulation's, or behind it.
    Clock(String, f64),
    /// This happens to the host's [disk](Host::disk), if it has one.
    Disk(String, DiskFault),
    /// All faults end: links and kernels are whole, hosts that are off are restarted, those that stand still go
    /// on, disks work. Clocks stay as they are.
    Recover,
}

impl Fault {
    /// Whether the host to which it happens says so in the trace.
    pub(super) fn is_noted_by_host(&self) -> bool {
        match self {
            Self::Cut(..)
            | Self::Clog(..)
            | Self::Join(..)
            | Self::Heal
            | Self::Loss(_)
            | Self::Kernel(..)
            | Self::Disk(..)
            | Self::Recover => false,
            Self::Crash(_)
            | Self::Kill(_)
            | Self::Restart(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Signal(..)
            | Self::Clock(..) => true,
        }
    }

    /// The hosts that it names.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &String> {
        let (first, second) = match self {
            Self::Cut(from, to) | Self::Clog(from, to) | Self::Join(from, to) => {
                (Some(from), Some(to))
            }
            Self::Crash(host)
            | Self::Kill(host)
            | Self::Restart(host)
            | Self::Pause(host)
            | Self::Resume(host)
            | Self::Signal(host, _)
            | Self::Clock(host, _)
            | Self::Kernel(host, ..)
            | Self::Disk(host, _) => (Some(host), None),
            Self::Heal | Self::Loss(_) | Self::Recover => (None, None),
        };
        first.into_iter().chain(second)
    }

    pub(super) fn apply(&self, simulation: &Simulation) {
        let shared = &simulation.shared;
        let with = |name: &str, act: &dyn Fn(&Host)| {
            if let Some(host) = simulation.known(name) {
                act(&host);
            }
        };
        let between = |from: &str, to: &str, act: &dyn Fn(usize, usize)| {
            if let (Some(from), Some(to)) = (simulation.known(from), simulation.known(to)) {
                act(from.shared.id, to.shared.id);
            }
        };
        match self {
            Self::Cut(from, to) => between(from, to, &|from, to| shared.links.cut(from, to, true)),
            Self::Clog(from, to) => {
                between(from, to, &|from, to| shared.links.clog(from, to, true));
            }
            Self::Join(from, to) => {
                between(from, to, &|from, to| shared.links.cut(from, to, false));
            }
            Self::Heal => shared.links.heal(),
            Self::Loss(probability) => shared.links.set_added_loss(*probability),
            Self::Kernel(name, fault, probability) => {
                with(name, &|host| host.shared.kernel.set_added(*fault, *probability));
            }
            Self::Crash(name) => with(name, &Host::crash),
            Self::Kill(name) => with(name, &Host::kill),
            Self::Restart(name) => with(name, &Host::restart),
            Self::Pause(name) => with(name, &Host::pause),
            Self::Resume(name) => with(name, &Host::resume),
            Self::Signal(name, signal) => with(name, &|host| host.signal(*signal)),
            Self::Clock(name, seconds) => with(name, &|host| host.set_clock(offset(*seconds))),
            Self::Disk(name, fault) => with(name, &|host| host.set_disk_fault(*fault)),
            Self::Recover => {
                shared.links.heal();
                shared.links.set_added_loss(0.0);
                for host in simulation.hosts() {
                    host.shared.kernel.recover();
                    host.set_disk_fault(DiskFault::Well);
                    host.resume();
                    if !host.is_on() {
                        host.restart();
                    }
                }
            }
        }
        // What waited for the links is tried again.
        shared.links.changed();
        shared.network.changed();
    }
}

fn offset(seconds: f64) -> ClockOffset {
    if seconds.is_nan() {
        return ClockOffset::Ahead(Duration::ZERO);
    }
    let length = Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX);
    if seconds < 0.0 { ClockOffset::Behind(length) } else { ClockOffset::Ahead(length) }
}

impl fmt::Display for Fault {
    /// As a [`Script`](super::Script) has it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(from, to) => write!(formatter, "cut {from} {to}"),
            Self::Clog(from, to) => write!(formatter, "clog {from} {to}"),
            Self::Join(from, to) => write!(formatter, "join {from} {to}"),
            Self::Heal => formatter.write_str("heal"),
            Self::Loss(probability) => write!(formatter, "loss {probability}"),
            Self::Kernel(name, fault, probability) => {
                write!(formatter, "{fault} {name} {probability}")
            }
            Self::Crash(name) => write!(formatter, "crash {name}"),
            Self::Kill(name) => write!(formatter, "kill {name}"),
            Self::Restart(name) => write!(formatter, "restart {name}"),
            Self::Pause(name) => write!(formatter, "pause {name}"),
            Self::Resume(name) => write!(formatter, "resume {name}"),
            Self::Signal(name, signal) => {
                write!(formatter, "signal {name} {}", host::name_of(*signal))
            }
            Self::Clock(name, seconds) => write!(formatter, "clock {name} {seconds}"),
            Self::Disk(name, fault) => write!(formatter, "disk {name} {fault}"),
            Self::Recover => formatter.write_str("recover"),
        }
    }
}

//! Faults at random.

use std::time::Duration;

use super::disk::DiskFault;
use super::fault::Fault;
use super::kernel::KernelFault;
use super::random::Random;
use super::script::Script;

/// Which faults happen at random, and how often.
///
/// Each seed turns some of the kinds off: what only happens when a kind of fault is missing is found, too (swarm
/// testing).
#[derive(Clone, Debug)]
#[must_use = "they happen in the simulation or the check that they are given to"]
pub struct Faults {
    every: Duration,
    until: Duration,
    kinds: Vec<Kind>,
    spared: Vec<String>,
    disks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Partition,
    OneWayCut,
    Clog,
    Loss,
    Crash,
    Kill,
    Pause,
    Clock,
    Disk,
    PowerFailure,
    Kernel(KernelFault),
}

impl Faults {
    /// All kinds, one every two seconds, for 30 seconds; then everything is whole again.
    pub fn all() -> Self {
        use Kind::{Clock, Clog, Crash, Kill, Loss, OneWayCut, Partition, Pause};
        let mut kinds = vec![Partition, OneWayCut, Clog, Loss, Crash, Kill, Pause, Clock];
        kinds.extend(KernelFault::ALL.map(Kind::Kernel));
        Self {
            every: Duration::from_secs(2),
            until: Duration::from_secs(30),
            kinds,
            spared: Vec::new(),
            disks: Vec::new(),
        }
    }

    /// As [`all`](Self::all), of the links alone: hosts go on.
    pub fn of_links() -> Self {
        use Kind::{Clog, Loss, OneWayCut, Partition};
        Self { kinds: vec![Partition, OneWayCut, Clog, Loss], ..Self::all() }
    }

    /// As [`all`](Self::all), of hosts alone: they crash, are killed, and stand still.
    pub fn of_hosts() -> Self {
        Self { kinds: vec![Kind::Crash, Kind::Kill, Kind::Pause], ..Self::all() }
    }

    /// As [`all`](Self::all), of wall clocks alone: they are set.
    pub fn of_clocks() -> Self {
        Self { kinds: vec![Kind::Clock], ..Self::all() }
    }

    /// As [`all`](Self::all), of the kernels of hosts alone.
    pub fn of_kernels() -> Self {
        Self { kinds: KernelFault::ALL.map(Kind::Kernel).to_vec(), ..Self::all() }
    }

    /// How much time passes between two, on average.
    pub fn every(mut self, mean: Duration) -> Self {
        self.every = mean;
        self
    }

    /// When the last one is over, and everything is whole. That may be never: no more than some 10,000 begin.
    pub fn until(mut self, time: Duration) -> Self {
        self.until = time;
        self
    }

    /// Nothing happens to this host itself. Its links are as others'. If there is no such host, the simulation fails.
    pub fn spare(mut self, host: &str) -> Self {
        self.spared.push(host.to_owned());
        self
    }

    /// Also those of this host's [disk](super::Host::disk): it is full, fails, or fails to sync, and its power fails in
    /// the middle of a sync. Not [rot](DiskFault::Rot), against which few programs are safe.
    pub fn disk_of(mut self, host: &str) -> Self {
        if self.disks.is_empty() {
            self.kinds.extend([Kind::Disk, Kind::PowerFailure]);
        }
        self.disks.push(host.to_owned());
        self
    }

    /// The hosts that it names.
    pub(super) fn named(&self) -> impl Iterator<Item = &String> {
        self.spared.iter().chain(&self.disks)
    }

    /// What happens to these hosts.
    pub(super) fn script(&self, random: &Random, hosts: &[&str]) -> Script {
        let kinds: Vec<Kind> = self.kinds.iter().copied().filter(|_| random.chance(0.5)).collect();
        let victims: Vec<&str> = hosts
            .iter()
            .copied()
            .filter(|host| !self.spared.iter().any(|spared| spared == host))
            .collect();
        let mut events = Vec::new();
        let (mut at, mut count) = (Duration::ZERO, 0);
        loop {
            let wait = random.duration(Duration::ZERO..=self.every.saturating_mul(2));
            at = at.saturating_add(wait);
            if at >= self.until || self.every.is_zero() || count == MOST {
                break;
            }
            count += 1;
            if let Some(kind) = random.choose(&kinds) {
                self.add(*kind, at, random, hosts, &victims, &mut events);
            }
        }
        events.push((self.until, Fault::Recover));
        events.sort_by_key(|(at, _)| *at);
        events.into_iter().fold(Script::new(), |script, (at, fault)| script.at(at, fault))
    }

    /// A fault and its end.
    fn add(
        &self,
        kind: Kind,
        at: Duration,
        random: &Random,
        hosts: &[&str],
        victims: &[&str],
        events: &mut Vec<(Duration, Fault)>,
    ) {
        let lasts = random.duration(Duration::from_millis(1)..=self.every.saturating_mul(3));
        let end = at.saturating_add(lasts);
        let victim = match kind {
            Kind::Disk | Kind::PowerFailure => random.choose(&self.disks).cloned(),
            _ => random.choose(victims).copied().map(str::to_owned),
        };
        let mut both = |begin, over| events.extend([(at, begin), (end.min(self.until), over)]);
        match (kind, victim) {
            (Kind::Partition, _) => {
                for (from, to) in sides(random, hosts) {
                    both(
                        Fault::Cut(from.clone(), to.clone()),
                        Fault::Join(from.clone(), to.clone()),
                    );
                    both(Fault::Cut(to.clone(), from.clone()), Fault::Join(to, from));
                }
            }
            (Kind::OneWayCut, _) => {
                if let Some((from, to)) = link(random, hosts) {
                    both(Fault::Cut(from.clone(), to.clone()), Fault::Join(from, to));
                }
            }
            (Kind::Clog, _) => {
                if let Some((from, to)) = link(random, hosts) {
                    both(Fault::Clog(from.clone(), to.clone()), Fault::Join(from, to));
                }
            }
            (Kind::Loss, _) => {
                let percent = 1 + random.below(30);
                both(Fault::Loss(percent as f64 / 100.0), Fault::Loss(0.0));
            }
            (Kind::Crash, Some(host)) => both(Fault::Crash(host.clone()), Fault::Restart(host)),
            (Kind::Kill, Some(host)) => both(Fault::Kill(host.clone()), Fault::Restart(host)),
            (Kind::Pause, Some(host)) => both(Fault::Pause(host.clone()), Fault::Resume(host)),
            (Kind::Clock, Some(host)) => {
                let seconds = random.below(7_200) as f64 - 3_600.0;
                events.push((at, Fault::Clock(host, seconds)));
            }
            (Kind::Kernel(fault), Some(host)) => {
                let probability = (1 + random.below(50)) as f64 / 100.0;
                both(
                    Fault::Kernel(host.clone(), fault, probability),
                    Fault::Kernel(host, fault, 0.0),
                );
            }
            (Kind::Disk, Some(host)) => {
                let faults = [DiskFault::Full, DiskFault::Failing, DiskFault::SyncFailing];
                let fault = faults[random.below(faults.len())];
                both(Fault::Disk(host.clone(), fault), Fault::Disk(host, DiskFault::Well));
            }
            (Kind::PowerFailure, Some(host)) => {
                let fails = Fault::Disk(host.clone(), DiskFault::PowerFailing);
                both(fails, Fault::Restart(host));
            }
            (_, None) => {}
        }
    }
}

/// How many faults begin: for hours of them.
const MOST: u32 = 10_000;

/// Two hosts.
fn link(random: &Random, hosts: &[&str]) -> Option<(String, String)> {
    let from = random.below(hosts.len());
    let others = hosts.len().checked_sub(1).filter(|others| *others > 0)?;
    let to = (from + 1 + random.below(others)) % hosts.len();
    Some((hosts.get(from)?.to_string(), hosts.get(to)?.to_string()))
}

/// The links between two sides into which the hosts fall.
fn sides(random: &Random, hosts: &[&str]) -> Vec<(String, String)> {
    let side: Vec<bool> = hosts.iter().map(|_| random.chance(0.5)).collect();
    let of = |wanted: bool| {
        let side = &side;
        (0..hosts.len()).filter(move |index| side[*index] == wanted)
    };
    of(true)
        .flat_map(|from| of(false).map(move |to| (hosts[from].to_owned(), hosts[to].to_owned())))
        .collect()
}

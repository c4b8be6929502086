//! Which links are cut.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::sim::disk::Disk;
use crate::sim::host::HostId;

/// What nothing passes over.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// There may be any of the others. It is asked about for all that is sent.
    is_any: Cell<bool>,
    /// From where to where.
    links: RefCell<BTreeMap<(HostId, HostId), Cut>>,
    /// Hosts that are off.
    down: RefCell<BTreeSet<HostId>>,
    /// How often hosts have crashed.
    crashes: RefCell<BTreeMap<HostId, u64>>,
    /// Disks whose power may fail, and with it their host's, before it is off.
    disks: RefCell<BTreeMap<HostId, Disk>>,
}

/// How a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// What is sent is lost.
    Lossy,
    /// What is sent waits.
    Clogged,
}

impl Cuts {
    /// Whether there may be any.
    pub(super) fn is_any(&self) -> bool {
        self.is_any.get()
    }

    pub(super) fn set(&self, from: HostId, to: HostId, cut: Option<Cut>) {
        self.is_any.set(true);
        let mut links = self.links.borrow_mut();
        match cut {
            Some(cut) => drop(links.insert((from, to), cut)),
            None => drop(links.remove(&(from, to))),
        }
    }

    pub(super) fn clear(&self) {
        self.links.borrow_mut().clear();
    }

    pub(super) fn set_down(&self, host: HostId, is_down: bool) {
        let mut down = self.down.borrow_mut();
        if is_down {
            self.is_any.set(true);
            if down.insert(host) {
                *self.crashes.borrow_mut().entry(host).or_default() += 1;
            }
        } else {
            down.remove(&host);
        }
    }

    pub(super) fn add_disk(&self, host: HostId, disk: Disk) {
        self.is_any.set(true);
        self.disks.borrow_mut().insert(host, disk);
    }

    /// Which life of the host this is; `None`: it is off.
    pub(super) fn life(&self, host: HostId) -> Option<u64> {
        let crashes = || self.crashes.borrow().get(&host).copied().unwrap_or(0);
        (!self.is_down(host)).then(crashes)
    }

    pub(super) fn is_down(&self, host: HostId) -> bool {
        let has_power = |disk: &Disk| disk.has_power();
        if !self.is_any() {
            return false;
        }
        self.down.borrow().contains(&host) || !self.disks.borrow().get(&host).is_none_or(has_power)
    }

    pub(super) fn between(&self, from: HostId, to: HostId) -> Option<Cut> {
        if !self.is_any() {
            return None;
        }
        if self.is_down(from) || self.is_down(to) {
            return Some(Cut::Lossy);
        }
        self.links.borrow().get(&(from, to)).copied()
    }
}

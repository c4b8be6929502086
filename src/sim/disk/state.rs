//! A disk with its files, and what is wrong with it.

use std::collections::BTreeMap;
use std::io;

use super::content::Content;
use super::fault::DiskFault;
use super::survival::{Survival, mixed};

/// Tells that the power has failed.
pub(super) type OnPowerFailure = Box<dyn Fn() + Send>;

pub(super) struct State {
    seed: u64,
    /// How often something was lost. Each time it is something else.
    losses: u64,
    files: BTreeMap<String, Content>,
    /// Which programs may use it: what others have opened is theirs no more.
    run: u64,
    has_power: bool,
    /// How much there is room for, in bytes; `None`: for all.
    capacity: Option<u64>,
    /// And for no more than that meanwhile.
    limit: Option<u64>,
    fault: DiskFault,
    on_power_failure: OnPowerFailure,
}

/// A file that a program has opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) name: Box<str>,
    run: u64,
}

impl State {
    pub(super) fn new(seed: u64, on_power_failure: OnPowerFailure) -> Self {
        Self {
            seed,
            losses: 0,
            files: BTreeMap::new(),
            run: 0,
            has_power: true,
            capacity: None,
            limit: None,
            fault: DiskFault::Well,
            on_power_failure,
        }
    }

    pub(super) fn files(&self) -> &BTreeMap<String, Content> {
        &self.files
    }

    pub(super) fn space(&self) -> u64 {
        self.files.values().map(Content::space).sum()
    }

    pub(super) fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    pub(super) fn has_power(&self) -> bool {
        self.has_power
    }

    pub(super) fn set(&mut self, fault: DiskFault) {
        match fault {
            DiskFault::Full => self.limit = Some(self.space()),
            DiskFault::Rot => self.rot(),
            DiskFault::Well => (self.limit, self.fault) = (None, fault),
            DiskFault::Failing | DiskFault::SyncFailing | DiskFault::PowerFailing => {
                self.fault = fault;
            }
        }
    }

    /// The programs that have used it are gone, and with `is_crash` so is what was not synced.
    pub(super) fn end_run(&mut self, is_crash: bool) {
        self.run += 1;
        if is_crash && self.has_power {
            self.lose();
        }
    }

    /// Programs begin.
    pub(super) fn begin_run(&mut self) {
        self.has_power = true;
        if self.fault == DiskFault::PowerFailing {
            self.fault = DiskFault::Well;
        }
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<Opened> {
        self.check()?;
        self.files.entry(name.to_owned()).or_default();
        Ok(Opened { name: name.into(), run: self.run })
    }

    /// The file, if the program that has opened it is there still and the disk works.
    pub(super) fn file(&mut self, opened: &Opened) -> io::Result<&mut Content> {
        if opened.run != self.run {
            return Err(io::Error::other("the program that has opened this file has ended"));
        }
        self.check()?;
        self.files.get_mut(&*opened.name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes as much as there is room for, and returns how much that is.
    pub(super) fn write(&mut self, opened: &Opened, offset: u64, data: &[u8]) -> io::Result<usize> {
        let room = self.capacity.into_iter().chain(self.limit).min();
        let room = room.map(|most| most.saturating_sub(self.space()));
        let file = self.file(opened)?;
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MOST);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let length = file.room(&(offset..end), room) as usize;
        if length == 0 && !data.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write(offset, &data[..length]);
        Ok(length)
    }

    pub(super) fn set_length(&mut self, opened: &Opened, length: u64) -> io::Result<()> {
        let file = self.file(opened)?;
        if length > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.set_length(length as usize);
        Ok(())
    }

    pub(super) fn sync(&mut self, opened: &Opened) -> io::Result<()> {
        self.file(opened)?;
        match self.fault {
            DiskFault::PowerFailing => {
                self.lose();
                self.has_power = false;
                (self.on_power_failure)();
                self.check()
            }
            DiskFault::SyncFailing => {
                let survival = self.survival(&opened.name);
                let shown = mixed(self.seed ^ !self.losses).is_multiple_of(2);
                self.losses += 1;
                self.file(opened)?.fail_to_sync(&survival, shown);
                Err(io::Error::other("the disk of the simulation has failed to sync"))
            }
            _ => {
                self.file(opened)?.sync();
                Ok(())
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        if !self.has_power {
            return Err(io::Error::other("the power of the simulated machine has failed"));
        }
        if self.fault == DiskFault::Failing {
            return Err(io::Error::other("the disk of the simulation fails"));
        }
        Ok(())
    }

    /// What was not synced is lost, as far as the seed wants.
    fn lose(&mut self) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        for name in names {
            let survival = self.survival(&name);
            if let Some(file) = self.files.get_mut(&name)
                && !file.lose_power(&survival)
            {
                self.files.remove(&name);
            }
        }
        self.losses += 1;
    }

    fn rot(&mut self) {
        let chance = mixed(self.seed ^ mixed(self.losses));
        self.losses += 1;
        let count = self.files.len().max(1);
        let file = self.files.values_mut().nth((chance >> 8) as usize % count);
        if let Some(file) = file {
            let place = (chance >> 16) as usize % file.seen().len().max(1);
            file.rot(place, (chance & 7) as u32);
        }
    }

    fn survival(&self, name: &str) -> Survival {
        let seed = mixed(self.seed ^ mixed(self.losses));
        Survival::new(name.bytes().fold(seed, |seed, byte| mixed(seed ^ u64::from(byte))))
    }
}

/// How long a file may be: it is in memory.
const MOST: u64 = 1 << 32;

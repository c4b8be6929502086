//! A disk with its files, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::content::Content;
use super::directory::{Directory, FileId};
use super::fault::DiskFault;
use super::survival::{Survival, mixed};

/// Tells that the power has failed.
pub(super) type OnPowerFailure = Box<dyn Fn() + Send>;

pub(super) struct State {
    seed: u64,
    /// How often something was lost. Each time it is something else.
    losses: u64,
    files: BTreeMap<FileId, File>,
    directory: Directory,
    /// Which programs may use it: what others have opened is theirs no more.
    run: u64,
    has_power: bool,
    /// Its machine is on: a program may use it.
    is_on: bool,
    /// How much there is room for, in bytes; `None`: for all.
    capacity: Option<u64>,
    /// And for no more than that meanwhile.
    limit: Option<u64>,
    fault: DiskFault,
    on_power_failure: OnPowerFailure,
}

struct File {
    /// The name that it was made with.
    name: Box<str>,
    content: Content,
}

/// A file that a program has opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) name: Box<str>,
    file: FileId,
    run: u64,
}

impl State {
    pub(super) fn new(seed: u64, on_power_failure: OnPowerFailure) -> Self {
        Self {
            seed,
            losses: 0,
            files: BTreeMap::new(),
            directory: Directory::default(),
            run: 0,
            has_power: true,
            is_on: true,
            capacity: None,
            limit: None,
            fault: DiskFault::Well,
            on_power_failure,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.directory.seen().keys().cloned().collect()
    }

    pub(super) fn content(&self, name: &str) -> Option<&Content> {
        Some(&self.files.get(&self.directory.get(name)?)?.content)
    }

    pub(super) fn space(&self) -> u64 {
        let seen = self.directory.seen().values().filter_map(|file| self.files.get(file));
        seen.map(|file| file.content.space()).sum()
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
        self.is_on = false;
        if is_crash && self.has_power {
            self.lose();
        }
        self.free();
    }

    /// Programs begin.
    pub(super) fn begin_run(&mut self) {
        self.has_power = true;
        self.is_on = true;
        if self.fault == DiskFault::PowerFailing {
            self.fault = DiskFault::Well;
        }
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<Opened> {
        self.check()?;
        let file = self.directory.get(name).unwrap_or_else(|| {
            let file = self.files.last_key_value().map_or(0, |(last, _)| last + 1);
            self.files.insert(file, File { name: name.into(), content: Content::default() });
            self.directory.make(name, file);
            file
        });
        Ok(Opened { name: name.into(), file, run: self.run })
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.check_program()?;
        if self.directory.rename(from, to) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.check_program()?;
        if self.directory.remove(name) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Makes names durable.
    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        self.check_program()?;
        match self.fault {
            DiskFault::PowerFailing => self.fail_power(),
            DiskFault::SyncFailing => Err(failed_to_sync()),
            _ => {
                self.directory.sync();
                for file in self.directory.seen().values() {
                    if let Some(file) = self.files.get_mut(file) {
                        file.content.is_there();
                    }
                }
                Ok(())
            }
        }
    }

    /// The file, if the program that has opened it is there still and the disk works.
    pub(super) fn file(&mut self, opened: &Opened) -> io::Result<&mut Content> {
        if opened.run != self.run {
            return Err(io::Error::other("the program that has opened this file has ended"));
        }
        self.check()?;
        let file = self.files.get_mut(&opened.file);
        file.map(|file| &mut file.content).ok_or_else(|| io::ErrorKind::NotFound.into())
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
            DiskFault::PowerFailing => self.fail_power(),
            DiskFault::SyncFailing => {
                let survival = self.survival(self.name(opened.file));
                let shown = mixed(self.seed ^ !self.losses).is_multiple_of(2);
                self.losses += 1;
                self.file(opened)?.fail_to_sync(&survival, shown);
                Err(failed_to_sync())
            }
            _ => {
                self.file(opened)?.sync();
                self.directory.file_is_synced(opened.file);
                Ok(())
            }
        }
    }

    fn fail_power(&mut self) -> io::Result<()> {
        self.lose();
        self.has_power = false;
        (self.on_power_failure)();
        self.check()
    }

    fn check_program(&self) -> io::Result<()> {
        if !self.is_on {
            return Err(io::Error::other("no program runs on the machine of this disk"));
        }
        self.check()
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
        let ids: Vec<FileId> = self.files.keys().copied().collect();
        let mut left = BTreeSet::new();
        for id in ids {
            let survival = self.survival(self.name(id));
            if let Some(file) = self.files.get_mut(&id)
                && file.content.lose_power(&survival)
            {
                left.insert(id);
            }
        }
        let survival = self.survival("");
        self.directory.lose_power(&survival, &left);
        self.free();
        self.losses += 1;
    }

    /// Forgets files without names: nobody has opened them any more.
    fn free(&mut self) {
        self.files.retain(|id, _| self.directory.knows(*id));
    }

    fn name(&self, id: FileId) -> &str {
        self.files.get(&id).map_or("", |file| &file.name)
    }

    fn rot(&mut self) {
        let chance = mixed(self.seed ^ mixed(self.losses));
        self.losses += 1;
        let seen = self.directory.seen();
        let id = seen.values().nth((chance >> 8) as usize % seen.len().max(1));
        if let Some(file) = id.and_then(|id| self.files.get_mut(id)) {
            let content = &mut file.content;
            let place = (chance >> 16) as usize % content.seen().len().max(1);
            content.rot(place, (chance & 7) as u32);
        }
    }

    fn survival(&self, name: &str) -> Survival {
        let seed = mixed(self.seed ^ mixed(self.losses));
        Survival::new(name.bytes().fold(seed, |seed, byte| mixed(seed ^ u64::from(byte))))
    }
}

fn failed_to_sync() -> io::Error {
    io::Error::other("the disk of the simulation has failed to sync")
}

/// How long a file may be: it is in memory.
const MOST: u64 = 1 << 32;

//! Which file has which name, and which of that is durable.

use std::collections::{BTreeMap, BTreeSet};

use super::survival::Survival;

/// Files in the order in which they were made.
pub(super) type FileId = u64;

/// The names of a disk. What changes becomes durable in its order, as in a journal.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// What programs see.
    seen: BTreeMap<String, FileId>,
    /// What is there when the power has failed and nothing else is left.
    durable: BTreeMap<String, FileId>,
    /// What came since.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Made(String, FileId),
    Renamed(String, String),
    Removed(String),
}

impl Directory {
    pub(super) fn get(&self, name: &str) -> Option<FileId> {
        self.seen.get(name).copied()
    }

    /// What programs see, in the order of names.
    pub(super) fn seen(&self) -> &BTreeMap<String, FileId> {
        &self.seen
    }

    pub(super) fn make(&mut self, name: &str, file: FileId) {
        self.change(Change::Made(name.to_owned(), file));
    }

    /// Whether there was such a file.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let is_there = self.seen.contains_key(from);
        if is_there && from != to {
            self.change(Change::Renamed(from.to_owned(), to.to_owned()));
        }
        is_there
    }

    /// Whether there was such a file.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let is_there = self.seen.contains_key(name);
        if is_there {
            self.change(Change::Removed(name.to_owned()));
        }
        is_there
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    /// All is durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A file was synced: it is there, and so is what came before it was made.
    pub(super) fn file_is_synced(&mut self, file: FileId) {
        let is_it = |change: &Change| matches!(change, Change::Made(_, made) if *made == file);
        if let Some(index) = self.pending.iter().position(is_it) {
            for change in self.pending.drain(..=index) {
                change.apply(&mut self.durable);
            }
        }
    }

    /// The power has failed: of the files that were made these are left, and of other changes the first ones.
    pub(super) fn lose_power(&mut self, survival: &Survival, left: &BTreeSet<FileId>) {
        let count = self.pending.iter().filter(|change| !change.is_new()).count();
        let mut most = survival.first_of(count);
        for change in self.pending.drain(..) {
            let is_left = match &change {
                Change::Made(_, file) => left.contains(file),
                Change::Renamed(..) | Change::Removed(_) => {
                    let is_left = most > 0;
                    most = most.saturating_sub(1);
                    is_left
                }
            };
            if is_left {
                change.apply(&mut self.durable);
            }
        }
        self.seen.clone_from(&self.durable);
    }

    /// Whether it has a name, or has it again when the power fails.
    pub(super) fn knows(&self, file: FileId) -> bool {
        let is_it = |(_, known): (&String, &FileId)| *known == file;
        self.seen.iter().any(is_it) || self.durable.iter().any(is_it)
    }
}

impl Change {
    fn is_new(&self) -> bool {
        matches!(self, Self::Made(..))
    }

    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Made(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Renamed(from, to) => {
                // One that was made, and is not left, has nothing to rename.
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

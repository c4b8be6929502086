//! Where tasks are kept.
//!
//! The coordinator reads at once and writes in [`Batch`]es, each of which is kept whole or not at all. What it tells others
//! of a batch waits until that is durable.

mod database;
mod disk;
#[cfg(test)]
pub(crate) mod faults;
mod index;
#[cfg(test)]
mod index_tests;
mod journal;
mod medium;
mod memory;
mod new_file;
mod output;
mod recent;
mod schedules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;

pub use disk::{DiskStore, DiskWriter, EncodedBatch, FORMAT};
pub use index::{Changes, Counts, Found, Index};
pub use journal::Journal;
pub use medium::Medium;
pub use memory::MemoryStore;
pub(crate) use new_file::NewFile;
pub use output::OutputRow;
pub use schedules::ScheduleChange;

use crate::schedule::ScheduleRecord;
use crate::task::{Record, TaskId};

/// Which task, within a store: they count up in the order in which tasks were submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

/// What tasks are kept in.
pub trait Store {
    /// A task.
    ///
    /// # Errors
    /// The store cannot be read.
    fn record(&self, key: Key) -> Result<Option<Record>, StoreError>;

    /// The task with an id.
    ///
    /// # Errors
    /// The store cannot be read.
    fn key_of(&self, id: &TaskId) -> Result<Option<Key>, StoreError>;

    /// What is kept of a task's output: from the row on that has the byte at `offset`, with offsets, until there are
    /// `most` bytes of text or more.
    ///
    /// # Errors
    /// The store cannot be read.
    fn output(
        &self,
        key: Key,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, OutputRow)>, StoreError>;

    /// Shows every task, in the order in which they were submitted.
    ///
    /// # Errors
    /// The store cannot be read, or `visit` fails.
    fn for_each(
        &self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// All schedules, in the order of their names.
    ///
    /// # Errors
    /// The store cannot be read.
    fn schedules(&self) -> Result<Vec<ScheduleRecord>, StoreError>;
}

/// Changes that are kept together.
#[derive(Debug)]
pub struct Batch {
    /// They count up.
    pub number: u64,
    /// What changes; at most one for each task.
    pub changes: Vec<(Key, Change)>,
    /// What tasks have written, by task and offset; `None`: it is kept no more.
    pub output: Vec<(Key, u64, Option<OutputRow>)>,
    /// What changes of schedules; at most one for each.
    pub schedules: Vec<ScheduleChange>,
}

/// What becomes of a task in the store.
#[derive(Clone, Debug)]
pub enum Change {
    /// It was not there, and is kept so.
    New(Rc<Record>),
    /// It is kept so.
    Put(Rc<Record>),
    /// It is forgotten.
    Remove(TaskId),
}

/// The store cannot be opened, read or written, and why.
#[derive(Clone, Debug)]
pub struct StoreError(pub Box<str>);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the store: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

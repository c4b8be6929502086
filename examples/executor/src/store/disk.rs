//! A store in a file, by redb.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableTable as _, StorageBackend, TableDefinition, TableError};

use super::{Batch, Change, Key, Store, StoreError};
use crate::task::{Record, TaskId};

/// Tasks, as JSON.
const TASKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("tasks");
/// Which task has an id.
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
/// What else there is: the format, and how often the store was opened.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// How tasks are written. One that is newer is refused.
const FORMAT: u64 = 1;

/// A store in a file. It is read on the loop's thread; a [`DiskWriter`] writes it on another.
#[derive(Debug)]
pub struct DiskStore {
    database: Arc<Database>,
    epoch: u32,
}

impl DiskStore {
    /// Opens or makes the store at `path`. Only one process has it.
    ///
    /// # Errors
    /// It is in use, is no store or one of a newer version, is damaged, or cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::begin(Database::create(path).map_err(failed)?)
    }

    /// Opens or makes a store in something else than a file, for tests with faults.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(backend: impl StorageBackend) -> Result<Self, StoreError> {
        Self::begin(Database::builder().create_with_backend(backend).map_err(failed)?)
    }

    fn begin(database: Database) -> Result<Self, StoreError> {
        let transaction = database.begin_write().map_err(failed)?;
        let epoch = {
            transaction.open_table(TASKS).map_err(failed)?;
            transaction.open_table(IDS).map_err(failed)?;
            let mut facts = transaction.open_table(FACTS).map_err(failed)?;
            let format = facts.get("format").map_err(failed)?.map(|format| format.value());
            if let Some(format) = format.filter(|format| *format != FORMAT) {
                let text = format!("its format is {format}, and this program knows {FORMAT} only");
                return Err(StoreError(text.into()));
            }
            facts.insert("format", FORMAT).map_err(failed)?;
            let epoch = facts.get("epoch").map_err(failed)?.map_or(0, |epoch| epoch.value()) + 1;
            facts.insert("epoch", epoch).map_err(failed)?;
            u32::try_from(epoch).map_err(failed)?
        };
        transaction.commit().map_err(failed)?;
        Ok(Self { database: Arc::new(database), epoch })
    }

    /// How often it was opened, this time included.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Who writes it, on any thread.
    pub fn writer(&self) -> DiskWriter {
        DiskWriter { database: Arc::clone(&self.database) }
    }
}

impl Store for DiskStore {
    fn record(&self, key: Key) -> Result<Option<Record>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let tasks = transaction.open_table(TASKS).map_err(failed)?;
        let Some(kept) = tasks.get(key.0).map_err(failed)? else { return Ok(None) };
        decode(kept.value()).map(Some)
    }

    fn key_of(&self, id: &TaskId) -> Result<Option<Key>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let ids = transaction.open_table(IDS).map_err(failed)?;
        Ok(ids.get(id.as_str()).map_err(failed)?.map(|key| Key(key.value())))
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let tasks = transaction.open_table(TASKS).map_err(failed)?;
        for kept in tasks.iter().map_err(failed)? {
            let (key, value) = kept.map_err(failed)?;
            visit(Key(key.value()), decode(value.value())?)?;
        }
        Ok(())
    }
}

/// Writes a [`DiskStore`].
#[derive(Clone, Debug)]
pub struct DiskWriter {
    database: Arc<Database>,
}

impl DiskWriter {
    /// Keeps batches, all of them or none. They are on the disk when this returns.
    ///
    /// # Errors
    /// The disk is full or fails. The store is as it was.
    pub fn commit(&self, batches: &[EncodedBatch]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction.set_durability(Durability::Immediate);
        {
            let mut tasks = transaction.open_table(TASKS).map_err(failed)?;
            let mut ids = transaction.open_table(IDS).map_err(failed)?;
            for (key, id, value) in batches.iter().flat_map(|batch| &batch.changes) {
                match value {
                    Some(value) => {
                        tasks.insert(key, value.as_slice()).map_err(failed)?;
                        ids.insert(id.as_str(), key).map_err(failed)?;
                    }
                    None => {
                        tasks.remove(key).map_err(failed)?;
                        // The id may be that of a new task by now.
                        let is_its = |kept: redb::AccessGuard<'_, u64>| kept.value() == *key;
                        if ids.get(id.as_str()).map_err(failed)?.is_some_and(is_its) {
                            ids.remove(id.as_str()).map_err(failed)?;
                        }
                    }
                }
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Copies the store to a new file while it is in use: all of it as it is at one moment.
    ///
    /// # Errors
    /// `path` is there already, or one of the two cannot be read or written.
    pub fn back_up(&self, path: &Path) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError(format!("{} is there already", path.display()).into()));
        }
        let from = self.database.begin_read().map_err(failed)?;
        let copy = Database::create(path).map_err(failed)?;
        let to = copy.begin_write().map_err(failed)?;
        copy_table(&from, &to, TASKS)?;
        copy_table(&from, &to, IDS)?;
        copy_table(&from, &to, FACTS)?;
        to.commit().map_err(failed)
    }
}

/// A [`Batch`] as it is written.
#[derive(Debug)]
pub struct EncodedBatch {
    /// Its number.
    pub number: u64,
    changes: Vec<(u64, String, Option<Vec<u8>>)>,
}

impl EncodedBatch {
    /// What `batch` is on the disk.
    ///
    /// # Errors
    /// It is no JSON, which does not happen.
    pub fn new(batch: &Batch) -> Result<Self, StoreError> {
        let encode = |(key, change): &(Key, Change)| {
            Ok(match change {
                Change::Put(record) => {
                    let value = serde_json::to_vec(&**record).map_err(failed)?;
                    (key.0, record.id.as_str().to_owned(), Some(value))
                }
                Change::Remove(id) => (key.0, id.as_str().to_owned(), None),
            })
        };
        let changes = batch.changes.iter().map(encode).collect::<Result<_, StoreError>>()?;
        Ok(Self { number: batch.number, changes })
    }
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &redb::WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let kept = match from.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        kept => kept.map_err(failed)?,
    };
    let mut copy = to.open_table(table).map_err(failed)?;
    for entry in kept.iter().map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        copy.insert(key.value(), value.value()).map_err(failed)?;
    }
    Ok(())
}

fn decode(value: &[u8]) -> Result<Record, StoreError> {
    serde_json::from_slice(value)
        .map_err(|error| StoreError(format!("a task in it cannot be read: {error}").into()))
}

fn failed(error: impl Display) -> StoreError {
    StoreError(error.to_string().into())
}

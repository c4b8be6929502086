//! A store in a file, by redb.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, Durability, ReadOnlyTable, ReadableTable as _, TableDefinition, TableError};
use serde::de::DeserializeOwned;

use super::database::{SharedDatabase, contained, failed};
use super::medium::{FileMedium, Medium};
use super::schedules::{self, EncodedSchedule, SCHEDULES};
use super::{Batch, Change, Key, NewFile, OutputRow, Store, StoreError};
use crate::schedule::ScheduleRecord;
use crate::task::{Record, TaskId};

/// Tasks, as JSON.
const TASKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("tasks");
/// Which task has an id.
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
/// What tasks have written, as JSON, by task and offset.
const OUTPUT: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("output");
/// What else there is: the format, and how often the store was opened.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// How tasks are written. One that is newer is refused.
pub const FORMAT: u64 = 1;

/// How many openings a copy is ahead of its original: fences that workers have from the original, after the copy was taken,
/// are none of the copy's.
const COPY_IS_LATER: u64 = 1 << 16;

/// A store in a file. It is read on the loop's thread; a [`DiskWriter`] writes it on another.
///
/// A disk that fails, or is full, is an error of what was to be read or written, and no more: the next call tries it again.
#[derive(Debug)]
pub struct DiskStore {
    database: Arc<SharedDatabase>,
    epoch: u32,
    /// How often it was written.
    commits: Arc<AtomicU64>,
    /// What is read, until there is something newer: to open it costs as much as some dozens of reads.
    snapshot: RefCell<Option<Snapshot>>,
}

impl DiskStore {
    /// Opens or makes the store at `path`. Only one process has it.
    ///
    /// # Errors
    /// It is in use, is no store or one of another version, is damaged, or cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_in(FileMedium::open(path)?)
    }

    /// Opens or makes a store in something else than a file, for tests with faults.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(backend: impl Medium) -> Result<Self, StoreError> {
        let database = SharedDatabase::open(backend)?;
        let format = database.read(format_of)?;
        if let Some(format) = format.filter(|format| *format != FORMAT) {
            let text = format!("its format is {format}, and this program knows {FORMAT} only");
            return Err(StoreError(text.into()));
        }
        let epoch = u32::try_from(database.write(begin)?).map_err(failed)?;
        let (commits, snapshot) = (Arc::default(), RefCell::default());
        Ok(Self { database: Arc::new(database), epoch, commits, snapshot })
    }

    /// How often it was opened, this time included.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Who writes it, on any thread.
    pub fn writer(&self) -> DiskWriter {
        DiskWriter { database: Arc::clone(&self.database), commits: Arc::clone(&self.commits) }
    }

    /// Reads what is durable.
    fn read<R>(&self, act: impl Fn(&Snapshot) -> Result<R, StoreError>) -> Result<R, StoreError> {
        self.database.read_opened(|database, opened| {
            // Counted before it is opened: it may have more, and never less.
            let version = (opened, self.commits.load(Ordering::Acquire));
            let mut snapshot = self.snapshot.borrow_mut();
            let newest = match snapshot.take().filter(|known| known.version == version) {
                Some(known) => known,
                None => Snapshot::new(database, version)?,
            };
            act(snapshot.insert(newest))
        })
    }
}

impl Store for DiskStore {
    fn record(&self, key: Key) -> Result<Option<Record>, StoreError> {
        let kept =
            self.read(|snapshot| Ok(snapshot.tasks.get(key.0)?.map(|kept| decode(kept.value()))));
        kept?.transpose()
    }

    fn key_of(&self, id: &TaskId) -> Result<Option<Key>, StoreError> {
        self.read(|snapshot| Ok(snapshot.ids.get(id.as_str())?.map(|key| Key(key.value()))))
    }

    fn output(
        &self,
        key: Key,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, OutputRow)>, StoreError> {
        self.database.read(|database| {
            let output = database.begin_read()?.open_table(OUTPUT)?;
            let before = output.range((key.0, 0)..=(key.0, offset))?.next_back().transpose()?;
            let first = before.map_or(offset, |(at, _)| at.value().1);
            let (mut rows, mut length) = (Vec::new(), 0);
            for kept in output.range((key.0, first)..=(key.0, u64::MAX))? {
                if length >= most {
                    break;
                }
                let (at, value) = kept?;
                let row: OutputRow = decode(value.value())?;
                length += row.length() as usize;
                rows.push((at.value().1, row));
            }
            Ok(rows)
        })
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let tasks =
            self.database.read(|database| Ok(database.begin_read()?.open_table(TASKS)?))?;
        let visited = contained(|| {
            for kept in tasks.iter()? {
                let (key, value) = kept?;
                visit(Key(key.value()), decode(value.value())?)?;
            }
            Ok(())
        });
        visited?
    }

    fn schedules(&self) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.database.read(|database| schedules::read(&database.begin_read()?))
    }
}

/// The store as it was at one moment.
struct Snapshot {
    /// How often the database was opened, and written.
    version: (u64, u64),
    tasks: ReadOnlyTable<u64, &'static [u8]>,
    ids: ReadOnlyTable<&'static str, u64>,
}

impl Snapshot {
    fn new(database: &Database, version: (u64, u64)) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let (tasks, ids) = (transaction.open_table(TASKS)?, transaction.open_table(IDS)?);
        Ok(Self { version, tasks, ids })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Snapshot").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Writes a [`DiskStore`].
#[derive(Clone, Debug)]
pub struct DiskWriter {
    database: Arc<SharedDatabase>,
    commits: Arc<AtomicU64>,
}

impl DiskWriter {
    /// Keeps batches, all of them or none. They are on the disk when this returns.
    ///
    /// # Errors
    /// The disk is full or fails. The store is as it was, or has them all: to commit them again is right in both cases.
    pub fn commit(&self, batches: &[EncodedBatch]) -> Result<(), StoreError> {
        self.database.write(|database| write(database, batches))?;
        self.commits.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Copies the store to a new file while it is in use: all of it as it is at one moment. There is no file of that name
    /// before all of it is on the disk.
    ///
    /// # Errors
    /// `path` is there already, or one of the two cannot be read or written.
    pub fn back_up(&self, path: &Path) -> Result<(), StoreError> {
        let refused = |error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists => {
                StoreError(format!("{} is there already", path.display()).into())
            }
            _ => failed(error),
        };
        let copy = NewFile::create(path).map_err(refused)?;
        self.back_up_into(copy.file().try_clone().map_err(failed)?)?;
        copy.finish().map_err(refused)
    }

    /// Copies the store into an empty file while it is in use, as [`back_up`](Self::back_up).
    ///
    /// # Errors
    /// The file has something in it, or one of the two cannot be read or written.
    pub fn back_up_into(&self, file: File) -> Result<(), StoreError> {
        if file.metadata().map_err(failed)?.len() > 0 {
            return Err(StoreError("a copy goes into an empty file".into()));
        }
        let from = self.database.read(|database| Ok(database.begin_read()?))?;
        let copied = contained(|| {
            let copy = Database::builder().create_file(file)?;
            let to = copy.begin_write()?;
            copy_table(&from, &to, TASKS)?;
            copy_table(&from, &to, IDS)?;
            copy_table(&from, &to, OUTPUT)?;
            copy_table(&from, &to, SCHEDULES)?;
            copy_table(&from, &to, FACTS)?;
            {
                let mut facts = to.open_table(FACTS)?;
                let epoch = facts.get("epoch")?.map_or(0, |epoch| epoch.value());
                facts.insert("epoch", epoch + COPY_IS_LATER)?;
            }
            Ok(to.commit()?)
        });
        copied?
    }
}

/// A row of output, by task and offset, as it is written.
type EncodedRow = ((u64, u64), Option<Vec<u8>>);

/// A [`Batch`] as it is written.
#[derive(Debug)]
pub struct EncodedBatch {
    /// Its number.
    pub number: u64,
    changes: Vec<(u64, EncodedChange)>,
    output: Vec<EncodedRow>,
    schedules: Vec<EncodedSchedule>,
}

/// A [`Change`] as it is written.
#[derive(Debug)]
enum EncodedChange {
    New(TaskId, Vec<u8>),
    Put(Vec<u8>),
    Remove(TaskId),
}

impl EncodedBatch {
    /// What `batch` is on the disk.
    ///
    /// # Errors
    /// It is no JSON, which does not happen.
    pub fn new(batch: &Batch) -> Result<Self, StoreError> {
        // In the order of the keys: what lies side by side is written side by side.
        let mut sorted: Vec<_> = batch.changes.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        let value = |record: &Record| serde_json::to_vec(record).map_err(failed);
        let encode = |(key, change): &(Key, Change)| {
            let change = match change {
                Change::New(record) => EncodedChange::New(record.id.clone(), value(record)?),
                Change::Put(record) => EncodedChange::Put(value(record)?),
                Change::Remove(id) => EncodedChange::Remove(id.clone()),
            };
            Ok((key.0, change))
        };
        let changes = sorted.into_iter().map(encode).collect::<Result<_, StoreError>>()?;
        let output = batch.output.iter().map(|(key, offset, row)| {
            let row = row.as_ref().map(serde_json::to_vec).transpose().map_err(failed)?;
            Ok(((key.0, *offset), row))
        });
        let output = output.collect::<Result<_, StoreError>>()?;
        let schedules = batch.schedules.iter().map(schedules::encode).collect::<Result<_, _>>()?;
        Ok(Self { number: batch.number, changes, output, schedules })
    }
}

/// How its tasks are written; `None`: it is new.
fn format_of(database: &Database) -> Result<Option<u64>, StoreError> {
    match database.begin_read()?.open_table(FACTS) {
        Ok(facts) => Ok(facts.get("format")?.map(|format| format.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the tables, if it is new, and returns how often it was opened.
fn begin(database: &Database) -> Result<u64, StoreError> {
    let transaction = database.begin_write()?;
    transaction.open_table(TASKS)?;
    transaction.open_table(IDS)?;
    transaction.open_table(OUTPUT)?;
    transaction.open_table(SCHEDULES)?;
    let mut facts = transaction.open_table(FACTS)?;
    facts.insert("format", FORMAT)?;
    let epoch = facts.get("epoch")?.map_or(0, |epoch| epoch.value()) + 1;
    facts.insert("epoch", epoch)?;
    drop(facts);
    transaction.commit()?;
    Ok(epoch)
}

fn write(database: &Database, batches: &[EncodedBatch]) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate);
    let mut tasks = transaction.open_table(TASKS)?;
    let mut ids = transaction.open_table(IDS)?;
    let mut output = transaction.open_table(OUTPUT)?;
    for (key, change) in batches.iter().flat_map(|batch| &batch.changes) {
        match change {
            EncodedChange::New(id, value) => {
                tasks.insert(key, value.as_slice())?;
                ids.insert(id.as_str(), key)?;
            }
            EncodedChange::Put(value) => {
                tasks.insert(key, value.as_slice())?;
            }
            EncodedChange::Remove(id) => {
                tasks.remove(key)?;
                output.retain_in((*key, 0)..=(*key, u64::MAX), |_, _| false)?;
                // The id may be that of a new task by now.
                let is_its = |kept: redb::AccessGuard<'_, u64>| kept.value() == *key;
                if ids.get(id.as_str())?.is_some_and(is_its) {
                    ids.remove(id.as_str())?;
                }
            }
        }
    }
    for (at, row) in batches.iter().flat_map(|batch| &batch.output) {
        match row {
            Some(row) => output.insert(at, row.as_slice())?,
            None => output.remove(at)?,
        };
    }
    drop((tasks, ids, output));
    schedules::write(&transaction, batches.iter().flat_map(|batch| &batch.schedules))?;
    Ok(transaction.commit()?)
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &redb::WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let kept = match from.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        kept => kept?,
    };
    let mut copy = to.open_table(table)?;
    for entry in kept.iter()? {
        let (key, value) = entry?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value)
        .map_err(|error| StoreError(format!("a task in it cannot be read: {error}").into()))
}

/// Says that a store is of another format.
#[cfg(test)]
pub(super) fn set_format(backend: impl redb::StorageBackend, format: u64) {
    let database = Database::builder().create_with_backend(backend).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(FACTS).unwrap().insert("format", format).unwrap();
    transaction.commit().unwrap();
}

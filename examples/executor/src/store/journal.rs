//! What is changed and not in the store yet, in front of the store.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::output::OutputLog;
use super::recent::Recent;
use super::{Batch, Change, Index, Key, OutputRow, Store, StoreError};
use crate::schedule::{ScheduleName, ScheduleRecord};
use crate::task::{Piece, Record, TaskId};

/// A store with changes in front of it that are not durable yet. It is read as if they were.
#[derive(Debug)]
pub struct Journal<S> {
    store: S,
    index: Index,
    /// What changes, with the number of the last batch that it is in.
    pending: HashMap<Key, (u64, Change)>,
    /// What was changed lately, and is most likely to change again.
    recent: Recent,
    /// The ids of what is new or goes.
    ids: HashMap<TaskId, Key>,
    /// What the next batch has.
    next: Vec<Key>,
    /// What the next batch has of the output of tasks.
    next_output: BTreeMap<(Key, u64), Option<OutputRow>>,
    /// The output of those that write.
    logs: HashMap<Key, Log>,
    /// And of schedules.
    schedules: BTreeMap<ScheduleName, Option<Rc<ScheduleRecord>>>,
    /// Its number.
    number: u64,
    /// The last batch that is durable.
    durable: u64,
}

/// The output of a task.
#[derive(Debug)]
struct Log {
    log: OutputLog,
    /// The last batch that has something of it: what is read from the store before that is durable lacks it.
    batch: u64,
    is_open: bool,
}

impl<S: Store> Journal<S> {
    /// Nothing changes yet.
    pub fn new(store: S) -> Self {
        Self {
            store,
            index: Index::default(),
            pending: HashMap::new(),
            recent: Recent::default(),
            ids: HashMap::new(),
            next: Vec::new(),
            next_output: BTreeMap::new(),
            logs: HashMap::new(),
            schedules: BTreeMap::new(),
            number: 1,
            durable: 0,
        }
    }

    /// What is behind.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// Where each task is, changes included.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Shows every task of the store, and notes where it is. It comes first, and once.
    ///
    /// # Errors
    /// The store cannot be read, or `visit` fails.
    pub fn for_each(
        &mut self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { store, index, .. } = self;
        store.for_each(&mut |key, record| {
            index.add(key, &record);
            visit(key, record)
        })
    }

    /// A task.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn record(&self, key: Key) -> Result<Option<Rc<Record>>, StoreError> {
        match self.pending.get(&key) {
            Some((_, Change::New(record) | Change::Put(record))) => Ok(Some(Rc::clone(record))),
            Some((_, Change::Remove(_))) => Ok(None),
            None => match self.recent.record(key) {
                Some(record) => Ok(Some(record)),
                None => Ok(self.store.record(key)?.map(Rc::new)),
            },
        }
    }

    /// The task with an id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn key_of(&self, id: &TaskId) -> Result<Option<Key>, StoreError> {
        let key = match self.ids.get(id) {
            Some(key) => Some(*key),
            None => self.store.key_of(id)?,
        };
        let is_removed = |key: &Key| matches!(self.pending.get(key), Some((_, Change::Remove(_))));
        Ok(key.filter(|key| !is_removed(key)))
    }

    /// Whether a task is in the store as it is.
    pub fn is_durable(&self, key: Key) -> bool {
        !self.pending.contains_key(&key)
    }

    /// A task is so from now on.
    pub fn put(&mut self, key: Key, record: Rc<Record>) {
        if self.index.put(key, &record) {
            self.ids.insert(record.id.clone(), key);
            self.change(key, Change::New(record));
        } else {
            self.change(key, Change::Put(record));
        }
    }

    /// A task is forgotten.
    pub fn remove(&mut self, key: Key, id: TaskId) {
        self.index.remove(key);
        self.logs.remove(&key);
        self.next_output.retain(|(task, _), _| *task != key);
        self.change(key, Change::Remove(id));
    }

    fn change(&mut self, key: Key, change: Change) {
        self.recent.remove(key);
        let former = self.pending.insert(key, (self.number, change));
        let Some((_, former)) = former.filter(|(number, _)| *number == self.number) else {
            self.next.push(key);
            return;
        };
        // The batch that it is new in is this one still.
        if let Change::New(_) = former
            && let Some((_, change)) = self.pending.get_mut(&key)
            && let Change::Put(record) = change
        {
            *change = Change::New(Rc::clone(record));
        }
    }

    /// An attempt of a task has written more, at an offset of its own; what it says again changes nothing. At most `most`
    /// bytes of the task's output are kept. Returns the batch that has it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn append_output(
        &mut self,
        key: Key,
        attempt: u32,
        offset: u64,
        pieces: &[Piece],
        most: usize,
    ) -> Result<u64, StoreError> {
        let log = match self.logs.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let log = OutputLog::new(self.store.output(key, 0, usize::MAX)?);
                entry.insert(Log { log, batch: 0, is_open: true })
            }
        };
        log.is_open = true;
        let changes = log.log.append(attempt, offset, pieces, most);
        if !changes.is_empty() {
            log.batch = self.number;
        }
        let batch = log.batch;
        self.next_output.extend(changes.into_iter().map(|(at, row)| ((key, at), row)));
        Ok(batch)
    }

    /// Whether all that a task has written is durable.
    pub fn has_all_output(&self, key: Key) -> bool {
        self.logs.get(&key).is_none_or(|log| log.batch <= self.durable)
    }

    /// A task writes nothing more for now: what is only in the store has to be read again before it does.
    pub fn close_output(&mut self, key: Key) {
        if let Some(log) = self.logs.get_mut(&key) {
            log.is_open = false;
            if log.batch <= self.durable {
                self.logs.remove(&key);
            }
        }
    }

    /// A schedule is so from now on; `None`: it is forgotten. Whoever changes it keeps it: it is not read again.
    pub fn put_schedule(&mut self, name: ScheduleName, record: Option<Rc<ScheduleRecord>>) {
        self.schedules.insert(name, record);
    }

    /// The number of the batch that what changes now is in: it is durable when that is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Which batch must be durable before somebody is told of what is in `batch`; `None`: it is. There may be nothing in
    /// it, since nothing has changed.
    pub fn awaited(&self, batch: u64) -> Option<u64> {
        let last = if self.is_unchanged() { self.number - 1 } else { self.number };
        Some(batch.min(last)).filter(|batch| *batch > self.durable)
    }

    /// What has changed since the last batch, to be made durable.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.is_unchanged() {
            return None;
        }
        let change = |key: Key| Some((key, self.pending.get(&key)?.1.clone()));
        let changes = self.next.drain(..).filter_map(change).collect();
        let number = self.number;
        self.number += 1;
        let output = std::mem::take(&mut self.next_output);
        let output = output.into_iter().map(|((key, offset), row)| (key, offset, row)).collect();
        let schedules = std::mem::take(&mut self.schedules).into_iter().collect();
        Some(Batch { number, changes, output, schedules })
    }

    fn is_unchanged(&self) -> bool {
        self.next.is_empty() && self.next_output.is_empty() && self.schedules.is_empty()
    }

    /// A batch is durable, and what is behind has it.
    pub fn committed(&mut self, batch: &Batch) {
        self.durable = batch.number;
        for (key, change) in &batch.changes {
            if self.pending.get(key).is_some_and(|(number, _)| *number == batch.number) {
                self.pending.remove(key);
                let id = match change {
                    Change::New(record) | Change::Put(record) => {
                        self.recent.add(*key, record);
                        &record.id
                    }
                    Change::Remove(id) => id,
                };
                if self.ids.get(id) == Some(key) {
                    self.ids.remove(id);
                }
            }
        }
        for (key, ..) in &batch.output {
            if self.logs.get(key).is_some_and(|log| !log.is_open && log.batch <= batch.number) {
                self.logs.remove(key);
            }
        }
    }
}

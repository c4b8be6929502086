//! What is changed and not in the store yet, in front of the store.

use std::collections::HashMap;
use std::rc::Rc;

use super::recent::Recent;
use super::{Batch, Change, Index, Key, Store, StoreError};
use crate::task::{Record, TaskId};

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
    /// Its number.
    number: u64,
    /// The last batch that is durable.
    durable: u64,
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

    /// The number of the batch that what changes now is in: it is durable when that is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Which batch must be durable before somebody is told of what is in `batch`; `None`: it is. There may be nothing in
    /// it, since nothing has changed.
    pub fn awaited(&self, batch: u64) -> Option<u64> {
        let last = if self.next.is_empty() { self.number - 1 } else { self.number };
        Some(batch.min(last)).filter(|batch| *batch > self.durable)
    }

    /// What has changed since the last batch, to be made durable.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.next.is_empty() {
            return None;
        }
        let change = |key: Key| Some((key, self.pending.get(&key)?.1.clone()));
        let changes = self.next.drain(..).filter_map(change).collect();
        let number = self.number;
        self.number += 1;
        Some(Batch { number, changes })
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
    }
}

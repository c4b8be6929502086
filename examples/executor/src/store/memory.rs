use std::collections::{BTreeMap, HashMap};

use super::{Batch, Change, Key, Store, StoreError};
use crate::task::{Record, TaskId};

/// A store for tests, which ends with its owner.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<Key, Record>,
    keys: HashMap<TaskId, Key>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a batch.
    pub fn apply(&mut self, batch: &Batch) {
        for (key, change) in &batch.changes {
            match change {
                Change::New(record) | Change::Put(record) => {
                    self.keys.insert(record.id.clone(), *key);
                    self.records.insert(*key, Record::clone(record));
                }
                Change::Remove(id) => {
                    // The id may be that of a new task by now.
                    if self.keys.get(id) == Some(key) {
                        self.keys.remove(id);
                    }
                    self.records.remove(key);
                }
            }
        }
    }
}

impl Store for MemoryStore {
    fn record(&self, key: Key) -> Result<Option<Record>, StoreError> {
        Ok(self.records.get(&key).cloned())
    }

    fn key_of(&self, id: &TaskId) -> Result<Option<Key>, StoreError> {
        Ok(self.keys.get(id).copied())
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.records.iter().try_for_each(|(key, record)| visit(*key, record.clone()))
    }
}

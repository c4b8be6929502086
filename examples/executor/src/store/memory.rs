use std::collections::{BTreeMap, HashMap};

use super::{Batch, Change, Key, OutputRow, Store, StoreError};
use crate::schedule::{ScheduleName, ScheduleRecord};
use crate::task::{Record, TaskId};

/// A store for tests, which ends with its owner.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<Key, Record>,
    keys: HashMap<TaskId, Key>,
    output: BTreeMap<(Key, u64), OutputRow>,
    schedules: BTreeMap<ScheduleName, ScheduleRecord>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a batch.
    pub fn apply(&mut self, batch: &Batch) {
        for (name, record) in &batch.schedules {
            match record {
                Some(record) => {
                    self.schedules.insert(name.clone(), ScheduleRecord::clone(record));
                }
                None => {
                    self.schedules.remove(name);
                }
            }
        }
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
                    self.output.retain(|(task, _), _| task != key);
                }
            }
        }
        for (key, offset, row) in &batch.output {
            match row {
                Some(row) => self.output.insert((*key, *offset), row.clone()),
                None => self.output.remove(&(*key, *offset)),
            };
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

    fn output(
        &self,
        key: Key,
        offset: u64,
        most: usize,
    ) -> Result<Vec<(u64, OutputRow)>, StoreError> {
        let before = self.output.range((key, 0)..=(key, offset)).next_back();
        let first = before.map_or(offset, |((_, offset), _)| *offset);
        let mut length = 0;
        let rows = self.output.range((key, first)..=(key, u64::MAX)).take_while(|(_, row)| {
            let is_wanted = length < most;
            length += row.length() as usize;
            is_wanted
        });
        Ok(rows.map(|((_, offset), row)| (*offset, row.clone())).collect())
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(Key, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.records.iter().try_for_each(|(key, record)| visit(*key, record.clone()))
    }
    fn schedules(&self) -> Result<Vec<ScheduleRecord>, StoreError> {
        Ok(self.schedules.values().cloned().collect())
    }
}

//! Tasks that have not ended, and were written lately: who runs them next needs them again, and to read them from the
//! store costs more than all the rest that is done for a task.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::Key;
use crate::task::Record;

/// How many are kept.
const MOST: usize = 4096;
/// One with more arguments than this is not kept, in bytes of JSON.
const MOST_ARGUMENTS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Recent {
    records: HashMap<Key, Rc<Record>>,
    /// In which order they came. Some are not kept any more.
    order: VecDeque<Key>,
}

impl Recent {
    pub(super) fn record(&self, key: Key) -> Option<Rc<Record>> {
        self.records.get(&key).map(Rc::clone)
    }

    /// A task is so on the disk.
    pub(super) fn add(&mut self, key: Key, record: &Rc<Record>) {
        if record.outcome().is_some() || record.spec.args.get().len() > MOST_ARGUMENTS {
            return;
        }
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
        }
        self.order.push_back(key);
        self.records.insert(key, Rc::clone(record));
    }

    /// A task changes.
    pub(super) fn remove(&mut self, key: Key) {
        self.records.remove(&key);
    }
}

//! What clients ask for besides new tasks.

use std::rc::Rc;

use super::dependents::{Missing, Parents};
use super::{Coordinator, Outcome, Stop};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Phase, Record, State, TaskId};

impl<S: Store> Coordinator<S> {
    /// A task, by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn find(&self, id: &TaskId) -> Result<Option<(Key, Rc<Record>)>, StoreError> {
        let Some(key) = self.journal.key_of(id)? else { return Ok(None) };
        Ok(self.journal.record(key)?.map(|record| (key, record)))
    }

    /// Where a task is, without reading it: a list of ids may name one with a large result a hundred thousand times.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn phase(&self, id: &TaskId) -> Result<Option<(Key, Phase)>, StoreError> {
        let Some(key) = self.journal.key_of(id)? else { return Ok(None) };
        Ok(self.journal.index().phase(key).map(|phase| (key, phase)))
    }

    /// Nobody wants a task any more. One that runs is stopped, and may succeed before; one that has ended stays as it is.
    /// Returns the batch that has the change; `None`: nothing changes.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn cancel(&mut self, key: Key, now: Now) -> Result<Option<u64>, StoreError> {
        let Some(record) = self.journal.record(key)? else { return Ok(None) };
        match record.state {
            State::Ended { .. } | State::Running { cancelled: true, .. } => return Ok(None),
            State::Running { fence, .. } => {
                let mut record = Record::clone(&record);
                if let State::Running { cancelled, .. } = &mut record.state {
                    *cancelled = true;
                }
                self.journal.put(key, Rc::new(record));
                self.changed(key);
                self.stop(fence, Stop::Cancelled);
            }
            _ => self.end(key, &record, Outcome::Cancelled, None, None, now)?,
        }
        Ok(Some(self.journal.number()))
    }

    /// A task that has failed or was cancelled is tried again, as often as at first, and so are those that ended because
    /// of it. Returns the batch that has the change; `None`: it has not, or it comes after one that did not succeed,
    /// which is the one to be tried again.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn retry(&mut self, key: Key, now: Now) -> Result<Option<u64>, StoreError> {
        let Some(record) = self.journal.record(key)? else { return Ok(None) };
        if !matches!(record.outcome(), Some(Outcome::Failed | Outcome::Cancelled)) {
            return Ok(None);
        }
        // Those before one that has run had succeeded.
        let parents = match record.attempts {
            0 => self.parents(key, &record.spec.after, Missing::IsUnknown)?,
            _ => Parents::Succeeded,
        };
        let mut record = Record::clone(&record);
        match parents {
            Parents::Unknown(_) | Parents::Lost(_) => return Ok(None),
            Parents::Awaited(awaited) => {
                self.forgive(key, &mut record);
                self.block(key, &mut record, awaited)?;
                self.journal.put(key, Rc::new(record));
                self.changed(key);
            }
            Parents::Succeeded => {
                self.forgive(key, &mut record);
                self.begin(key, record, now)?;
            }
        }
        self.meter.retried += 1;
        self.revive_dependents(key, now)?;
        let batch = self.journal.number();
        self.assign(now)?;
        Ok(Some(batch))
    }

    /// No new tasks are taken, and none is given to a worker any more; or they are again.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn drain(&mut self, on: bool, now: Now) -> Result<(), StoreError> {
        self.is_draining = on;
        self.assign(now)
    }
}

//! New tasks.

use std::fmt;
use std::rc::Rc;

use super::Coordinator;
use super::dependents::{Missing, Parents};
use crate::store::{Key, Store, StoreError};
use crate::task::{InvalidSpec, Now, Record, Spec, TaskId};

/// A task was taken. Its client is told so when `batch` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub id: TaskId,
    /// Which one it is here.
    pub key: Key,
    /// The batch that has it.
    pub batch: u64,
    /// Whether it was there already.
    pub is_known: bool,
}

/// A task was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It does not keep the limits.
    Invalid(InvalidSpec),
    /// It comes after a task that is not there.
    UnknownParent(TaskId),
    /// It comes after a task that has failed or was cancelled.
    FailedParent {
        /// Which.
        id: TaskId,
        /// What became of it.
        why: Box<str>,
    },
    /// No new tasks are taken.
    Draining,
}

impl<S: Store> Coordinator<S> {
    /// Takes a task, unless there is one with its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn submit(
        &mut self,
        mut spec: Spec,
        now: Now,
    ) -> Result<Result<Submitted, Refused>, StoreError> {
        if let Err(invalid) = spec.check() {
            return Ok(Err(Refused::Invalid(invalid)));
        }
        if let Some(id) = &spec.id
            && let Some(key) = self.journal.key_of(id)?
        {
            // What it waits for may be in this batch.
            let batch = self.journal.number();
            return Ok(Ok(Submitted { id: id.clone(), key, batch, is_known: true }));
        }
        if self.is_draining {
            return Ok(Err(Refused::Draining));
        }
        let parents = self.parents(Key(self.next_key), &spec.after, Missing::IsUnknown)?;
        match &parents {
            Parents::Unknown(id) => return Ok(Err(Refused::UnknownParent(id.clone()))),
            Parents::Lost(id) => {
                let why = self.why_lost(id)?;
                return Ok(Err(Refused::FailedParent { id: id.clone(), why }));
            }
            Parents::Succeeded | Parents::Awaited(_) => {}
        }
        spec.begin_delay(now.wall);
        let key = Key(self.next_key);
        self.next_key += 1;
        let id = spec.id.take().unwrap_or_else(|| self.new_id(key));
        let mut record = Record::new(id.clone(), spec, now.wall);
        if let Some(deadline) = record.spec.deadline {
            self.clock.add_task(deadline, key);
        }
        if let Parents::Awaited(awaited) = parents {
            self.block(key, &mut record, awaited)?;
            self.journal.put(key, Rc::new(record));
            self.changed(key);
        } else {
            self.begin(key, record, now)?;
        }
        let batch = self.journal.number();
        self.assign(now)?;
        Ok(Ok(Submitted { id, key, batch, is_known: false }))
    }

    /// One that nobody else has: it says how many there were before, and cannot be guessed.
    fn new_id(&mut self, key: Key) -> TaskId {
        let random = self.random.u64(..);
        let text = format!("{:x}-{random:016x}", key.0);
        match TaskId::new(&text) {
            Ok(id) => id,
            Err(_) => unreachable!("{text} has letters, digits and a dash"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(formatter),
            Self::UnknownParent(id) => write!(formatter, "it comes after {id}, which is not there"),
            Self::FailedParent { why, .. } => formatter.write_str(why),
            Self::Draining => {
                formatter.write_str("no new tasks are taken: the coordinator is shutting down")
            }
        }
    }
}

impl std::error::Error for Refused {}

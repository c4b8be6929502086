//! Tasks that come after others.

use std::rc::Rc;

use super::{Coordinator, Outcome};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Record, State};

impl<S: Store> Coordinator<S> {
    /// A task has ended: those that come after it wait for one less, or end as well, and what comes after them.
    pub(super) fn tell_dependents(
        &mut self,
        key: Key,
        outcome: Outcome,
        now: Now,
    ) -> Result<(), StoreError> {
        // A list, since a chain may be long.
        let mut ended = vec![(key, outcome)];
        while let Some((parent, outcome)) = ended.pop() {
            for child in self.dependents.remove(&parent).unwrap_or_default() {
                let Some(record) = self.journal.record(child)? else { continue };
                let State::Blocked { parents } = record.state else { continue };
                let mut record = Record::clone(&record);
                match outcome {
                    Outcome::Succeeded if parents <= 1 => self.make_ready(child, &mut record, now),
                    Outcome::Succeeded => record.state = State::Blocked { parents: parents - 1 },
                    Outcome::Failed | Outcome::Cancelled => {
                        let id = self.journal.record(parent)?.map(|parent| parent.id.clone());
                        let id = id.as_ref().map_or("another task", |id| id.as_str());
                        record.error =
                            Some(format!("{id}, which it comes after, did not succeed").into());
                        record.state = State::Ended { outcome, at: now.wall };
                        self.clock.add_task(Self::expiry(&record, now.wall), child);
                        self.meter.ended(now.elapsed);
                        ended.push((child, outcome));
                    }
                }
                self.journal.put(child, Rc::new(record));
                self.changed(child);
            }
        }
        Ok(())
    }
}

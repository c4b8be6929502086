use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::task::{Record, Spec, State, TaskId, Timestamp};

/// A task as it waits in the stream, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueuedTask {
    /// Which one.
    pub id: TaskId,
    /// What was asked for.
    pub spec: Rc<Spec>,
    /// When, by the client's clock.
    pub submitted: Timestamp,
    /// It has ended, and is to be tried again if this is still the revision of its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<u64>,
}

impl QueuedTask {
    /// Its record before anything has become of it: as long as none is kept, it waits.
    pub(super) fn record(&self) -> Record {
        let mut record = Record::of_shared(self.id.clone(), Rc::clone(&self.spec), self.submitted);
        record.state = State::Queued { since: self.submitted };
        record
    }

    /// The same for one that cannot run yet.
    pub(super) fn later_record(&self) -> Record {
        let mut record = self.record();
        let spec = &self.spec;
        record.state = match spec.at {
            _ if !spec.after.is_empty() => {
                State::Blocked { parents: u32::try_from(spec.after.len()).unwrap_or(u32::MAX) }
            }
            Some(until) => State::Delayed { until },
            None => record.state,
        };
        record
    }
}

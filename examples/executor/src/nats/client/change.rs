//! Tasks are cancelled, and tried again by hand.

use wharf::bytes::Bytes;
use wharf_protocols::nats::NatsError;

use super::{NatsClient, parsed};
use crate::nats::decide::again;
use crate::nats::names::key;
use crate::nats::records::Written;
use crate::nats::task::QueuedTask;
use crate::task::{Outcome, State, TaskId, Timestamp};

impl NatsClient {
    /// Nobody wants a task any more: that is its outcome at once, and what a worker that runs it says is not recorded.
    /// Returns whether that changes anything.
    pub(super) async fn cancel(&self, id: &TaskId) -> Result<bool, NatsError> {
        let records = self.records().await?;
        let record = loop {
            let Some((mut record, revision)) = records.find(id).await? else { return Ok(false) };
            if record.outcome().is_some() {
                return Ok(false);
            }
            record.state = State::Ended { outcome: Outcome::Cancelled, at: Timestamp::now() };
            if let Written::At(_) = records.write(&record, revision).await? {
                break record;
            }
        };
        // Those who hear it need not look; those who do not, will.
        let connection = &self.session.connection;
        let _ = connection.publish(&self.session.names.cancelled(id), "");
        let json = serde_json::to_vec(&record).unwrap_or_default();
        let _ = connection.publish(&self.session.names.ended(id), json);
        if let Some(waiting) = records.waiting(id).await? {
            records.withdraw(&waiting.subject).await?;
        }
        Ok(true)
    }

    /// The same for several, of which it returns how many that changes.
    pub(super) async fn cancel_all(&self, ids: &[TaskId]) -> Result<u64, NatsError> {
        let mut changed = 0;
        for id in ids {
            changed += u64::from(self.cancel(id).await?);
        }
        Ok(changed)
    }

    /// Tries a task again that has failed or was cancelled. Returns whether it has.
    pub(super) async fn retry(&self, id: &TaskId) -> Result<bool, NatsError> {
        let records = self.records().await?;
        let Some((record, revision)) = records.read(id).await? else { return Ok(false) };
        if !matches!(record.outcome(), Some(Outcome::Failed | Outcome::Cancelled)) {
            return Ok(false);
        }
        let task = QueuedTask {
            id: id.clone(),
            spec: record.spec.clone(),
            submitted: record.submitted,
            again: Some(revision),
        };
        // What may be left of it would be in the way.
        if let Some(waiting) = records.waiting(id).await? {
            records.withdraw(&waiting.subject).await?;
        }
        // The message first: it alone has the task tried again, if this is the end of this process.
        let subject = records.names.queue(task.spec.priority, &task.spec.kind, id);
        let message_id = format!("{}.again.{revision}", key(id));
        records.publish(subject, &task, &message_id).await?;
        // A worker may have been quicker, and have told already of the new end; what was told of the former one is not true.
        let attempts = record.attempts;
        records.write(&again(record, Timestamp::now()), revision).await?;
        let is_new = |told: &Bytes| parsed(told).is_none_or(|record| record.attempts > attempts);
        self.heard.borrow_mut().keep_if(&key(id), is_new);
        Ok(true)
    }
}

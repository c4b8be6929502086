//! What tasks write: a stream of its own, whose messages are parts of it.

use std::time::{Duration, Instant};

use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::JetStreamPublish;

use super::names::key;
use super::records::{Records, is_unreachable, is_unreachable_or_full, json};
use super::setup;
use crate::task::{Record, TaskId};
use crate::wire::OutputPart;

/// How long one try may take, until it is looked whether there is a stream.
const TRY: Duration = Duration::from_secs(1);

/// How long until servers that have refused the stream are asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// Whether there is a stream for what tasks write.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum OutputStream {
    #[default]
    Unknown,
    IsThere,
    /// The servers have no room for it, for example.
    Refused(Instant),
}

impl Records {
    /// Keeps what a task has written. It waits for servers that can.
    ///
    /// # Errors
    /// The stream cannot be made, the part is too large for a message, or the client is closed.
    pub(super) async fn keep_output(
        &self,
        record: &Record,
        part: &OutputPart,
        (replicas, keep): (usize, Duration),
    ) -> Result<(), NatsError> {
        let OutputPart { offset, attempt, .. } = part;
        // Whoever says it again says it once.
        let message_id = format!("{}.{}.{attempt}.{offset}", key(&record.id), record.submitted.0);
        let message = JetStreamPublish::new(self.names.output(&record.id), json(part)?)
            .message_id(&message_id)?;
        let publish = async || {
            self.make_output(replicas, keep).await?;
            let jetstream = self.jetstream.clone().timeout(TRY);
            let published = jetstream.publish_message(message.clone()).await;
            if matches!(published, Err(NatsError::NoResponders | NatsError::TimedOut)) {
                // Somebody may have deleted it.
                self.output.set(OutputStream::Unknown);
            }
            published
        };
        self.until(publish, is_unreachable_or_full).await.map(drop)
    }

    /// Makes the stream unless it is there. Who cannot have it does not wait for it: tasks are worth more than what they write.
    async fn make_output(&self, replicas: usize, keep: Duration) -> Result<(), NatsError> {
        let now = self.event_loop().time();
        match self.output.get() {
            OutputStream::IsThere => return Ok(()),
            OutputStream::Refused(since) if now.saturating_duration_since(since) < AGAIN => {
                return Err(NatsError::Invalid("there is no stream for it".to_owned()));
            }
            _ => {}
        }
        match setup::output(&self.jetstream, &self.names, replicas, keep).await {
            Ok(()) => self.output.set(OutputStream::IsThere),
            Err(error @ NatsError::JetStream(_)) if !is_unreachable(&error) => {
                self.output.set(OutputStream::Refused(now));
                return Err(NatsError::Invalid(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The first part of what a task has written whose message has this number or a higher one, with its number.
    pub(super) async fn output_from(
        &self,
        id: &TaskId,
        number: u64,
    ) -> Result<Option<(u64, OutputPart)>, NatsError> {
        let (stream, subject) = (self.names.output_stream(), self.names.output(id));
        let mut next = number;
        loop {
            let request = serde_json::json!({ "seq": next, "next_by_subj": subject });
            let found = self.patiently(async || self.stored(&stream, &request).await).await?;
            let Some(stored) = found else { return Ok(None) };
            if let Ok(part) = serde_json::from_slice(&stored.payload) {
                return Ok(Some((stored.number, part)));
            }
            // What others have published there and is none hides nothing behind it.
            next = stored.number + 1;
        }
    }

    /// The last part of what a task has written; `None` also if what is there is none.
    pub(super) async fn output_end(&self, id: &TaskId) -> Result<Option<OutputPart>, NatsError> {
        let stream = self.names.output_stream();
        let request = serde_json::json!({ "last_by_subj": self.names.output(id) });
        let found = self.patiently(async || self.stored(&stream, &request).await).await?;
        Ok(found.and_then(|stored| serde_json::from_slice(&stored.payload).ok()))
    }
}

/// How many bytes of text a part has.
pub(super) fn length(part: &OutputPart) -> u64 {
    part.pieces.iter().map(|piece| piece.text().len() as u64).sum()
}

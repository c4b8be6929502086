//! What is known of tasks: the bucket of records, and the stream of those that wait.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wharf::EventLoop;
use wharf_protocols::nats::jetstream::{
    ApiError, JetStream, JetStreamPublish, KeyValue, Update, Watch,
};
use wharf_protocols::nats::{NatsError, Publish};

use super::decide::{Parent, is_expired};
use super::names::{Names, key};
use super::options::NatsOptions;
use super::output::OutputStream;
use super::setup;
use super::task::QueuedTask;
use crate::task::{Record, State, TaskId, Timestamp};

/// How long one try of an operation may take, until it is tried again.
const TRY: Duration = Duration::from_secs(3);
/// How long until something is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// When nobody has answered for so long, it is looked whether the streams are there.
const GONE: Duration = Duration::from_secs(1);

/// The buckets and the stream. A clone is the same.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) jetstream: JetStream,
    pub(super) names: Names,
    options: Rc<NatsOptions>,
    bucket: KeyValue,
    pub(super) control: KeyValue,
    pub(super) output: Rc<Cell<OutputStream>>,
}

/// A message of a stream.
pub(super) struct Stored {
    /// Its number.
    pub(super) number: u64,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is the record now, with this revision.
    At(u64),
    /// The record has another revision than was expected: somebody else has changed it.
    Lost,
}

/// A task that waits in the stream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) task: QueuedTask,
    pub(super) subject: String,
    pub(super) is_later: bool,
}

impl Records {
    pub(super) fn new(
        jetstream: &JetStream,
        names: &Names,
        options: &NatsOptions,
        bucket: KeyValue,
        control: KeyValue,
    ) -> Self {
        let (jetstream, names) = (jetstream.clone().timeout(TRY), names.clone());
        let options = Rc::new(options.clone());
        Self { jetstream, names, options, bucket, control, output: Rc::default() }
    }

    /// Makes stream and buckets again if servers say that one is not there: somebody has deleted it. Whoever misses it does,
    /// since there may be nobody else.
    pub(super) async fn make_again(&self) {
        let buckets = [self.names.bucket(), self.names.control()];
        let streams = buckets.map(|bucket| format!("KV_{bucket}"));
        for stream in streams.into_iter().chain([self.names.stream()]) {
            if let Err(NatsError::JetStream(error)) = self.jetstream.stream_info(&stream).await
                && error.is_not_found()
            {
                // What is in the way now is tried again by who asks again.
                let _ = setup::open(&self.jetstream, &self.names, &self.options).await;
                return;
            }
        }
    }

    /// A record that is kept, and its revision. It waits for servers that can answer.
    pub(super) async fn read(&self, id: &TaskId) -> Result<Option<(Record, u64)>, NatsError> {
        let key = key(id);
        let entry = self.patiently(async || self.bucket.get(&key).await).await?;
        let Some(entry) = entry else { return Ok(None) };
        let record: Record = serde_json::from_slice(&entry.value)
            .map_err(|error| NatsError::Unexpected(format!("the record of {id}: {error}")))?;
        Ok(Some((record, entry.revision))
            .filter(|(record, _)| !is_expired(record, Timestamp::now())))
    }

    /// Writes a record if its revision is still this one; 0: there is none. It waits for servers that can answer, and for
    /// room on their disks.
    ///
    /// # Errors
    /// The record is too large, or the client is closed.
    pub(super) async fn write(&self, record: &Record, revision: u64) -> Result<Written, NatsError> {
        self.write_json(&record.id, &json(record)?, revision).await
    }

    /// The same with a record as JSON.
    pub(super) async fn write_json(
        &self,
        id: &TaskId,
        json: &[u8],
        revision: u64,
    ) -> Result<Written, NatsError> {
        let key = key(id);
        let mut expected = revision;
        loop {
            let update = async || self.bucket.update(&key, json, expected).await;
            match self.until(update, is_unreachable_or_full).await {
                Ok(revision) => return Ok(Written::At(revision)),
                Err(NatsError::JetStream(error)) if error.is_wrong_last_sequence() => {}
                Err(error) => return Err(error),
            }
            // The answer to an earlier try may have been lost.
            match self.patiently(async || self.bucket.get(&key).await).await? {
                Some(entry) if entry.value == json => return Ok(Written::At(entry.revision)),
                // What was there has expired.
                None if expected > 0 => expected = 0,
                Some(entry) if self.has_expired(&entry.value) => expected = entry.revision,
                _ => return Ok(Written::Lost),
            }
        }
    }

    /// All records that are kept, in the order of their revisions, and then each change.
    pub(super) async fn watch(&self) -> Result<Watch, NatsError> {
        self.patiently(async || self.bucket.watch(">").await).await
    }

    /// Tells of all records that are kept, with their revisions, in the order of these.
    pub(super) async fn each(&self, mut tell: impl FnMut(Record, u64)) -> Result<(), NatsError> {
        let mut records = self.watch().await?;
        while let Update::Entry(entry) = records.next().await? {
            if let Ok(record) = serde_json::from_slice::<Record>(&entry.value)
                && !is_expired(&record, Timestamp::now())
            {
                tell(record, entry.revision);
            }
        }
        Ok(())
    }

    /// A task in the stream.
    pub(super) async fn waiting(&self, id: &TaskId) -> Result<Option<Waiting>, NatsError> {
        // It may be on its way from the one to the other.
        for (subject, is_later) in [(self.names.later(id), true), (self.names.somewhere(id), false)]
        {
            let (stream, request) =
                (self.names.stream(), serde_json::json!({ "last_by_subj": subject }));
            let found = self.patiently(async || self.stored(&stream, &request).await).await?;
            if let Some(Stored { subject, payload, .. }) = found
                && let Ok(task) = serde_json::from_slice::<QueuedTask>(&payload)
            {
                return Ok(Some(Waiting { task, subject, is_later }));
            }
        }
        Ok(None)
    }

    /// All that is known of a task, and the revision of its record; 0: it has none yet.
    pub(super) async fn find(&self, id: &TaskId) -> Result<Option<(Record, u64)>, NatsError> {
        if let Some(known) = self.read(id).await? {
            return Ok(Some(known));
        }
        if let Some(waiting) = self.waiting(id).await? {
            let record =
                if waiting.is_later { waiting.task.later_record() } else { waiting.task.record() };
            return Ok(Some((record, 0)));
        }
        // A task leaves the stream after it is recorded.
        self.read(id).await
    }

    /// What is known of a task that others come after.
    pub(super) async fn parent(&self, id: &TaskId) -> Result<Parent, NatsError> {
        Ok(match self.find(id).await? {
            None => Parent::Gone,
            Some((Record { state: State::Ended { outcome, .. }, .. }, _)) => Parent::Ended(outcome),
            Some(_) => Parent::Pending,
        })
    }

    /// Puts a task into the stream, and gives whether it was not there. `message_id` makes it one message, however often it is tried within two minutes.
    pub(super) async fn publish(
        &self,
        subject: String,
        task: &QueuedTask,
        message_id: &str,
    ) -> Result<bool, NatsError> {
        let json = json(task)?;
        // Not while there is one of this id.
        let message = JetStreamPublish::new(subject, json)
            .expected_last_subject_sequence(0)
            .message_id(message_id)?;
        let published =
            self.patiently(async || self.jetstream.publish_message(message.clone()).await).await;
        match published {
            Ok(acknowledged) => Ok(!acknowledged.duplicate),
            Err(NatsError::JetStream(error)) if error.is_wrong_last_sequence() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a task out of the stream.
    pub(super) async fn withdraw(&self, subject: &str) -> Result<(), NatsError> {
        let stream = self.names.stream();
        let purge = async || self.jetstream.purge_stream(&stream, Some(subject)).await;
        self.patiently(purge).await.map(drop)
    }

    pub(super) fn event_loop(&self) -> &EventLoop {
        self.jetstream.client().event_loop()
    }

    fn has_expired(&self, json: &[u8]) -> bool {
        serde_json::from_slice(json).is_ok_and(|record| is_expired(&record, Timestamp::now()))
    }

    /// A message of a stream, by one of the ways that JetStream's API has; `None` if there is none, or no such stream.
    pub(super) async fn stored(
        &self,
        stream: &str,
        request: &serde_json::Value,
    ) -> Result<Option<Stored>, NatsError> {
        #[derive(Deserialize)]
        struct Answer {
            message: Option<Message>,
            error: Option<ApiError>,
        }
        #[derive(Deserialize)]
        struct Message {
            subject: String,
            seq: u64,
            #[serde(default)]
            data: String,
        }
        let api = format!("$JS.API.STREAM.MSG.GET.{stream}");
        let request = request.to_string();
        let request = Publish::new(&api, request.as_bytes());
        let answer = self.jetstream.client().request_message(request, TRY).await?;
        let unexpected = |error: &dyn std::fmt::Display| NatsError::Unexpected(error.to_string());
        let answer: Answer =
            serde_json::from_slice(answer.payload()).map_err(|error| unexpected(&error))?;
        match (answer.message, answer.error) {
            (Some(Message { subject, seq: number, data }), _) => {
                let payload = STANDARD.decode(&data).map_err(|error| unexpected(&error))?;
                Ok(Some(Stored { number, subject, payload }))
            }
            (None, Some(error)) if !error.is_not_found() => Err(NatsError::JetStream(error)),
            _ => Ok(None),
        }
    }

    /// Tries something until a server can do it.
    pub(super) async fn patiently<T>(
        &self,
        operation: impl AsyncFn() -> Result<T, NatsError>,
    ) -> Result<T, NatsError> {
        self.until(operation, is_unreachable).await
    }

    /// Tries something as long as its error is one that passes.
    pub(super) async fn until<T>(
        &self,
        operation: impl AsyncFn() -> Result<T, NatsError>,
        passes: fn(&NatsError) -> bool,
    ) -> Result<T, NatsError> {
        let mut pause = PAUSES.0;
        let began = self.event_loop().time();
        let is_gone = || self.event_loop().time().saturating_duration_since(began) >= GONE;
        loop {
            match operation().await {
                Err(NatsError::NoResponders) if is_gone() => self.make_again().await,
                Err(error) if passes(&error) => {}
                outcome => return outcome,
            }
            self.jetstream.client().writable().await?;
            self.event_loop().sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Anything as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, NatsError> {
    serde_json::to_vec(value).map_err(|error| NatsError::Invalid(error.to_string()))
}

/// Whether there is no server now that could do it: no connection, or no leader.
pub(super) fn is_unreachable(error: &NatsError) -> bool {
    match error {
        NatsError::NoResponders
        | NatsError::TimedOut
        | NatsError::BufferFull
        | NatsError::Connection(_) => true,
        NatsError::JetStream(error) => error.is_passing(),
        _ => false,
    }
}

/// Whether there is none, or one without room on its disk.
pub(super) fn is_unreachable_or_full(error: &NatsError) -> bool {
    match error {
        NatsError::JetStream(error) => error.code >= 500,
        error => is_unreachable(error),
    }
}

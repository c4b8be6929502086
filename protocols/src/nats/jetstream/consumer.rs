use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::LONGEST;
use super::config::ConsumerInfo;
use super::context::JetStream;
use super::message::JetStreamMessage;
use super::messages::{Messages, Pull};
use super::nanoseconds;
use super::status::Status;
use crate::nats::{NatsError, Publish};

/// A pull consumer. Cheap to clone; dropping it deletes nothing.
///
/// ```no_run
/// use wharf_protocols::nats::Options;
/// use wharf_protocols::nats::jetstream::{ConsumerConfig, JetStream, Retention, StreamConfig};
///
/// fn main() -> wharf::Result {
///     wharf::run(async |event_loop| {
///         let client = Options::new().connect(&event_loop, ["localhost"]).await?;
///         let jetstream = JetStream::new(&client);
///         let mut stream = StreamConfig::new("JOBS", ["jobs.>"]);
///         stream.retention = Retention::WorkQueue;
///         jetstream.create_stream(&stream).await?;
///         jetstream.publish("jobs.1", "sweep").await?;
///
///         let consumer = jetstream.create_consumer("JOBS", &ConsumerConfig::durable("workers")).await?;
///         let mut jobs = consumer.messages(Default::default())?;
///         // It goes on through reconnects and changes of the leader.
///         loop {
///             let job = jobs.next().await?;
///             println!("{:?}", job.payload());
///             job.ack()?;
///         }
///     })
/// }
/// ```
#[derive(Clone)]
pub struct Consumer {
    pub(super) context: JetStream,
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) created: ConsumerInfo,
}

impl Consumer {
    pub(super) fn new(context: &JetStream, info: ConsumerInfo) -> Self {
        let (stream, name) = (info.stream_name.clone(), info.name.clone());
        Self { context: context.clone(), stream, name, created: info }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// As it was when it was created or found; [`info`](Self::info) asks again.
    pub fn created(&self) -> &ConsumerInfo {
        &self.created
    }

    /// As it is.
    ///
    /// # Errors
    /// As for [`JetStream::consumer_info`].
    pub async fn info(&self) -> Result<ConsumerInfo, NatsError> {
        self.context.consumer_info(&self.stream, &self.name).await
    }

    /// As it is, asked once: whether it is there.
    pub(super) async fn ask_once(&self) -> Result<ConsumerInfo, NatsError> {
        let operation = format!("CONSUMER.INFO.{}.{}", self.stream, self.name);
        self.context.api_once(&operation).await
    }

    /// Deletes it if somebody hears it: nobody waits for that.
    pub(super) fn abandon(&self) {
        let client = self.context.client();
        if client.is_connected() {
            let operation = format!("CONSUMER.DELETE.{}.{}", self.stream, self.name);
            // What is left of it is deleted by the server, some time after the last pull.
            let _ = client.publish(&self.context.api_subject(&operation), "");
        }
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As for [`JetStream::delete_consumer`].
    pub async fn delete(&self) -> Result<(), NatsError> {
        self.context.delete_consumer(&self.stream, &self.name).await
    }

    /// Messages without an end, pulled as they are taken.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] for a heartbeat above half of the expiry; [`NatsError::Closed`].
    pub fn messages(&self, pull: Pull) -> Result<Messages, NatsError> {
        Messages::new(self, pull)
    }

    /// Up to `batch` messages: waits until they are there, or `expires` has passed.
    ///
    /// # Errors
    /// What ended the wait, if no message came before: [`NatsError::NoResponders`] while no leader is there,
    /// [`NatsError::JetStream`] if the consumer is gone. None is an empty list.
    pub async fn fetch(
        &self,
        batch: usize,
        expires: Duration,
    ) -> Result<Vec<JetStreamMessage>, NatsError> {
        let expires = expires.min(LONGEST);
        self.pull_once(PullRequest { batch, expires, ..PullRequest::default() }).await
    }

    /// Up to `batch` messages that are there now.
    ///
    /// # Errors
    /// As for [`fetch`](Self::fetch).
    pub async fn fetch_now(&self, batch: usize) -> Result<Vec<JetStreamMessage>, NatsError> {
        self.pull_once(PullRequest { batch, no_wait: true, ..PullRequest::default() }).await
    }

    async fn pull_once(&self, request: PullRequest) -> Result<Vec<JetStreamMessage>, NatsError> {
        let client = self.context.client();
        let inbox = client.new_inbox();
        let mut subscription =
            client.subscription(&inbox).capacity(request.batch.saturating_add(16)).start()?;
        // The server ends it; a little later we do, in case that is lost.
        let deadline = client.event_loop().time() + request.expires + Duration::from_secs(2);
        self.send(&request, &inbox)?;
        let mut messages = Vec::new();
        while messages.len() < request.batch {
            let next = client.event_loop().timeout_at(deadline, subscription.next());
            let Ok(next) = next.await else {
                if messages.is_empty() {
                    // Not a word: if the consumer is gone, that is the error.
                    self.info().await?;
                }
                break;
            };
            let message = next.ok_or(NatsError::Closed)?;
            match Status::of(&message) {
                None => messages.push(JetStreamMessage::new(client, message)?),
                Some(Status::Heartbeat) => (),
                Some(Status::Over { .. }) => break,
                Some(status) if messages.is_empty() => return Err(status.into_error()),
                Some(_) => break,
            }
        }
        Ok(messages)
    }

    pub(super) fn send(&self, request: &PullRequest, inbox: &str) -> Result<(), NatsError> {
        let json =
            serde_json::to_vec(request).map_err(|error| NatsError::Invalid(error.to_string()))?;
        let operation = format!("CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name);
        let subject = self.context.api_subject(&operation);
        self.context.client().publish_message(Publish::new(&subject, &json).reply(inbox))
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Consumer")
            .field("stream", &self.stream)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct PullRequest {
    pub(super) batch: usize,
    #[serde(with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub(super) expires: Duration,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) no_wait: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) max_bytes: usize,
    #[serde(with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub(super) idle_heartbeat: Duration,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

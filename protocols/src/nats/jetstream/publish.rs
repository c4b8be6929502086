use serde::Deserialize;

use crate::nats::codec::{CodecError, Headers};
use crate::nats::{NatsError, Publish};

/// A message for a stream: see [`JetStream::publish_message`](super::JetStream::publish_message).
#[derive(Clone, Debug)]
#[must_use = "it is given to `publish_message`"]
pub struct JetStreamPublish {
    subject: String,
    payload: Vec<u8>,
    headers: Headers,
    has_id: bool,
}

impl JetStreamPublish {
    /// A message without headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        let (subject, payload) = (subject.into(), payload.into());
        Self { subject, payload, headers: Headers::new(), has_id: false }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// As for [`Headers::append`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, CodecError> {
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// The message's id: within the stream's window one with the same id is kept once.
    ///
    /// # Errors
    /// As for [`Headers::append`].
    pub fn message_id(mut self, id: &str) -> Result<Self, NatsError> {
        self.headers.append("Nats-Msg-Id", id)?;
        self.has_id = true;
        Ok(self)
    }

    /// It is kept only in this stream.
    ///
    /// # Errors
    /// As for [`Headers::append`].
    pub fn expected_stream(self, name: &str) -> Result<Self, CodecError> {
        self.header("Nats-Expected-Stream", name)
    }

    /// It is kept only if this is the last message of the stream.
    pub fn expected_last_sequence(self, sequence: u64) -> Self {
        self.number("Nats-Expected-Last-Sequence", sequence)
    }

    /// It is kept only if this is the last message of its subject; 0: the first of its subject.
    pub fn expected_last_subject_sequence(self, sequence: u64) -> Self {
        self.number("Nats-Expected-Last-Subject-Sequence", sequence)
    }

    fn number(self, name: &str, number: u64) -> Self {
        self.header(name, &number.to_string()).expect("a number is a value")
    }

    pub(super) fn has_id(&self) -> bool {
        self.has_id
    }

    pub(super) fn as_publish(&self) -> Publish<'_> {
        Publish::new(&self.subject, &self.payload).headers(&self.headers)
    }
}

/// What a stream says about a message that it has kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
#[non_exhaustive]
pub struct PublishAck {
    /// The stream.
    pub stream: String,
    /// The number of the message.
    pub seq: u64,
    /// Whether it had one with this id already, and has dropped this one.
    pub duplicate: bool,
    /// The domain.
    pub domain: Option<String>,
}

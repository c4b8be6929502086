use std::fmt;
use std::time::Duration;

use wharf::bytes::Bytes;

use crate::nats::{Client, Message, NatsError, Publish};

/// A message of a consumer.
///
/// It is delivered again unless it is [acknowledged](Self::ack) in time, by whichever consumer's rule.
#[derive(Clone)]
pub struct JetStreamMessage {
    client: Client,
    message: Message,
    metadata: Metadata,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Its number in the stream.
    pub stream_sequence: u64,
    /// Its number among what the consumer has delivered.
    pub consumer_sequence: u64,
    /// How often it was delivered, this time included.
    pub delivered: u64,
    /// How many messages wait behind it.
    pub pending: u64,
    /// When it was published, in nanoseconds since 1970.
    pub timestamp: i64,
}

impl JetStreamMessage {
    pub(super) fn new(client: &Client, message: Message) -> Result<Self, NatsError> {
        let metadata = message.reply().and_then(Metadata::parse);
        let metadata = metadata.ok_or_else(|| {
            NatsError::Unexpected(format!(
                "a message of {:?} without a place in a stream",
                message.subject()
            ))
        })?;
        Ok(Self { client: client.clone(), message, metadata })
    }

    /// Where it was published.
    pub fn subject(&self) -> &str {
        self.message.subject()
    }

    /// What was published.
    pub fn payload(&self) -> &[u8] {
        self.message.payload()
    }

    /// The payload, without a copy.
    pub fn payload_bytes(&self) -> Bytes {
        self.message.payload_bytes()
    }

    /// The message itself, with its headers.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Where it comes from.
    pub fn metadata(&self) -> Metadata {
        self.metadata
    }

    /// It is done with. That is sent like a message, and can be lost; the message then comes again.
    ///
    /// # Errors
    /// As for [`Client::respond`].
    pub fn ack(&self) -> Result<(), NatsError> {
        self.client.respond(&self.message, "+ACK")
    }

    /// It is done with, and the server knows: waits for that.
    ///
    /// # Errors
    /// As for [`Client::request`].
    pub async fn ack_sync(&self) -> Result<(), NatsError> {
        let reply = self.message.reply().unwrap_or_default();
        self.client.request_while_draining(Publish::new(reply, "+ACK")).await.map(|_| ())
    }

    /// It could not be done: it is to be delivered again, at once or after `delay`, or 292 years if that is longer.
    ///
    /// # Errors
    /// As for [`Client::respond`].
    pub fn nak(&self, delay: impl Into<Option<Duration>>) -> Result<(), NatsError> {
        match delay.into() {
            None => self.client.respond(&self.message, "-NAK"),
            Some(delay) => {
                // Servers deliver a message at once if they cannot read its delay.
                let delay = delay.as_nanos().min(i64::MAX.unsigned_abs().into());
                self.client.respond(&self.message, format!("-NAK {{\"delay\":{delay}}}"))
            }
        }
    }

    /// It never can be done: it is not to be delivered again.
    ///
    /// # Errors
    /// As for [`Client::respond`].
    pub fn term(&self) -> Result<(), NatsError> {
        self.client.respond(&self.message, "+TERM")
    }

    /// It takes longer: the time for its acknowledgement begins anew.
    ///
    /// # Errors
    /// As for [`Client::respond`].
    pub fn in_progress(&self) -> Result<(), NatsError> {
        self.client.respond(&self.message, "+WPI")
    }
}

impl fmt::Debug for JetStreamMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JetStreamMessage")
            .field("message", &self.message)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl Metadata {
    /// Takes a reply subject apart: `$JS.ACK.stream.consumer.…`, or with domain and account before the stream.
    fn parse(reply: &str) -> Option<Self> {
        let tokens: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match tokens.len() {
            7 => &tokens[2..7],
            9.. => &tokens[4..9],
            _ => return None,
        };
        Some(Self {
            delivered: numbers[0].parse().ok()?,
            stream_sequence: numbers[1].parse().ok()?,
            consumer_sequence: numbers[2].parse().ok()?,
            timestamp: numbers[3].parse().ok()?,
            pending: numbers[4].parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_streams() {
        let expected = Metadata {
            delivered: 1,
            stream_sequence: 20,
            consumer_sequence: 3,
            timestamp: 1_700_000_000,
            pending: 5,
        };
        for reply in [
            "$JS.ACK.S.C.1.20.3.1700000000.5",
            "$JS.ACK._.hash.S.C.1.20.3.1700000000.5",
            "$JS.ACK.hub.hash.S.C.1.20.3.1700000000.5.random",
        ] {
            assert_eq!(Metadata::parse(reply), Some(expected), "{reply}");
        }
        for reply in [
            "",
            "_INBOX.1",
            "$JS.ACK.S.C.1.20.3.4",
            "$JS.ACK.S.C.a.20.3.1700000000.5",
            "$JS.ACK.1.2.3.4.5.6.7.8",
        ] {
            assert_eq!(Metadata::parse(reply), None, "{reply}");
        }
    }
}

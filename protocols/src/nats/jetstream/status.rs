//! What a server says in place of a message.

use super::error::ApiError;
use crate::nats::{Message, NatsError};

/// A message with a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing is there, but the server is.
    Heartbeat,
    /// A pull has ended, with so many messages that it did not get; `None`: it does not say.
    Over { left: Option<usize> },
    /// Another server leads, or is going to: to be asked again.
    Moved(String),
    /// No server answers for now.
    NoResponders,
    /// The consumer is gone.
    Deleted(String),
    /// As many pulls wait as the consumer allows: to be asked again.
    Busy(String),
    /// The pull was refused, and would be again.
    Refused(u16, String),
}

impl Status {
    /// `None`: it is a message.
    pub(super) fn of(message: &Message) -> Option<Self> {
        // Messages have a reply subject, to be acknowledged.
        if message.reply().is_some_and(|reply| reply.starts_with("$JS.ACK.")) {
            return None;
        }
        let status = message.status()?;
        let text = message.description().to_owned();
        let lower = text.to_ascii_lowercase();
        let left = message.header("Nats-Pending-Messages").and_then(|left| left.parse().ok());
        Some(match status {
            100 => Self::Heartbeat,
            404 | 408 => Self::Over { left },
            503 => Self::NoResponders,
            409 if lower.contains("consumer deleted") || lower.contains("push based") => {
                Self::Deleted(text)
            }
            409 if lower.contains("leadership change") || lower.contains("server shutdown") => {
                Self::Moved(text)
            }
            409 if lower.contains("batch completed") || lower.contains("exceeds maxbytes") => {
                Self::Over { left }
            }
            409 if lower.contains("exceeded maxwaiting") => Self::Busy(text),
            code => Self::Refused(code, text),
        })
    }

    pub(super) fn into_error(self) -> NatsError {
        let (code, description) = match self {
            Self::NoResponders => return NatsError::NoResponders,
            Self::Refused(code, text) => (code, text),
            Self::Deleted(text) => (404, text),
            Self::Moved(text) | Self::Busy(text) => (503, text),
            Self::Heartbeat | Self::Over { .. } => (408, "no messages".to_owned()),
        };
        NatsError::JetStream(ApiError { code, err_code: 0, description })
    }
}

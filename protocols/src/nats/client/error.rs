use std::error::Error as StdError;
use std::fmt;

use crate::nats::codec::CodecError;

/// Why something of a NATS client failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NatsError {
    /// A subject, header or size is not allowed; nothing was sent.
    Refused(CodecError),
    /// Nobody has subscribed to the subject of a request: the server's status 503.
    NoResponders,
    /// The answer took too long.
    TimedOut,
    /// As much is waiting to be sent as the client may keep; nothing was added. See
    /// [`Client::writable`](super::Client::writable).
    BufferFull,
    /// The client is closed, or drains.
    Closed,
    /// The connection was lost, or could not be made.
    Connection(wharf::Error),
    /// What the server said in an `-ERR`.
    Server(String),
    /// An option, an address or credentials are not right.
    Invalid(String),
    /// A message is not what was expected, such as an answer of JetStream that is no JSON.
    Unexpected(String),
    /// JetStream refused: see [`ApiError`](crate::nats::jetstream::ApiError).
    JetStream(crate::nats::jetstream::ApiError),
}

impl fmt::Display for NatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "a message or subscription is refused: {error}"),
            Self::NoResponders => f.write_str("nobody is there who could answer"),
            Self::TimedOut => f.write_str("the answer took too long"),
            Self::BufferFull => f.write_str("too much is waiting to be sent"),
            Self::Closed => f.write_str("the client is closed"),
            Self::Connection(error) => write!(f, "the connection to the server failed: {error}"),
            Self::Server(text) => write!(f, "the server said: {text}"),
            Self::Invalid(text) => write!(f, "not valid: {text}"),
            Self::Unexpected(text) => write!(f, "an unexpected message: {text}"),
            Self::JetStream(error) => write!(f, "JetStream refused: {error}"),
        }
    }
}

impl StdError for NatsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Connection(error) => Some(error),
            Self::JetStream(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CodecError> for NatsError {
    fn from(error: CodecError) -> Self {
        Self::Refused(error)
    }
}

impl From<wharf::Error> for NatsError {
    fn from(error: wharf::Error) -> Self {
        if let Some(own) = error.downcast_ref::<Self>() {
            return own.clone();
        }
        Self::Connection(error)
    }
}

use std::error::Error;
use std::fmt;
use std::io;

use super::UpgradeResponse;

/// Why an opening handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head is not HTTP/1.1 as RFC 9112 has it.
    Malformed {
        /// Where in the stream, in bytes; for what the parser refuses, the head's beginning.
        offset: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// The head is longer than the limit.
    HeadTooLong {
        /// The limit, in bytes.
        max_length: usize,
    },
    /// The head has more header fields than [`MAX_HEADER_FIELDS`](super::MAX_HEADER_FIELDS).
    TooManyFields,
    /// The request is no GET (RFC 6455, 4.1).
    Method,
    /// The request or the response is not HTTP/1.1 (RFC 6455, 4.1).
    HttpVersion,
    /// A header field is missing, is there twice, or says something else than it must.
    Field {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        rule: &'static str,
    },
    /// The client speaks another version than 13 (RFC 6455, 4.4).
    WebSocketVersion,
    /// The page is from another origin than the server allows (RFC 6455, 10.2).
    Origin(String),
    /// The server has answered with another status than 101: with which, and what it says.
    Answered(Box<UpgradeResponse>),
    /// The proxy does not connect: what it has answered.
    ProxyAnswered(Box<UpgradeResponse>),
    /// The server speaks another protocol under TLS than HTTP/1.1, which the configuration of TLS has offered (RFC 7301).
    ApplicationProtocol(String),
    /// The URL is not one of a WebSocket (RFC 6455, 3).
    Url(&'static str),
    /// Something to send cannot be said in a header field.
    Unsendable(&'static str),
    /// The server refuses, with this status.
    Refused(u16),
    /// The connection ended in the middle of the handshake.
    Truncated,
    /// The handshake took too long.
    TimedOut,
}

impl HandshakeError {
    /// The status that a server refuses the request with (RFC 6455, 4.2.2; RFC 9110, 15).
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion => 505,
            Self::Origin(_) => 403,
            Self::WebSocketVersion => 426,
            Self::HeadTooLong { .. } | Self::TooManyFields => 431,
            Self::Refused(status) => *status,
            _ => 400,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { offset, rule } => write!(formatter, "byte {offset}: {rule}"),
            Self::HeadTooLong { max_length } => {
                write!(formatter, "the head has more than {max_length} bytes")
            }
            Self::TooManyFields => formatter.write_str("the head has too many fields"),
            Self::Method => formatter.write_str("the request is not a GET"),
            Self::HttpVersion => formatter.write_str("the head is not HTTP/1.1"),
            Self::Field { name, rule } => write!(formatter, "{name} {rule}"),
            Self::WebSocketVersion => formatter.write_str("Sec-WebSocket-Version is not 13"),
            Self::Origin(origin) => write!(formatter, "the origin {origin:?} is not allowed"),
            Self::Answered(response) => {
                write!(formatter, "the server has answered with {response}")
            }
            Self::ProxyAnswered(response) => {
                write!(formatter, "the proxy has answered with {response}")
            }
            Self::ApplicationProtocol(name) => {
                write!(formatter, "the server speaks {name} under TLS, not HTTP/1.1")
            }
            Self::Url(rule) => write!(formatter, "the URL {rule}"),
            Self::Unsendable(what) => write!(formatter, "{what} cannot be sent"),
            Self::Refused(status) => write!(formatter, "the request is refused with {status}"),
            Self::Truncated => formatter.write_str("the connection ends in the opening handshake"),
            Self::TimedOut => formatter.write_str("the opening handshake takes too long"),
        }
    }
}

impl Error for HandshakeError {}

/// `InvalidInput` for a URL or a field that cannot be sent, `UnexpectedEof` where the connection ended, `TimedOut`,
/// `PermissionDenied` for what is refused; else `InvalidData`.
impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        let kind = match error {
            HandshakeError::Url(_) | HandshakeError::Unsendable(_) => io::ErrorKind::InvalidInput,
            HandshakeError::Truncated => io::ErrorKind::UnexpectedEof,
            HandshakeError::TimedOut => io::ErrorKind::TimedOut,
            HandshakeError::Origin(_)
            | HandshakeError::Refused(_)
            | HandshakeError::Answered(_)
            | HandshakeError::ProxyAnswered(_) => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

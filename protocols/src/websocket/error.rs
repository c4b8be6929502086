//! What goes wrong in receiving and sending.

use std::error::Error;
use std::fmt;
use std::io;

use super::CloseCode;

/// The peer broke a rule or a limit: which, and where.
///
/// The connection cannot go on: say [`close_code`](Self::close_code) to the peer, and close it (RFC 6455, 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketError {
    /// Where in the stream, in bytes from its beginning: for text that is not UTF-8 the character, for all else the
    /// frame.
    pub offset: u64,
    /// What was broken.
    pub violation: Violation,
}

impl WebSocketError {
    /// What to tell the peer.
    pub const fn close_code(&self) -> CloseCode {
        self.violation.close_code()
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "byte {}: {}", self.offset, self.violation)
    }
}

impl Error for WebSocketError {}

/// `InvalidData`; `UnexpectedEof` where the stream ended within a frame or a message.
impl From<WebSocketError> for io::Error {
    fn from(error: WebSocketError) -> Self {
        let kind = match error.violation {
            Violation::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// A rule or a limit that a peer can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set that no extension has given a meaning (RFC 6455, 5.2).
    ReservedBits,
    /// An opcode that is reserved (RFC 6455, 5.2).
    ReservedOpcode(u8),
    /// A close, ping or pong in fragments (RFC 6455, 5.5).
    FragmentedControl,
    /// A close, ping or pong with more than 125 bytes (RFC 6455, 5.5).
    LongControl,
    /// A length that is not encoded in the fewest bytes (RFC 6455, 5.2).
    LengthNotMinimal,
    /// A length with the most significant bit set (RFC 6455, 5.2).
    LengthNegative,
    /// A client's frame without a mask (RFC 6455, 5.1).
    MaskMissing,
    /// A server's frame with a mask (RFC 6455, 5.1).
    Masked,
    /// A continuation, but nothing to continue (RFC 6455, 5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of another (RFC 6455, 5.4).
    MissingContinuation,
    /// Text, or the reason of a close, that is not UTF-8 (RFC 6455, 5.5.1, 5.6 and 8.1).
    InvalidUtf8,
    /// A close frame whose payload is one byte: no room for a code (RFC 6455, 5.5.1).
    CloseLength,
    /// A close frame with a code that may not be sent (RFC 6455, 7.4).
    CloseCode(u16),
    /// A compressed message that is not DEFLATE (RFC 7692, 7.2.2).
    InvalidDeflate,
    /// A frame above the limit.
    FrameTooLong {
        /// The limit, in bytes of payload.
        max_length: usize,
    },
    /// A message above the limit.
    MessageTooLong {
        /// The limit, in bytes, after decompression.
        max_length: usize,
    },
    /// A message of more fragments than the limit.
    TooManyFragments {
        /// The limit.
        max_fragments: u32,
    },
    /// The stream ended in the middle of a frame or of a message.
    Truncated,
}

impl Violation {
    /// What to tell a peer that does this (RFC 6455, 7.4.1).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::FrameTooLong { .. }
            | Self::MessageTooLong { .. }
            | Self::TooManyFragments { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => formatter.write_str("a frame has a reserved bit set"),
            Self::ReservedOpcode(opcode) => {
                write!(formatter, "a frame has the reserved opcode {opcode:#x}")
            }
            Self::FragmentedControl => formatter.write_str("a control frame is fragmented"),
            Self::LongControl => formatter.write_str("a control frame has more than 125 bytes"),
            Self::LengthNotMinimal => {
                formatter.write_str("a length is not encoded in the fewest bytes")
            }
            Self::LengthNegative => formatter.write_str("a length has its first bit set"),
            Self::MaskMissing => formatter.write_str("a client's frame is not masked"),
            Self::Masked => formatter.write_str("a server's frame is masked"),
            Self::UnexpectedContinuation => {
                formatter.write_str("a continuation has nothing to continue")
            }
            Self::MissingContinuation => {
                formatter.write_str("a message begins before the last one ended")
            }
            Self::InvalidUtf8 => formatter.write_str("text is not UTF-8"),
            Self::CloseLength => formatter.write_str("a close frame has a payload of one byte"),
            Self::CloseCode(code) => {
                write!(formatter, "a close frame has the code {code}, which may not be sent")
            }
            Self::InvalidDeflate => formatter.write_str("a compressed message is damaged"),
            Self::FrameTooLong { max_length } => {
                write!(formatter, "a frame has more than {max_length} bytes")
            }
            Self::MessageTooLong { max_length } => {
                write!(formatter, "a message has more than {max_length} bytes")
            }
            Self::TooManyFragments { max_fragments } => {
                write!(formatter, "a message has more than {max_fragments} fragments")
            }
            Self::Truncated => formatter.write_str("the stream ends in the middle of a message"),
        }
    }
}

impl Error for Violation {}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A ping or pong with more than 125 bytes, or a close with more than 123 bytes of words.
    LongControl,
    /// A close code that may not be sent: see [`CloseCode::can_be_sent`].
    CloseCode(CloseCode),
    /// A close was sent before: nothing may follow it (RFC 6455, 5.5.1).
    AfterClose,
    /// A message in parts is not finished: another would be taken for more of it (RFC 6455, 5.4).
    UnfinishedMessage,
    /// A part that is not the first, but no message of its kind is under way.
    NoMessage,
    /// The parts of a text are not UTF-8 when joined.
    InvalidUtf8,
    /// A message of more bytes than the limit.
    MessageTooLong {
        /// The limit, in bytes before compression.
        max_length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongControl => {
                formatter.write_str("the payload of a control frame has more than 125 bytes")
            }
            Self::CloseCode(code) => write!(formatter, "the close code {code} may not be sent"),
            Self::AfterClose => formatter.write_str("a close was sent before"),
            Self::UnfinishedMessage => formatter.write_str("a message in parts is not finished"),
            Self::NoMessage => formatter.write_str("a part belongs to no message under way"),
            Self::InvalidUtf8 => formatter.write_str("text is not UTF-8"),
            Self::MessageTooLong { max_length } => {
                write!(formatter, "the message has more than {max_length} bytes")
            }
        }
    }
}

impl Error for EncodeError {}

/// `InvalidInput`.
impl From<EncodeError> for io::Error {
    fn from(error: EncodeError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

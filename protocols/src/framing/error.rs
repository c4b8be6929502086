use std::error::Error;
use std::fmt;
use std::io;

use super::Unfinished;

/// Why a stream could not be taken apart into frames: which rule it breaks, and where.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::framing::{FramingRule, NetstringDecoder};
///
/// let mut decoder = NetstringDecoder::new();
/// let mut input = &b"2:ok,05:hello,"[..];
/// assert_eq!(decoder.decode(&mut input), Ok(Some(&b"ok"[..])));
/// let error = decoder.decode(&mut input).unwrap_err();
/// assert_eq!((error.offset, error.rule), (5, FramingRule::LeadingZero));
/// assert_eq!(error.to_string(), "byte 5: a netstring's length begins with a zero");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FramingError {
    /// The byte that breaks the rule, counted from 0 at the start of the stream.
    pub offset: u64,
    /// The rule that it breaks.
    pub rule: FramingRule,
}

/// The rules of the codecs of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingRule {
    /// A frame must not be longer than the maximum; the offset is that of its length.
    TooLong {
        /// The length that the frame claims, in bytes without the head.
        length: u64,
        /// The maximum that it exceeds.
        max_length: usize,
    },
    /// A length that counts its head, too, must not be less than that.
    LessThanHead {
        /// The length that the frame claims.
        length: u64,
    },
    /// A varint must not have more than 64 bits.
    VarintOverflow,
    /// A varint must not end with a byte of zeros: each number has one form.
    VarintNotShortest,
    /// A netstring's length must be decimal digits, and a colon.
    NotADigit {
        /// What was there instead.
        byte: u8,
    },
    /// A netstring's length must not begin with a zero, unless it is zero.
    LeadingZero,
    /// A comma must follow a netstring.
    NoComma {
        /// What was there instead.
        byte: u8,
    },
    /// The stream must not end within a frame; the offset is where it ended.
    Unfinished {
        /// Where the frame began.
        start: u64,
    },
}

impl FramingError {
    pub(super) fn new(offset: u64, rule: FramingRule) -> Self {
        Self { offset, rule }
    }

    pub(super) fn unfinished(unfinished: Unfinished) -> Self {
        let Unfinished { start, received, .. } = unfinished;
        Self::new(start + received as u64, FramingRule::Unfinished { start })
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.rule)
    }
}

impl fmt::Display for FramingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, max_length } => {
                write!(f, "a frame of {length} bytes, where at most {max_length} are allowed")
            }
            Self::LessThanHead { length } => {
                write!(f, "a frame of {length} bytes, which is less than its head has")
            }
            Self::VarintOverflow => f.write_str("a varint has more than 64 bits"),
            Self::VarintNotShortest => f.write_str("a varint is not in its shortest form"),
            Self::NotADigit { byte } => {
                write!(f, "b'{}' in a netstring's length", byte.escape_ascii())
            }
            Self::LeadingZero => f.write_str("a netstring's length begins with a zero"),
            Self::NoComma { byte } => {
                write!(f, "b'{}' where a netstring's comma must be", byte.escape_ascii())
            }
            Self::Unfinished { start } => {
                write!(f, "the stream ends within the frame that begins at byte {start}")
            }
        }
    }
}

impl Error for FramingError {}

/// `InvalidData`; `UnexpectedEof` where the stream ended within a frame.
impl From<FramingError> for io::Error {
    fn from(error: FramingError) -> Self {
        let kind = match error.rule {
            FramingRule::Unfinished { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Why a payload cannot be sent as a frame: its decoder would refuse it, or take something else out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadError {
    /// It is longer than the maximum.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The maximum that it exceeds.
        max_length: usize,
    },
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, max_length } => {
                write!(f, "a payload of {length} bytes, where at most {max_length} are allowed")
            }
        }
    }
}

impl Error for PayloadError {}

/// `InvalidInput`.
impl From<PayloadError> for io::Error {
    fn from(error: PayloadError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

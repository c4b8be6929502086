use std::error::Error;
use std::fmt;
use std::io;

/// Why a stream could not be decoded, or an operation not be encoded: a [`Rule`], and where it was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecError {
    /// The offset of the byte that broke the rule: in the stream for a decoder, in the refused part (subject, queue
    /// group, headers …) for an encoder.
    pub offset: u64,
    /// What was broken.
    pub rule: Rule,
}

/// What a stream of NATS operations must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A control line ends with `\r\n`, and contains no other `\r` or `\n`.
    LineEnd,
    /// A control line is not longer than this many bytes, without its end.
    ControlLineLength {
        /// The limit, in bytes.
        max: usize,
    },
    /// A line begins with an operation that this side may send.
    Operation,
    /// An operation has the arguments that belong to it, and no more.
    Arguments,
    /// A size or an id is a decimal number that fits into 64 bits.
    Number,
    /// A payload, together with its headers, is not longer than this many bytes.
    PayloadLength {
        /// The limit, in bytes.
        max: usize,
    },
    /// The headers are not longer than this many bytes, and not longer than the message they are a part of.
    HeadersLength {
        /// The limit, in bytes.
        max: usize,
    },
    /// A payload ends with `\r\n`.
    PayloadEnd,
    /// The stream ends between two operations.
    Truncated,
    /// A subject has tokens between single dots, without spaces or control characters.
    Subject,
    /// A wildcard (`*`, or `>` at the end) stands only in a subject that is subscribed to, and is a whole token.
    Wildcard,
    /// The name of a queue group is not empty, and has no spaces or control characters.
    QueueGroup,
    /// Headers are `NATS/1.0`, lines of a name, a colon and a value, and an empty line.
    Headers,
    /// The name of a header is printable ASCII without a colon.
    HeaderName,
    /// The value of a header has no line ends, and no spaces at its ends.
    HeaderValue,
    /// What is sent as a part of a control line contains no line end.
    Text,
    /// The JSON of `INFO` or `CONNECT` is an object with fields of the right types.
    Json,
}

impl CodecError {
    pub(super) fn new(offset: usize, rule: Rule) -> Self {
        Self { offset: offset as u64, rule }
    }

    /// The same, of something that begins `by` bytes into the stream.
    pub(super) fn moved(self, by: u64) -> Self {
        Self { offset: self.offset + by, ..self }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineEnd => f.write_str("a control line must end with CR LF and contain neither"),
            Self::ControlLineLength { max } => {
                write!(f, "a control line is longer than {max} bytes")
            }
            Self::Operation => f.write_str("no operation that this side may send"),
            Self::Arguments => f.write_str("missing or superfluous arguments of an operation"),
            Self::Number => f.write_str("a size or id must be a decimal number of 64 bits"),
            Self::PayloadLength { max } => write!(f, "a message is longer than {max} bytes"),
            Self::HeadersLength { max } => {
                write!(f, "headers are longer than {max} bytes or than their message")
            }
            Self::PayloadEnd => f.write_str("a payload must end with CR LF"),
            Self::Truncated => f.write_str("the stream ends inside an operation"),
            Self::Subject => f.write_str(
                "a subject must have tokens between single dots, without spaces or control characters",
            ),
            Self::Wildcard => f.write_str(
                "a wildcard must be a whole token of a subject that is subscribed to, `>` the last one",
            ),
            Self::QueueGroup => {
                f.write_str("a queue group must have a name without spaces or control characters")
            }
            Self::Headers => f.write_str("headers must be NATS/1.0, lines `name: value`, and an empty line"),
            Self::HeaderName => f.write_str("a header's name must be printable ASCII without a colon"),
            Self::HeaderValue => {
                f.write_str("a header's value must have no line ends, and no spaces at its ends")
            }
            Self::Text => f.write_str("a text in a control line must have no line ends"),
            Self::Json => f.write_str("not the JSON object that belongs to the operation"),
        }
    }
}

impl Error for CodecError {}

/// `InvalidData` for what a peer can do; `InvalidInput` for what cannot be sent.
impl From<CodecError> for io::Error {
    fn from(error: CodecError) -> Self {
        let kind = match error.rule {
            Rule::Truncated => io::ErrorKind::UnexpectedEof,
            Rule::Subject
            | Rule::Wildcard
            | Rule::QueueGroup
            | Rule::HeaderName
            | Rule::HeaderValue
            | Rule::Text => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

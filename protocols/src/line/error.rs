use std::error::Error;
use std::fmt;
use std::io;

/// Why a line could not be decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError {
    /// A line to send holds its own delimiter, so that the peer would see two lines.
    ContainsDelimiter,
    /// A delimiter of no bytes cannot end a line.
    EmptyDelimiter,
    /// A line is longer than the maximum.
    TooLong {
        /// The maximum that was exceeded, in bytes without the delimiter.
        max_length: usize,
    },
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainsDelimiter => f.write_str("the line contains its own delimiter"),
            Self::EmptyDelimiter => f.write_str("a line delimiter cannot be empty"),
            Self::TooLong { max_length } => write!(f, "a line is longer than {max_length} bytes"),
        }
    }
}

impl Error for LineError {}

/// As what a peer did: `InvalidData` for a line that is too long, else `InvalidInput`.
impl From<LineError> for io::Error {
    fn from(error: LineError) -> Self {
        let kind = match error {
            LineError::TooLong { .. } => io::ErrorKind::InvalidData,
            LineError::ContainsDelimiter | LineError::EmptyDelimiter => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

use std::error::Error;
use std::fmt;
use std::io;

/// Why a line could not be decoded or encoded: which rule it breaks, and where.
///
/// In [`LineProtocol::line_refused`](super::LineProtocol::line_refused) a protocol says what becomes of the peer:
///
/// ```
/// use wharf::{Result, Transport};
/// use wharf_protocols::line::{LineError, LineProtocol, LineRule, WriteLine};
///
/// struct Polite;
///
/// impl LineProtocol for Polite {
///     fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
///         transport.write_line(line)?;
///         Ok(())
///     }
///
///     fn line_refused(&mut self, transport: &dyn Transport, error: LineError) -> Result {
///         match error.rule {
///             LineRule::TooLong { max_length } => {
///                 transport.write_line(format!("no more than {max_length} bytes, please"))?;
///             }
///             _ => {
///                 transport.write_line(format!("good-bye: {error}"))?;
///                 transport.close();
///             }
///         }
///         Ok(())
///     }
/// }
/// # use wharf::testing::Recorder;
/// # use wharf_protocols::line::{LineDecoder, Lines};
/// # fn main() -> Result {
/// # let decoder = LineDecoder::new().max_length(5);
/// # let mut recorder = Recorder::new(|| Lines::with_decoder(Polite, decoder))?;
/// # recorder.receive(b"much too long\nshort\na\rb\n")?;
/// # let sent = b"no more than 5 bytes, please\nshort\ngood-bye: byte 21: a line contains a bare line end\n";
/// # assert_eq!(recorder.sent()?, sent);
/// # assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineError {
    /// The byte that breaks the rule, counted from 0: for a decoder at the start of the stream, for an encoder at that of
    /// the line.
    pub offset: u64,
    /// The rule that it breaks.
    pub rule: LineRule,
}

/// The rules of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineRule {
    /// A line must not hold a `\r` or `\n` that is not its end: some programs would see two lines.
    BareLineEnd,
    /// A line to send must not hold its own delimiter, nor end with what makes one with the delimiter behind it: the peer
    /// would see another line.
    ContainsDelimiter,
    /// A line must not be longer than the maximum; the offset is that of the first byte above it.
    TooLong {
        /// The maximum that is exceeded, in bytes without the delimiter.
        max_length: usize,
    },
}

impl LineError {
    pub(super) const fn new(offset: u64, rule: LineRule) -> Self {
        Self { offset, rule }
    }

    /// The error of a line that begins at `start`.
    pub(super) const fn too_long(start: u64, max_length: usize) -> Self {
        Self::new(start.saturating_add(max_length as u64), LineRule::TooLong { max_length })
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.rule)
    }
}

impl fmt::Display for LineRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareLineEnd => f.write_str("a line contains a bare line end"),
            Self::ContainsDelimiter => f.write_str("the line contains its own delimiter"),
            Self::TooLong { max_length } => write!(f, "a line is longer than {max_length} bytes"),
        }
    }
}

impl Error for LineError {}

/// `InvalidData` for what a peer can do, a line that is too long or has a bare line end; else `InvalidInput`.
impl From<LineError> for io::Error {
    fn from(error: LineError) -> Self {
        let kind = match error.rule {
            LineRule::BareLineEnd | LineRule::TooLong { .. } => io::ErrorKind::InvalidData,
            LineRule::ContainsDelimiter => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// A delimiter of no bytes cannot end a line. See [`Delimiter::bytes`](super::Delimiter::bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyDelimiter;

impl fmt::Display for EmptyDelimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line delimiter cannot be empty")
    }
}

impl Error for EmptyDelimiter {}

/// `InvalidInput`.
impl From<EmptyDelimiter> for io::Error {
    fn from(error: EmptyDelimiter) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

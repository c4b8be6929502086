use std::error::Error;
use std::fmt;
use std::io;

/// Why a line could not be decoded or encoded.
///
/// In [`LineProtocol::line_refused`](super::LineProtocol::line_refused) a protocol says what becomes of the peer:
///
/// ```
/// use wharf::{Result, Transport};
/// use wharf_protocols::line::{LineError, LineProtocol, WriteLine};
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
///         match error {
///             LineError::TooLong { max_length } => {
///                 transport.write_line(format!("no more than {max_length} bytes, please"))?;
///             }
///             other => {
///                 transport.write_line(format!("good-bye: {other}"))?;
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
/// # let sent = b"no more than 5 bytes, please\nshort\ngood-bye: a line contains a bare line end\n";
/// # assert_eq!(recorder.sent()?, sent);
/// # assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError {
    /// A line holds a `\r` or `\n` that is not its end: some programs would see two lines.
    BareLineEnd,
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
            Self::BareLineEnd => f.write_str("a line contains a bare line end"),
            Self::ContainsDelimiter => f.write_str("the line contains its own delimiter"),
            Self::EmptyDelimiter => f.write_str("a line delimiter cannot be empty"),
            Self::TooLong { max_length } => write!(f, "a line is longer than {max_length} bytes"),
        }
    }
}

impl Error for LineError {}

/// `InvalidData` for what a peer can do, a line that is too long or has a bare line end; else `InvalidInput`.
impl From<LineError> for io::Error {
    fn from(error: LineError) -> Self {
        let kind = match error {
            LineError::BareLineEnd | LineError::TooLong { .. } => io::ErrorKind::InvalidData,
            LineError::ContainsDelimiter | LineError::EmptyDelimiter => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

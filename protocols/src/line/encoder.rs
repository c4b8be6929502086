use std::io::IoSlice;

use wharf::{Transport, WriteStatus};

use super::{DEFAULT_MAX_LENGTH, Delimiter, LineError, LineRule};
use crate::codec::Encoder;

/// Writes lines so that a [`LineDecoder`](super::LineDecoder) with the same options reads them back.
///
/// A line that holds its own delimiter is refused: sent as it is, the peer would take what follows
/// the delimiter for a line of its own, which lets whoever supplied the text speak for us.
///
/// ```
/// use wharf_protocols::line::{Delimiter, LineEncoder, LineError, LineRule};
///
/// # fn main() -> Result<(), LineError> {
/// let encoder = LineEncoder::new().delimiter(Delimiter::CRLF);
/// let mut output = Vec::new();
/// encoder.encode(b"SET k v", &mut output)?;
/// assert_eq!(output, b"SET k v\r\n");
///
/// let injected = b"SET k v\r\nDELETE k";
/// let error = encoder.encode(injected, &mut output).unwrap_err();
/// assert_eq!((error.rule, error.offset), (LineRule::ContainsDelimiter, 7));
/// # Ok(())
/// # }
/// ```
#[doc(alias("LinesCodec", "sendLine"))]
#[derive(Clone, Debug)]
pub struct LineEncoder {
    delimiter: Delimiter,
    max_length: usize,
    keep_bare_line_ends: bool,
}

impl LineEncoder {
    /// Lines that end with `\n` and have at most [`DEFAULT_MAX_LENGTH`] bytes.
    pub const fn new() -> Self {
        Self {
            delimiter: Delimiter::NEWLINE,
            max_length: DEFAULT_MAX_LENGTH,
            keep_bare_line_ends: false,
        }
    }

    /// What to put after each line.
    #[must_use]
    pub fn delimiter(mut self, delimiter: Delimiter) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// The longest line to take, in bytes without the delimiter.
    #[must_use]
    pub const fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// With `true`, takes lines with a `\r` or `\n` that a decoder with the same options would give back
    /// as they are. Off by default; for peers that are known to end lines at the delimiter only.
    #[must_use]
    pub const fn keep_bare_line_ends(mut self, keep: bool) -> Self {
        self.keep_bare_line_ends = keep;
        self
    }

    /// Sends `line` and the delimiter, without copying them together first.
    ///
    /// # Errors
    /// As for [`check`](Self::check); nothing is sent then.
    pub fn write_to(
        &self,
        transport: &(impl Transport + ?Sized),
        line: impl AsRef<[u8]>,
    ) -> Result<WriteStatus, LineError> {
        let line = line.as_ref();
        let delimiter = self.check(line)?;
        Ok(transport.write_vectored(&[IoSlice::new(line), IoSlice::new(delimiter)]))
    }

    /// Appends `line` and the delimiter to `output`.
    ///
    /// # Errors
    /// As for [`check`](Self::check); `output` is then unchanged.
    pub fn encode(&self, line: &[u8], output: &mut Vec<u8>) -> Result<(), LineError> {
        let delimiter = self.check(line)?;
        output.reserve(line.len() + delimiter.len());
        output.extend_from_slice(line);
        output.extend_from_slice(delimiter);
        Ok(())
    }

    /// Checks that `line` can be sent, and returns the delimiter to send after it.
    ///
    /// # Errors
    /// [`LineRule::ContainsDelimiter`] if a decoder would see another line than `line`; with
    /// [`Delimiter::NEWLINE`] and [`Delimiter::CRLF`] [`LineRule::BareLineEnd`] if there is a `\r` or `\n` in
    /// it all the same; [`LineRule::TooLong`].
    pub fn check(&self, line: &[u8]) -> Result<&[u8], LineError> {
        if line.len() > self.max_length {
            return Err(LineError::too_long(0, self.max_length));
        }
        if let Some(place) = self.delimiter.find_within(line) {
            return Err(LineError::new(place as u64, LineRule::ContainsDelimiter));
        }
        let bare =
            if self.keep_bare_line_ends { None } else { self.delimiter.find_bare_line_end(line) };
        if let Some(place) = bare {
            return Err(LineError::new(place as u64, LineRule::BareLineEnd));
        }
        Ok(self.delimiter.as_bytes())
    }
}

impl Encoder<[u8]> for LineEncoder {
    type Error = LineError;

    fn encode(&mut self, line: &[u8], output: &mut Vec<u8>) -> Result<(), LineError> {
        (*self).encode(line, output)
    }

    /// The line and the delimiter.
    fn encode_slices<R>(
        &mut self,
        line: &[u8],
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Result<R, LineError> {
        let delimiter = self.check(line)?;
        Ok(write(&[IoSlice::new(line), IoSlice::new(delimiter)]))
    }
}

impl Default for LineEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Sending lines, for every [`Transport`] and handle.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Result, Transport};
/// use wharf_protocols::line::{LineProtocol, Lines, WriteLine};
///
/// /// Repeats each line.
/// struct Repeat;
///
/// impl LineProtocol for Repeat {
///     fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
///         transport.write_line(line)?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Lines::new(Repeat))?;
/// recorder.receive(b"hello\r\n")?;
/// assert_eq!(recorder.sent()?, b"hello\n");
/// let injected = recorder.with(|_, transport| transport.write_line("x\nDELETE y"))?;
/// assert!(injected.is_err());
/// assert_eq!(recorder.sent()?, b"");
/// # Ok(())
/// # }
/// ```
pub trait WriteLine: Transport {
    /// Sends `line` and a `\n`, as [`LineEncoder::new`] has it; for other delimiters and lengths see
    /// [`LineEncoder::write_to`].
    ///
    /// # Errors
    /// As for [`LineEncoder::check`]; nothing is sent then.
    #[doc(alias("sendLine", "writeln"))]
    fn write_line(&self, line: impl AsRef<[u8]>) -> Result<WriteStatus, LineError> {
        LineEncoder::new().write_to(self, line)
    }
}

impl<T: Transport + ?Sized> WriteLine for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_line_and_delimiter() {
        let mut output = b"earlier ".to_vec();
        LineEncoder::new().encode(b"one", &mut output).unwrap();
        LineEncoder::new().delimiter(Delimiter::CRLF).encode(b"", &mut output).unwrap();
        LineEncoder::new().delimiter(Delimiter::byte(0)).encode(b"a\nb", &mut output).unwrap();
        assert_eq!(output, b"earlier one\n\r\na\nb\0");
    }

    #[test]
    fn refuses_injected_lines_and_leaves_the_output_alone() {
        let mut output = Vec::new();
        for delimiter in [Delimiter::NEWLINE, Delimiter::CRLF] {
            let encoder = LineEncoder::new().delimiter(delimiter);
            for line in [&b"hi\nQUIT"[..], b"hi\rQUIT", b"hi\r\nQUIT", b"hi\r", b"\n"] {
                assert!(encoder.encode(line, &mut output).is_err(), "{line:?}");
            }
        }
        let contains = |offset| Err(LineError::new(offset, LineRule::ContainsDelimiter));
        let encoder = LineEncoder::new();
        assert_eq!(encoder.encode(b"hi\nQUIT", &mut output), contains(2));
        let bare = Err(LineError::new(2, LineRule::BareLineEnd));
        assert_eq!(encoder.encode(b"hi\rQUIT", &mut output), bare);
        let encoder = LineEncoder::new().delimiter(Delimiter::bytes(b"--").unwrap());
        assert_eq!(encoder.encode(b"a--b", &mut output), contains(1));
        assert_eq!(encoder.encode(b"ab-", &mut output), contains(2));
        assert_eq!(output, b"");
        assert_eq!(encoder.encode(b"-a", &mut output), Ok(()));
    }

    #[test]
    fn refuses_lines_above_the_maximum() {
        let encoder = LineEncoder::new().max_length(3);
        assert_eq!(encoder.check(b"abc"), Ok(&b"\n"[..]));
        assert_eq!(encoder.check(b"abcde"), Err(LineError::too_long(0, 3)));
    }
}

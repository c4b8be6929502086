use super::{DEFAULT_MAX_LENGTH, Delimiter, LineError};

/// Writes lines so that a [`LineDecoder`](super::LineDecoder) with the same options reads them back.
///
/// A line that holds its own delimiter is refused: sent as it is, the peer would take what follows
/// the delimiter for a line of its own, which lets whoever supplied the text speak for us.
#[doc(alias("LinesCodec", "sendLine"))]
#[derive(Clone, Debug)]
pub struct LineEncoder {
    delimiter: Delimiter,
    max_length: usize,
}

impl LineEncoder {
    /// Lines that end with `\n` and have at most [`DEFAULT_MAX_LENGTH`] bytes.
    pub const fn new() -> Self {
        Self { delimiter: Delimiter::NEWLINE, max_length: DEFAULT_MAX_LENGTH }
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
    /// With a vectored write this sends a line without copying it.
    ///
    /// # Errors
    /// [`LineError::ContainsDelimiter`] if a decoder would see another line than `line`, or with
    /// [`Delimiter::NEWLINE`] and [`Delimiter::CRLF`] if there is a `\r` or `\n` in it;
    /// [`LineError::TooLong`].
    pub fn check(&self, line: &[u8]) -> Result<&[u8], LineError> {
        if line.len() > self.max_length {
            return Err(LineError::TooLong { max_length: self.max_length });
        }
        if self.delimiter.is_contained_in(line) {
            return Err(LineError::ContainsDelimiter);
        }
        Ok(self.delimiter.as_bytes())
    }
}

impl Default for LineEncoder {
    fn default() -> Self {
        Self::new()
    }
}

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
                let refused = encoder.encode(line, &mut output);
                assert_eq!(refused, Err(LineError::ContainsDelimiter), "{line:?}");
            }
        }
        let encoder = LineEncoder::new().delimiter(Delimiter::bytes(b"--").unwrap());
        assert_eq!(encoder.encode(b"a--b", &mut output), Err(LineError::ContainsDelimiter));
        assert_eq!(encoder.encode(b"a-", &mut output), Err(LineError::ContainsDelimiter));
        assert_eq!(output, b"");
        assert_eq!(encoder.encode(b"-a", &mut output), Ok(()));
    }

    #[test]
    fn refuses_lines_above_the_maximum() {
        let encoder = LineEncoder::new().max_length(3);
        assert_eq!(encoder.check(b"abc"), Ok(&b"\n"[..]));
        assert_eq!(encoder.check(b"abcd"), Err(LineError::TooLong { max_length: 3 }));
    }
}

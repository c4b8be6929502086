//! An operation as it is written.

use memchr::memchr2;

use super::limits::Limits;
use super::{CodecError, Rule};

/// Appends one operation to a buffer, which is as it was unless the operation is [finished](Self::finish).
pub(super) struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    limits: &'a Limits,
    begin: usize,
    is_finished: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(buffer: &'a mut Vec<u8>, limits: &'a Limits) -> Self {
        let begin = buffer.len();
        Self { buffer, limits, begin, is_finished: false }
    }

    pub(super) fn word(&mut self, word: &[u8]) {
        self.buffer.extend_from_slice(word);
    }

    pub(super) fn argument(&mut self, argument: &[u8]) {
        self.buffer.push(b' ');
        self.buffer.extend_from_slice(argument);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.argument(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A line of a name and a text, such as JSON.
    pub(super) fn text(&mut self, name: &[u8], text: &[u8]) -> Result<(), CodecError> {
        if let Some(at) = memchr2(b'\r', b'\n', text) {
            return Err(CodecError::new(at, Rule::Text));
        }
        // The decoder skips blanks.
        if text.first().is_none_or(|first| matches!(first, b' ' | b'\t')) {
            return Err(CodecError::new(0, Rule::Text));
        }
        self.word(name);
        self.argument(text);
        Ok(())
    }

    /// The sizes, the end of the line, headers and payload.
    pub(super) fn body(
        &mut self,
        headers: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<(), CodecError> {
        let size = headers.map_or(0, <[u8]>::len);
        let max = self.limits.headers;
        if size > max {
            return Err(CodecError::new(max, Rule::HeadersLength { max }));
        }
        let max = self.limits.payload;
        let total = size + payload.len();
        if total > max {
            return Err(CodecError::new(max, Rule::PayloadLength { max }));
        }
        if headers.is_some() {
            self.number(size as u64);
        }
        self.number(total as u64);
        self.check_line()?;
        self.buffer.reserve(total + 4);
        self.buffer.extend_from_slice(b"\r\n");
        self.buffer.extend_from_slice(headers.unwrap_or_default());
        self.buffer.extend_from_slice(payload);
        self.buffer.extend_from_slice(b"\r\n");
        self.is_finished = true;
        Ok(())
    }

    /// The end of an operation that has no body.
    pub(super) fn finish(mut self) -> Result<(), CodecError> {
        if !self.is_finished {
            self.check_line()?;
            self.buffer.extend_from_slice(b"\r\n");
            self.is_finished = true;
        }
        Ok(())
    }

    fn check_line(&self) -> Result<(), CodecError> {
        let max = self.limits.control_line;
        if self.buffer.len() - self.begin > max {
            return Err(CodecError::new(max, Rule::ControlLineLength { max }));
        }
        Ok(())
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.buffer.truncate(self.begin);
        }
    }
}

//! What both directions have in common: a control line, and behind some of them a payload.

use memchr::memchr;

use super::limits::Limits;
use super::{CodecError, Rule};

/// The operations that one side sends.
pub(super) trait Grammar {
    type Op<'a>;

    /// Takes a control line apart, without its end.
    fn head<'a>(line: &'a [u8], limits: &Limits) -> Result<Head<Self::Op<'a>>, CodecError>;

    /// Puts the payload into its operation.
    fn fill<'a>(op: &mut Self::Op<'a>, headers: &'a [u8], payload: &'a [u8]);
}

/// An operation without its payload.
pub(super) struct Head<Op> {
    pub(super) op: Op,
    /// The bytes of headers, and of headers and payload together; `None` for a line that stands alone.
    pub(super) body: Option<(usize, usize)>,
}

impl<Op> Head<Op> {
    pub(super) fn alone(op: Op) -> Self {
        Self { op, body: None }
    }
}

/// Finds the operations of a stream. One that lies whole in an input is lent from there; one that does not is put
/// together in `buffer`, which holds no memory in between.
#[derive(Clone, Debug)]
pub(super) struct Framing {
    pub(super) limits: Limits,
    buffer: Vec<u8>,
    /// Up to here `buffer` has no line end.
    searched: usize,
    /// The length of the operation in `buffer`, once its line is known.
    total: Option<usize>,
    /// `buffer` was lent to the caller: it is empty as soon as the next call comes.
    is_lent: bool,
    /// Where in the stream the next operation begins.
    offset: u64,
    failed: Option<CodecError>,
    /// Bytes that were searched or copied.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self {
            limits: Limits::DECODER,
            buffer: Vec::new(),
            searched: 0,
            total: None,
            is_lent: false,
            offset: 0,
            failed: None,
            #[cfg(test)]
            steps: 0,
        }
    }

    pub(super) fn next<'a, 'i: 'a, G: Grammar>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<G::Op<'a>>, CodecError> {
        if self.is_lent {
            self.release();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.buffer.is_empty() {
            let bytes: &'i [u8] = input;
            let Some(end) = self.line_end(bytes)? else {
                self.keep(input, self.limits.control_line + 2);
                self.searched = self.buffer.len();
                return Ok(None);
            };
            let head = G::head(&bytes[..end - 1], &self.limits);
            let mut head = head.map_err(|error| self.fail(error))?;
            let total = length(&head, end);
            if bytes.len() < total {
                self.total = Some(total);
                self.keep(input, total);
                return Ok(None);
            }
            let frame = &bytes[..total];
            check_end(frame, head.body.is_some()).map_err(|error| self.fail(error))?;
            *input = &bytes[total..];
            self.offset += total as u64;
            if let Some((headers, _)) = head.body {
                let (headers, payload) = frame[end + 1..total - 2].split_at(headers);
                G::fill(&mut head.op, headers, payload);
            }
            return Ok(Some(head.op));
        }
        self.complete::<G>(input)
    }

    /// Goes on with the operation in `buffer`.
    fn complete<'a, 'i: 'a, G: Grammar>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<G::Op<'a>>, CodecError> {
        if self.total.is_none() {
            let line = memchr(b'\n', input).map_or(input.len(), |end| end + 1);
            let most = self.limits.control_line + 2;
            self.keep(input, most.min(self.buffer.len() + line));
            let buffer = std::mem::take(&mut self.buffer);
            let found = self.line_end(&buffer);
            self.searched = buffer.len();
            self.buffer = buffer;
            let Some(end) = found? else { return Ok(None) };
            let head = G::head(&self.buffer[..end - 1], &self.limits);
            let total = head.map(|head| length(&head, end));
            self.total = Some(total.map_err(|error| self.fail(error))?);
        }
        let total = self.total.unwrap_or_default();
        self.keep(input, total);
        if self.buffer.len() < total {
            return Ok(None);
        }
        let end = memchr(b'\n', &self.buffer).unwrap_or_default();
        check_end(&self.buffer, total > end + 1).map_err(|error| self.fail(error))?;
        self.is_lent = true;
        let mut head = G::head(&self.buffer[..end - 1], &self.limits)?;
        if let Some((headers, _)) = head.body {
            let (headers, payload) = self.buffer[end + 1..total - 2].split_at(headers);
            G::fill(&mut head.op, headers, payload);
        }
        Ok(Some(head.op))
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> Result<(), CodecError> {
        if self.is_lent {
            self.release();
        }
        match self.failed {
            Some(error) => Err(error),
            None if self.buffer.is_empty() => Ok(()),
            None => Err(self.fail(CodecError::new(self.buffer.len(), Rule::Truncated))),
        }
    }

    pub(super) fn buffered(&self) -> &[u8] {
        if self.is_lent { &[] } else { &self.buffer }
    }

    pub(super) fn take_remainder(&mut self) -> Vec<u8> {
        if self.is_lent {
            self.release();
        }
        let new = Self { limits: self.limits, ..Self::new() };
        std::mem::replace(self, new).buffer
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn release(&mut self) {
        self.offset += self.buffer.len() as u64;
        self.buffer = Vec::new();
        self.searched = 0;
        self.total = None;
        self.is_lent = false;
    }

    /// Where the `\n` of the first line is. What is `searched` already is not searched again.
    fn line_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, CodecError> {
        let most = self.limits.control_line + 2;
        let window = &bytes[..bytes.len().min(most)];
        // Less than was searched, where the limit has become lower meanwhile.
        let found = memchr(b'\n', window.get(self.searched..).unwrap_or_default());
        #[cfg(test)]
        {
            self.steps += found.unwrap_or(window.len().saturating_sub(self.searched));
        }
        let Some(end) = found.map(|at| at + self.searched) else {
            if window.len() == most {
                let max = self.limits.control_line;
                return Err(self.fail(CodecError::new(max, Rule::ControlLineLength { max })));
            }
            return Ok(None);
        };
        match memchr(b'\r', &bytes[..end]) {
            Some(at) if at + 1 == end => Ok(Some(end)),
            Some(at) => Err(self.fail(CodecError::new(at, Rule::LineEnd))),
            None => Err(self.fail(CodecError::new(end, Rule::LineEnd))),
        }
    }

    /// Moves bytes from the input into `buffer`, until that has `most`.
    fn keep(&mut self, input: &mut &[u8], most: usize) {
        let count = input.len().min(most.saturating_sub(self.buffer.len()));
        let (kept, rest) = input.split_at(count);
        let needed = self.buffer.len() + count;
        if needed > self.buffer.capacity() {
            // Twice as much, but never for bytes that are not part of it, whatever size the peer claims.
            let capacity = needed.max(self.buffer.capacity() * 2).min(most);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(kept);
        #[cfg(test)]
        {
            self.steps += count;
        }
        *input = rest;
    }

    fn fail(&mut self, error: CodecError) -> CodecError {
        *self.failed.insert(error.moved(self.offset))
    }
}

/// The length of an operation whose line has its `\n` at `end`.
fn length<Op>(head: &Head<Op>, end: usize) -> usize {
    end + 1 + head.body.map_or(0, |(_, total)| total + 2)
}

/// A payload is followed by a line end of its own.
fn check_end(frame: &[u8], has_payload: bool) -> Result<(), CodecError> {
    if has_payload && !frame.ends_with(b"\r\n") {
        let end = frame.len() - 2;
        let at = if frame[end] == b'\r' { end + 1 } else { end };
        return Err(CodecError::new(at, Rule::PayloadEnd));
    }
    Ok(())
}

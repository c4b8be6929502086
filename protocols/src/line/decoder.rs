use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use super::{DEFAULT_MAX_LENGTH, Delimiter, LineError};
use crate::codec::{Decoder, Ready};

/// Splits a byte stream into lines.
///
/// The lines are the same however the stream is split into inputs. A line that lies whole in one
/// input is lent from there without a copy; only the beginning of a line whose end has not come
/// yet is kept, and while nothing is kept, no memory is held.
///
/// The decoder keeps at most `max_length` bytes plus one delimiter, besides lines of its last
/// input that were not taken (see [`DecodedLines`]). The time per input is proportional to its
/// length, no matter how much was kept before.
///
/// ```
/// use wharf_protocols::line::{Delimiter, LineDecoder, LineError};
///
/// # fn main() -> Result<(), LineError> {
/// let mut decoder = LineDecoder::new().delimiter(Delimiter::CRLF).max_length(80);
/// decoder.feed(b"EHLO exam");
/// let mut lines = decoder.feed(b"ple.org\r\nQUIT\r\n");
/// while let Some(line) = lines.next() {
///     println!("{}", String::from_utf8_lossy(line?));
/// }
/// # Ok(())
/// # }
/// ```
#[doc(alias("LinesCodec", "readuntil"))]
#[derive(Clone, Debug)]
pub struct LineDecoder {
    delimiter: Delimiter,
    max_length: usize,
    refused: Refused,
    keep_bare_line_ends: bool,
    state: State,
    /// Input that was kept. The current line begins at `start`; up to `searched` it is known to
    /// have no delimiter.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    #[cfg(test)]
    pub(super) bytes_searched: usize,
}

impl LineDecoder {
    /// A decoder for [`Delimiter::NEWLINE`], at most [`DEFAULT_MAX_LENGTH`] bytes in a line, and
    /// [`Refused::Fail`].
    pub const fn new() -> Self {
        Self {
            delimiter: Delimiter::NEWLINE,
            max_length: DEFAULT_MAX_LENGTH,
            refused: Refused::Fail,
            keep_bare_line_ends: false,
            state: State::InLine,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            #[cfg(test)]
            bytes_searched: 0,
        }
    }

    /// What ends a line.
    #[must_use]
    pub fn delimiter(mut self, delimiter: Delimiter) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// The longest line to take, in bytes without its delimiter.
    #[must_use]
    pub const fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// What to do with a line that is refused: one above the maximum length, or one with a bare line
    /// end.
    #[must_use]
    pub const fn refused(mut self, refused: Refused) -> Self {
        self.refused = refused;
        self
    }

    /// With `true`, gives lines with a `\r` or `\n` that is not their end, instead of refusing them.
    ///
    /// Off by default. For output of programs, which use a bare `\r` to write over a line; not for what
    /// is passed on to others, who may take it for the end of a line. Delimiters other than
    /// [`Delimiter::NEWLINE`] and [`Delimiter::CRLF`] have no bare line ends: every other byte is content.
    #[must_use]
    pub const fn keep_bare_line_ends(mut self, keep: bool) -> Self {
        self.keep_bare_line_ends = keep;
        self
    }

    /// Takes the next part of the stream, and lends the lines that end in it.
    ///
    /// An empty input gives the lines that were left over when an earlier [`DecodedLines`] was
    /// dropped.
    pub fn feed<'d, 'i>(&'d mut self, input: &'i [u8]) -> DecodedLines<'d, 'i> {
        DecodedLines { decoder: self, input, at_end: false }
    }

    /// Ends the stream, and lends the lines that are left: the last one if it has no delimiter, and
    /// before it those left over when an earlier [`DecodedLines`] was dropped.
    ///
    /// The stream may end right after a delimiter: no empty line follows it. A `\r` at the very end is the
    /// beginning of a `\r\n`, and no part of the last line; where
    /// [bare line ends are kept](Self::keep_bare_line_ends) it is part of it.
    pub fn finish(&mut self) -> DecodedLines<'_, 'static> {
        DecodedLines { decoder: self, input: &[], at_end: true }
    }

    /// Takes out what was kept, as it was received, for a protocol that takes over. The decoder is
    /// then as new.
    ///
    /// What was kept of a line that is being discarded is not given. While lines are being decoded,
    /// use [`DecodedLines::into_remainder`].
    pub fn take_remainder(&mut self) -> Vec<u8> {
        let mut remainder = mem::take(&mut self.buffer);
        match mem::replace(&mut self.state, State::InLine) {
            State::InLine => drop(remainder.drain(..self.start)),
            State::Discarding | State::Failed(_) => remainder.clear(),
        }
        self.start = 0;
        self.searched = 0;
        remainder
    }

    /// The bytes that were kept: lines that were left over, and the beginning of a line.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The memory held for input, in bytes: 0 when nothing is kept, else at most 4 KiB or four times
    /// what is kept.
    pub fn buffer_capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes the next line out of the buffer or the input.
    fn next_line<'i>(&mut self, input: &mut &'i [u8], at_end: bool) -> Option<Found<'i>> {
        while !self.has_failed() {
            let Some(length) = self.find_line(input) else {
                return self.unfinished_line(mem::take(input), at_end);
            };
            if self.state == State::Discarding {
                self.skip(length, input);
                self.state = State::InLine;
                continue;
            }
            if length > self.longest() {
                self.skip(length, input);
                return Some(Err(self.too_long(State::InLine)));
            }
            let line = self.take(length, input);
            let length = self.delimiter.content_length(self.bytes(&line));
            return Some(self.checked(line.truncated(length)));
        }
        None
    }

    /// The length of the current line with its delimiter, counted from `start` on into the input.
    fn find_line(&mut self, input: &[u8]) -> Option<usize> {
        #[cfg(test)]
        let unsearched = self.buffer.len() - self.searched + input.len();

        let kept = &self.buffer[self.start..];
        let (before, rest) = kept.split_at(self.searched - self.start);
        let length = match self.delimiter.find_end(before, rest) {
            Some(end) => Some(before.len() + end),
            None => self.delimiter.find_end(kept, input).map(|end| kept.len() + end),
        };

        #[cfg(test)]
        {
            self.bytes_searched += length.map_or(unsearched, |length| length - before.len());
        }
        length
    }

    /// Keeps a line whose delimiter has not come, unless this is the end or the line is too long.
    fn unfinished_line<'i>(&mut self, rest: &[u8], at_end: bool) -> Option<Found<'i>> {
        if self.state == State::Discarding {
            self.keep_end(rest);
            if at_end {
                self.start = self.buffer.len();
                self.state = State::InLine;
            }
            return None;
        }

        if self.buffered().len() + rest.len() >= self.longest() {
            self.keep_end(rest);
            return Some(Err(self.too_long(State::Discarding)));
        }
        self.keep(rest);
        self.searched = self.buffer.len();
        if !self.delimiter.can_end_within(self.max_length, self.buffered()) {
            self.keep_end(&[]);
            return Some(Err(self.too_long(State::Discarding)));
        }

        if !at_end || self.buffered().is_empty() {
            return None;
        }
        let line = Line::Kept(mem::replace(&mut self.start, self.searched)..self.searched);
        if self.keep_bare_line_ends {
            return Some(self.checked(line));
        }
        let length = self.delimiter.unfinished_length(self.bytes(&line));
        (length > 0).then(|| self.checked(line.truncated(length)))
    }

    /// The line, if it is one that is taken.
    fn checked<'i>(&mut self, line: Line<'i>) -> Found<'i> {
        let content = self.bytes(&line);
        if content.len() > self.max_length {
            return Err(self.too_long(State::InLine));
        }
        if !self.keep_bare_line_ends && self.delimiter.has_bare_line_end(content) {
            return Err(self.refuse(LineError::BareLineEnd, State::InLine));
        }
        Ok(line)
    }

    /// Takes out a line of that many bytes.
    fn take<'i>(&mut self, length: usize, input: &mut &'i [u8]) -> Line<'i> {
        let kept = self.buffer.len() - self.start;
        if let Some(missing) = length.checked_sub(kept).filter(|&missing| missing > 0) {
            let (line, rest) = input.split_at(missing);
            *input = rest;
            if kept == 0 {
                return Line::Input(line);
            }
            self.keep(line);
        }
        let end = self.start + length;
        self.searched = self.searched.max(end);
        Line::Kept(mem::replace(&mut self.start, end)..end)
    }

    /// Takes out a line of that many bytes without looking at it.
    fn skip(&mut self, length: usize, input: &mut &[u8]) {
        let kept = self.buffer.len() - self.start;
        *input = &input[length.saturating_sub(kept)..];
        self.start += length.min(kept);
        self.searched = self.searched.max(self.start);
    }

    fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    fn too_long(&mut self, next: State) -> LineError {
        self.refuse(LineError::TooLong { max_length: self.max_length }, next)
    }

    /// Reports a line that is not taken, and goes on as the policy says.
    fn refuse(&mut self, error: LineError, next: State) -> LineError {
        match self.refused {
            Refused::Fail => {
                self.state = State::Failed(error);
                self.start = self.buffer.len();
                self.searched = self.start;
            }
            Refused::Discard => self.state = next,
        }
        error
    }

    /// The length with delimiter above which a line is too long, whatever its delimiter.
    fn longest(&self) -> usize {
        self.max_length.saturating_add(self.delimiter.max_length())
    }

    fn bytes<'a>(&'a self, line: &Line<'a>) -> &'a [u8] {
        match line {
            Line::Kept(range) => &self.buffer[range.clone()],
            Line::Input(bytes) => bytes,
        }
    }

    fn line<'a>(&'a self, line: Line<'a>) -> &'a [u8] {
        match line {
            Line::Kept(range) => &self.buffer[range],
            Line::Input(bytes) => bytes,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.searched = 0;
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            let mut capacity = needed.max(self.buffer.capacity().saturating_mul(2));
            let one_line = self.start.saturating_add(self.longest());
            if needed <= one_line {
                capacity = capacity.min(one_line);
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Keeps of the current line, and what comes after it, only what may turn out to be the
    /// beginning of a delimiter.
    fn keep_end(&mut self, rest: &[u8]) {
        let wanted = self.delimiter.as_bytes().len() - 1;
        self.keep(&rest[rest.len().saturating_sub(wanted)..]);
        self.start = self.start.max(self.buffer.len().saturating_sub(wanted));
        self.searched = self.buffer.len();
    }

    /// Gives memory back that is much more than needed. Little is copied for much that was taken
    /// out or given back, so that the work stays proportional to the input.
    fn settle(&mut self) {
        let kept = self.buffered();
        if kept.is_empty() || self.buffer.capacity() > SPARE_CAPACITY.max(4 * kept.len()) {
            self.buffer = kept.to_vec();
            self.searched -= self.start;
            self.start = 0;
        }
    }
}

impl Default for LineDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LineDecoder {
    type Frame<'a> = &'a [u8];
    type Error = LineError;

    /// The next line without its delimiter. With [`Refused::Discard`] the lines after an error follow; with
    /// [`Refused::Fail`] the same error again and again.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, LineError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        match self.next_line(input, false) {
            Some(line) => line.map(|line| Some(self.line(line))),
            None => {
                *input = &[];
                self.settle();
                Ok(None)
            }
        }
    }

    /// The last line, if it has no delimiter.
    fn finish(&mut self) -> Result<Option<&[u8]>, LineError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        match self.next_line(&mut &[][..], true) {
            Some(line) => line.map(|line| Some(self.line(line))),
            None => {
                self.settle();
                Ok(None)
            }
        }
    }

    fn release(&mut self) {
        self.settle();
    }

    fn buffered(&self) -> &[u8] {
        self.buffered()
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        self.take_remainder()
    }
}

impl Ready for LineDecoder {
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, LineError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        while let Some(length) = self.find_line(input) {
            if self.state == State::InLine {
                return Ok(true);
            }
            self.skip(length, input);
            self.state = State::InLine;
        }
        let refused = match self.unfinished_line(mem::take(input), false) {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(false),
        };
        self.settle();
        refused
    }
}

/// The lines of one input, lent one at a time. Made by [`LineDecoder::feed`] and
/// [`LineDecoder::finish`].
///
/// What has not been taken when this is dropped goes back to the decoder, and comes first next
/// time: to stop between two lines, just break out of the loop. Until then the decoder holds a copy
/// of it, so feed it no more before it has been taken.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineError};
///
/// # fn main() -> Result<(), LineError> {
/// let mut decoder = LineDecoder::new();
/// let mut lines = decoder.feed(b"LENGTH 3\n\x00\x01\x02");
/// assert_eq!(lines.next().transpose()?, Some(&b"LENGTH 3"[..]));
/// // Something else than lines follows.
/// assert_eq!(&*lines.into_remainder(), b"\x00\x01\x02");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "lines are found as they are asked for"]
pub struct DecodedLines<'d, 'i> {
    pub(super) decoder: &'d mut LineDecoder,
    input: &'i [u8],
    at_end: bool,
}

impl<'i> DecodedLines<'_, 'i> {
    /// The next line without its delimiter; `None` when more input is needed.
    ///
    /// # Errors
    /// [`LineError::TooLong`], [`LineError::BareLineEnd`]. With [`Refused::Fail`] nothing follows it.
    /// With [`Refused::Discard`] it takes the place of the line, and the next lines follow.
    #[expect(clippy::should_implement_trait, reason = "an Iterator cannot lend")]
    pub fn next(&mut self) -> Option<Result<&[u8], LineError>> {
        let line = self.decoder.next_line(&mut self.input, self.at_end)?;
        Some(line.map(|line| self.decoder.line(line)))
    }

    /// Takes out everything after the last line that was lent, as it was received, for a protocol
    /// that takes over in the middle of the stream. The decoder is then as new.
    ///
    /// It is borrowed from the input, unless something was kept from an earlier one. What was kept
    /// of a line that is being discarded is not given, and after a failure nothing is.
    pub fn into_remainder(mut self) -> Cow<'i, [u8]> {
        let input = match self.decoder.state {
            State::Failed(_) => &[],
            State::InLine | State::Discarding => self.input,
        };
        self.input = &[];
        let mut remainder = self.decoder.take_remainder();
        if remainder.is_empty() {
            return Cow::Borrowed(input);
        }
        remainder.extend_from_slice(input);
        Cow::Owned(remainder)
    }
}

impl Drop for DecodedLines<'_, '_> {
    fn drop(&mut self) {
        if !self.decoder.has_failed() {
            self.decoder.keep(self.input);
        }
        self.decoder.settle();
    }
}

/// What a [`LineDecoder`] does with a line that it does not take.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineError, Refused};
///
/// let mut decoder = LineDecoder::new().max_length(5).refused(Refused::Discard);
/// let mut lines = decoder.feed(b"much too long\nshort\n");
/// assert_eq!(lines.next(), Some(Err(LineError::TooLong { max_length: 5 })));
/// assert_eq!(lines.next(), Some(Ok(&b"short"[..])));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refused {
    /// Report it and then ignore all further input. This is the default.
    #[default]
    Fail,
    /// Report it once, discard it up to its delimiter, and go on with the next line.
    Discard,
}

/// Memory above this is not kept for the next line.
const SPARE_CAPACITY: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InLine,
    Discarding,
    Failed(LineError),
}

/// Where a line lies: in the decoder's buffer, or in the input.
enum Line<'i> {
    Kept(Range<usize>),
    Input(&'i [u8]),
}

impl Line<'_> {
    fn truncated(self, length: usize) -> Self {
        match self {
            Self::Kept(range) => Self::Kept(range.start..range.start + length),
            Self::Input(bytes) => Self::Input(&bytes[..length]),
        }
    }
}

type Found<'i> = Result<Line<'i>, LineError>;

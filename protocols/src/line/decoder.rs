use std::mem;

use super::kept::{Kept, Line};
use super::{DEFAULT_MAX_LENGTH, DecodedLines, Delimiter, LineError, LineRule};
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
    pub(super) kept: Kept,
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
            kept: Kept::new(),
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
        DecodedLines::new(self, input, false)
    }

    /// Ends the stream, and lends the lines that are left: the last one if it has no delimiter, and
    /// before it those left over when an earlier [`DecodedLines`] was dropped.
    ///
    /// The stream may end right after a delimiter: no empty line follows it. A `\r` at the very end is the
    /// beginning of a `\r\n`, and no part of the last line; where
    /// [bare line ends are kept](Self::keep_bare_line_ends) it is part of it.
    pub fn finish(&mut self) -> DecodedLines<'_, 'static> {
        DecodedLines::new(self, &[], true)
    }

    /// Takes out what was kept, as it was received, for a protocol that takes over. The decoder is
    /// then as new.
    ///
    /// What was kept of a line that is being discarded is not given. While lines are being decoded,
    /// use [`DecodedLines::into_remainder`].
    pub fn take_remainder(&mut self) -> Vec<u8> {
        let remainder = self.kept.take();
        match mem::replace(&mut self.state, State::InLine) {
            State::InLine => remainder,
            State::Discarding | State::Failed(_) => Vec::new(),
        }
    }

    /// The bytes that were kept: lines that were left over, and the beginning of a line.
    pub fn buffered(&self) -> &[u8] {
        self.kept.bytes()
    }

    /// The memory held for input, in bytes: 0 when nothing is kept, else at most 4 KiB or four times
    /// what is kept.
    pub fn buffer_capacity(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes the next line out of what is kept or the input.
    pub(super) fn next_line<'i>(
        &mut self,
        input: &mut &'i [u8],
        at_end: bool,
    ) -> Option<Found<'i>> {
        while !self.has_failed() {
            let Some(length) = self.find_line(input) else {
                return self.unfinished_line(mem::take(input), at_end);
            };
            let start = self.kept.offset();
            if self.state == State::Discarding {
                self.kept.skip(length, input);
                self.state = State::InLine;
                continue;
            }
            if length > self.longest() {
                self.kept.skip(length, input);
                return Some(Err(self.too_long(start, State::InLine)));
            }
            let longest = self.longest();
            let line = self.kept.take_line(length, input, longest);
            let length = self.delimiter.content_length(self.kept.look(&line));
            return Some(self.checked(line.truncated(length), start));
        }
        None
    }

    /// The length of the current line with its delimiter, counted from its start on into the input.
    fn find_line(&mut self, input: &[u8]) -> Option<usize> {
        let kept = self.kept.bytes();
        let (before, rest) = self.kept.searched();
        let length = match self.delimiter.find_end(before, rest) {
            Some(end) => Some(before.len() + end),
            None => self.delimiter.find_end(kept, input).map(|end| kept.len() + end),
        };

        #[cfg(test)]
        {
            let unsearched = rest.len() + input.len();
            self.bytes_searched += length.map_or(unsearched, |length| length - before.len());
        }
        length
    }

    /// Keeps a line whose delimiter has not come, unless this is the end or the line is too long.
    fn unfinished_line<'i>(&mut self, rest: &[u8], at_end: bool) -> Option<Found<'i>> {
        let start = self.kept.offset();
        // What may turn out to be the beginning of a delimiter.
        let end = self.delimiter.as_bytes().len() - 1;
        if self.state == State::Discarding {
            self.kept.keep_end(rest, end);
            if at_end {
                self.kept.drop_all();
                self.state = State::InLine;
            }
            return None;
        }

        if self.buffered().len() + rest.len() >= self.longest() {
            self.kept.keep_end(rest, end);
            return Some(Err(self.too_long(start, State::Discarding)));
        }
        self.keep(rest);
        self.kept.set_searched();
        if !self.delimiter.can_end_within(self.max_length, self.buffered()) {
            self.kept.keep_end(&[], end);
            return Some(Err(self.too_long(start, State::Discarding)));
        }

        if !at_end || self.buffered().is_empty() {
            return None;
        }
        let line = self.kept.take_rest();
        if self.keep_bare_line_ends {
            return Some(self.checked(line, start));
        }
        let length = self.delimiter.unfinished_length(self.kept.look(&line));
        (length > 0).then(|| self.checked(line.truncated(length), start))
    }

    /// The line, which began at `start`, if it is one that is taken.
    fn checked<'i>(&mut self, line: Line<'i>, start: u64) -> Found<'i> {
        let content = self.kept.look(&line);
        if content.len() > self.max_length {
            return Err(self.too_long(start, State::InLine));
        }
        if !self.keep_bare_line_ends
            && let Some(place) = self.delimiter.find_bare_line_end(content)
        {
            let error = LineError::new(start + place as u64, LineRule::BareLineEnd);
            return Err(self.refuse(error, State::InLine));
        }
        Ok(line)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    fn too_long(&mut self, start: u64, next: State) -> LineError {
        self.refuse(LineError::too_long(start, self.max_length), next)
    }

    /// Reports a line that is not taken, and goes on as the policy says.
    fn refuse(&mut self, error: LineError, next: State) -> LineError {
        match self.refused {
            Refused::Fail => {
                self.state = State::Failed(error);
                self.kept.drop_all();
            }
            Refused::Discard => self.state = next,
        }
        error
    }

    /// The length with delimiter above which a line is too long, whatever its delimiter.
    fn longest(&self) -> usize {
        self.max_length.saturating_add(self.delimiter.max_length())
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let longest = self.longest();
        self.kept.keep(bytes, longest);
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
            Some(line) => line.map(|line| Some(self.kept.lend(line))),
            None => {
                *input = &[];
                self.kept.settle();
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
            Some(line) => line.map(|line| Some(self.kept.lend(line))),
            None => {
                self.kept.settle();
                Ok(None)
            }
        }
    }

    fn release(&mut self) {
        self.kept.settle();
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
            self.kept.skip(length, input);
            self.state = State::InLine;
        }
        let refused = match self.unfinished_line(mem::take(input), false) {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(false),
        };
        self.kept.settle();
        refused
    }
}

/// What a [`LineDecoder`] does with a line that it does not take.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineRule, Refused};
///
/// let mut decoder = LineDecoder::new().max_length(5).refused(Refused::Discard);
/// let mut lines = decoder.feed(b"much too long\nshort\n");
/// let error = lines.next().unwrap().unwrap_err();
/// assert_eq!((error.rule, error.offset), (LineRule::TooLong { max_length: 5 }, 5));
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InLine,
    Discarding,
    Failed(LineError),
}

type Found<'i> = Result<Line<'i>, LineError>;

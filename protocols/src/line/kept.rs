use std::mem;
use std::ops::Range;

/// What a decoder keeps of the stream, from the start of the current line on.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    buffer: Vec<u8>,
    /// Where in the buffer the current line begins.
    start: usize,
    /// Up to here the buffer is known to have no delimiter.
    searched: usize,
    /// Where in the stream the current line begins.
    offset: u64,
}

/// Where a line lies: in what is kept, or in the input.
pub(super) enum Line<'i> {
    Kept(Range<usize>),
    Input(&'i [u8]),
}

impl Line<'_> {
    /// Its first `length` bytes.
    pub(super) fn truncated(self, length: usize) -> Self {
        match self {
            Self::Kept(range) => Self::Kept(range.start..range.start + length),
            Self::Input(bytes) => Self::Input(&bytes[..length]),
        }
    }
}

impl Kept {
    pub(super) const fn new() -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, offset: 0 }
    }

    /// Where in the stream the current line begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The beginning of the current line, and what came behind it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// What is known to have no delimiter, and what is not.
    pub(super) fn searched(&self) -> (&[u8], &[u8]) {
        self.bytes().split_at(self.searched - self.start)
    }

    /// All that is kept has no delimiter.
    pub(super) fn set_searched(&mut self) {
        self.searched = self.buffer.len();
    }

    pub(super) fn look<'a>(&'a self, line: &Line<'a>) -> &'a [u8] {
        match line {
            Line::Kept(range) => &self.buffer[range.clone()],
            Line::Input(bytes) => bytes,
        }
    }

    pub(super) fn lend<'a>(&'a self, line: Line<'a>) -> &'a [u8] {
        match line {
            Line::Kept(range) => &self.buffer[range],
            Line::Input(bytes) => bytes,
        }
    }

    /// Takes out a line of that many bytes. Lines have at most `longest`.
    pub(super) fn take_line<'i>(
        &mut self,
        length: usize,
        input: &mut &'i [u8],
        longest: usize,
    ) -> Line<'i> {
        let kept = self.bytes().len();
        if let Some(missing) = length.checked_sub(kept).filter(|&missing| missing > 0) {
            let (line, rest) = input.split_at(missing);
            *input = rest;
            if kept == 0 {
                self.offset += length as u64;
                return Line::Input(line);
            }
            self.keep(line, longest);
        }
        Line::Kept(self.advance(length))
    }

    /// Takes out all that is kept.
    pub(super) fn take_rest<'i>(&mut self) -> Line<'i> {
        Line::Kept(self.advance(self.bytes().len()))
    }

    /// Takes out a line of that many bytes without looking at it.
    pub(super) fn skip(&mut self, length: usize, input: &mut &[u8]) {
        let kept = length.min(self.bytes().len());
        self.advance(kept);
        *input = &input[length - kept..];
        self.offset += (length - kept) as u64;
    }

    pub(super) fn drop_all(&mut self) {
        self.advance(self.bytes().len());
    }

    /// Takes out what is kept, as it was received. This is then as new.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let Self { mut buffer, start, .. } = mem::replace(self, Self::new());
        buffer.drain(..start);
        buffer
    }

    /// Keeps what came behind all that is kept. Memory doubles, but not above what a line of `longest` bytes needs.
    pub(super) fn keep(&mut self, bytes: &[u8], longest: usize) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.searched = 0;
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            let mut capacity = needed.max(self.buffer.capacity().saturating_mul(2));
            let one_line = self.start.saturating_add(longest);
            if needed <= one_line {
                capacity = capacity.min(one_line);
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Keeps of all that is kept, and of `rest`, which comes behind it, only the last `count` bytes.
    pub(super) fn keep_end(&mut self, rest: &[u8], count: usize) {
        let skipped = rest.len().saturating_sub(count);
        if skipped > 0 {
            // What is kept is in front of more than `count` bytes.
            self.drop_all();
            self.offset += skipped as u64;
        }
        self.keep(&rest[skipped..], count);
        self.advance(self.bytes().len().saturating_sub(count));
        self.searched = self.buffer.len();
    }

    /// Gives memory back that is much more than needed. Little is copied for much that was taken
    /// out or given back, so that the work stays proportional to the input.
    pub(super) fn settle(&mut self) {
        let kept = self.bytes();
        if kept.is_empty() || self.buffer.capacity() > SPARE_CAPACITY.max(4 * kept.len()) {
            self.buffer = kept.to_vec();
            self.searched -= self.start;
            self.start = 0;
        }
    }

    /// Moves the start of the current line, and gives what it moved over.
    fn advance(&mut self, length: usize) -> Range<usize> {
        let end = self.start + length;
        self.offset += length as u64;
        self.searched = self.searched.max(end);
        mem::replace(&mut self.start, end)..end
    }
}

/// Memory above this is not kept for the next line.
const SPARE_CAPACITY: usize = 4096;

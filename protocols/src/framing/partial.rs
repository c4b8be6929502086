use std::fmt;
use std::mem;

/// Takes frames out of a byte stream for a codec whose frames say how long they are: the part of a
/// [`Decoder`](crate::codec::Decoder) that is the same for all of them.
///
/// The codec brings a function that looks at the first bytes of a frame and says its [`Extent`]. The rest is done here:
/// a frame that lies whole in one input is lent from there; of one that does not, what has come is kept, and lent when it
/// is whole; errors come again when asked again; and the place in the stream is counted.
///
/// `H` is what the function found out on the way, such as a type or a flag, and is given back with the frame. `E` is the
/// codec's error.
///
/// Memory is held only while a frame is partial, or lent. It grows with what has arrived, up to twice that (or 32 bytes)
/// and never above what the frame needs, whatever length it claims. The codec must refuse a frame above its limit in the
/// function: no bytes are kept for it then. The time is proportional to the input's length if the function's is proportional to
/// that of the head.
///
/// A codec for frames of one byte that counts, and as many bytes:
///
/// ```
/// use std::convert::Infallible;
///
/// use wharf_protocols::framing::{Extent, PartialFrame};
///
/// let mut frames: PartialFrame<(), Infallible> = PartialFrame::new();
/// let mut next = |input: &mut &[u8]| {
///     let frame = frames.take(input, |start, _offset| {
///         Ok(Extent::Exactly { length: 1 + usize::from(start[0]), head: () })
///     });
///     frame.map(|frame| frame.map(|((), frame)| frame[1..].to_vec()))
/// };
///
/// let mut input = &b"\x05hello\x05wo"[..];
/// assert_eq!(next(&mut input), Ok(Some(b"hello".to_vec())));
/// assert_eq!(next(&mut input), Ok(None));
/// let mut input = &b"rld\x00"[..];
/// assert_eq!(next(&mut input), Ok(Some(b"world".to_vec())));
/// assert_eq!(next(&mut input), Ok(Some(b"".to_vec())));
/// ```
#[derive(Clone)]
pub struct PartialFrame<H, E> {
    /// The beginning of a frame; the first `lent` bytes of it are one that was lent.
    buffer: Vec<u8>,
    lent: usize,
    wanted: Wanted<H>,
    /// Where the next frame begins in the stream.
    offset: u64,
    failure: Option<E>,
}

/// How far a frame reaches, as far as its first bytes tell. All lengths count from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent<H> {
    /// So many bytes are needed to say more. Not more than any frame has: else one that is whole waits for others.
    AtLeast(usize),
    /// There is no `byte` in what was given, and it is needed to say more. The function is called again with what comes
    /// up to and with that byte, or with `within` bytes that do not have it. For heads that are text and end with a
    /// line; it costs less than asking for each byte. The function itself must look for the byte in the first `within`
    /// bytes only, as it may get more at once.
    Through {
        /// The byte that ends the head.
        byte: u8,
        /// How long the head may be with it.
        within: usize,
    },
    /// The frame is so long, head and all. At least 1; 0 counts as 1.
    Exactly {
        /// The frame's length in bytes.
        length: usize,
        /// What was found out, for the codec.
        head: H,
    },
}

/// A stream that ended within a frame. See [`PartialFrame::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Where in the stream the frame begins.
    pub start: u64,
    /// How many bytes of it have come. The stream ended at `start + received`.
    pub received: usize,
    /// How many bytes it was going to have, if that was known.
    pub length: Option<usize>,
}

impl<H, E> PartialFrame<H, E> {
    /// At the start of a stream.
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), lent: 0, wanted: Wanted::START, offset: 0, failure: None }
    }

    /// Where in the stream the next frame begins, in bytes; right after [`take`](Self::take), where the frame that it
    /// gave has its end.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives back the memory of the frame that was lent last.
    pub fn release(&mut self) {
        self.settle();
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// What is kept of an unfinished frame.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.lent..]
    }

    /// The memory held, in bytes: 0 when nothing is kept or lent.
    pub fn buffer_capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes out what is kept, as it was received. This is then as new.
    pub fn take_remainder(&mut self) -> Vec<u8> {
        self.settle();
        mem::take(self).buffer
    }

    /// The next frame is measured again, whatever was found out of it.
    pub(super) fn forget_extent(&mut self) {
        self.wanted = Wanted::START;
    }

    /// Drops what was lent by the last call. More memory than a small frame needs is given back.
    fn settle(&mut self) {
        if self.lent == self.buffer.len() && self.buffer.capacity() > SPARE_CAPACITY {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.lent);
        }
        self.lent = 0;
    }

    /// Keeps `input` until `length` bytes are kept. Returns whether they are.
    fn keep(&mut self, input: &mut &[u8], length: usize) -> bool {
        let missing = length.saturating_sub(self.buffer.len());
        let (part, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        let needed = self.buffer.len() + part.len();
        if needed > self.buffer.capacity() {
            let grown = needed.max(2 * self.buffer.capacity()).max(LEAST_CAPACITY);
            let capacity = grown.min(length.max(needed));
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(part);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        self.buffer.len() >= length
    }

    /// Keeps `input` up to and with the byte. Returns whether it came, or so many bytes without it.
    fn keep_through(&mut self, input: &mut &[u8], byte: u8, within: usize) -> bool {
        let most = within.saturating_sub(self.buffer.len()).min(input.len());
        match memchr::memchr(byte, &input[..most]) {
            Some(place) => self.keep(input, self.buffer.len() + place + 1),
            None => self.keep(input, within),
        }
    }

    /// Lends a frame that is whole.
    fn lend<'a, 'i: 'a>(
        &'a mut self,
        length: usize,
        head: H,
        input: &mut &'i [u8],
    ) -> (H, &'a [u8]) {
        self.offset += length as u64;
        if self.buffer.is_empty() {
            let (frame, rest) = input.split_at(length);
            *input = rest;
            (head, frame)
        } else {
            self.lent = length;
            (head, &self.buffer[..length])
        }
    }
}

impl<H, E: Clone> PartialFrame<H, E> {
    /// Takes the next frame, and moves `input` to what follows it. `Ok(None)`: the input was taken whole, and more is
    /// needed.
    ///
    /// `measure` gets the bytes from the frame's start on, at least one and as many as it has asked for, perhaps more
    /// than the frame's own; and where in the stream they begin. However many it gets, it must say the same of the same frame.
    ///
    /// # Errors
    /// What `measure` refuses the frame with. Nothing is kept then, and all further calls fail in the same way.
    pub fn take<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        measure: impl FnMut(&[u8], u64) -> Result<Extent<H>, E>,
    ) -> Result<Option<(H, &'a [u8])>, E> {
        if !self.is_ready(input, measure)? {
            return Ok(None);
        }
        match mem::replace(&mut self.wanted, Wanted::START) {
            Wanted::Frame { length, head } => Ok(Some(self.lend(length, head, input))),
            Wanted::Bytes(_) | Wanted::Through { .. } => Ok(None),
        }
    }

    /// Whether [`take`](Self::take) with the same input would give a frame. With `false` the input was taken whole. With
    /// `true` some of it may have been, and the frame is taken by `take`, with what is left in `input`.
    ///
    /// For [`Ready`](crate::codec::Ready).
    ///
    /// # Errors
    /// As for `take`.
    pub fn is_ready(
        &mut self,
        input: &mut &[u8],
        mut measure: impl FnMut(&[u8], u64) -> Result<Extent<H>, E>,
    ) -> Result<bool, E> {
        self.settle();
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        loop {
            let is_kept = !self.buffer.is_empty();
            let there = if is_kept { self.buffer.len() } else { input.len() };
            let is_enough = match self.wanted {
                Wanted::Frame { length, .. } => {
                    return Ok(there >= length || self.keep(input, length));
                }
                Wanted::Bytes(count) => there >= count || self.keep(input, count),
                Wanted::Through { byte, within } => self.keep_through(input, byte, within),
            };
            if !is_enough {
                return Ok(false);
            }
            let start = if self.buffer.is_empty() { *input } else { &self.buffer[..] };
            let more = start.len() + 1;
            self.wanted = match measure(start, self.offset) {
                Ok(Extent::AtLeast(count)) => Wanted::Bytes(count.max(more)),
                Ok(Extent::Through { byte, within }) => {
                    if self.buffer.is_empty() {
                        self.keep(input, input.len());
                    }
                    Wanted::Through { byte, within: within.max(more) }
                }
                Ok(Extent::Exactly { length, head }) => {
                    Wanted::Frame { length: length.max(1), head }
                }
                Err(error) => {
                    *self = Self { offset: self.offset, ..Self::new() };
                    self.failure = Some(error.clone());
                    return Err(error);
                }
            };
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// What `error` makes of a stream that ends within a frame; or the earlier error. All further calls fail in the same
    /// way.
    pub fn finish(&mut self, error: impl FnOnce(Unfinished) -> E) -> Result<(), E> {
        self.settle();
        if self.failure.is_none() && !self.buffer.is_empty() {
            let length = match self.wanted {
                Wanted::Frame { length, .. } => Some(length),
                Wanted::Bytes(_) | Wanted::Through { .. } => None,
            };
            let (start, received) = (self.offset, self.buffer.len());
            *self = Self { offset: self.offset, ..Self::new() };
            self.failure = Some(error(Unfinished { start, received, length }));
        }
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}

impl<H, E> Default for PartialFrame<H, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H, E> fmt::Debug for PartialFrame<H, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PartialFrame")
            .field("offset", &self.offset)
            .field("buffered", &self.buffered().len())
            .field("has_failed", &self.failure.is_some())
            .finish()
    }
}

/// Memory above this is not kept for the next frame.
const SPARE_CAPACITY: usize = 4096;

/// Heads come in a few bytes: growing from 1 would be many steps.
const LEAST_CAPACITY: usize = 32;

/// What must be there before there is something to do.
#[derive(Clone, Copy)]
enum Wanted<H> {
    /// So many bytes of the frame, to measure it.
    Bytes(usize),
    /// A byte that was not in what is kept, or so many bytes, to measure it.
    Through { byte: u8, within: usize },
    /// All of a frame that is measured.
    Frame { length: usize, head: H },
}

impl<H> Wanted<H> {
    const START: Self = Self::Bytes(1);
}

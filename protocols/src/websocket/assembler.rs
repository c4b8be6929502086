//! Messages out of frames (RFC 6455, 5.4): what both decoders are made of.

use std::mem;
use std::ops::Range;

use super::frame::RSV1;
use super::mask::{append_masked, rotated};
use super::utf8::{InvalidAt, Utf8Validator};
use super::{DataKind, FrameHeader, Inflater, Opcode, Role, Violation, WebSocketError, spare};

/// Reads frames, keeps what is unfinished, and says what is whole.
#[derive(Debug)]
pub(super) struct Assembler {
    pub(super) role: Role,
    pub(super) max_frame_length: usize,
    pub(super) max_message_length: usize,
    pub(super) max_fragments: u32,
    /// What decompresses, where that is agreed upon.
    pub(super) inflater: Option<Inflater>,
    /// Whether data is given as it comes, instead of a message at a time.
    pub(super) gives_parts: bool,

    /// The message so far, and behind it the payload so far of a control frame in its middle.
    pub(super) buffer: Vec<u8>,
    /// Up to here the buffer is kept; what is behind it was lent, unless it belongs to a control frame.
    message_end: usize,
    is_lent: bool,

    /// The beginning of a header whose end has not come.
    header: [u8; FrameHeader::MAX_LENGTH],
    header_length: u8,
    /// Where in the stream the next byte is.
    offset: u64,
    /// Where in the stream the current frame begins.
    frame_offset: u64,
    /// The frame whose payload is being read: its mask is turned to the next byte.
    frame: Option<FrameHeader>,
    remaining: u64,

    /// The message whose last fragment has not come.
    message: Option<UnfinishedMessage>,
    utf8: Utf8Validator,
    is_closed: bool,
    pub(super) failed: Option<WebSocketError>,
    /// How many bytes were looked at or copied, to show that the work is linear.
    #[cfg(test)]
    pub(super) work: usize,
}

/// How many compressed bytes are taken at once where parts are given.
const COMPRESSED_PART: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct UnfinishedMessage {
    kind: DataKind,
    is_compressed: bool,
    fragments: u32,
    /// The bytes so far, of which those of parts are kept no more.
    length: usize,
    /// Whether a part of it was given.
    is_begun: bool,
}

/// Something whole.
#[derive(Debug)]
pub(super) enum Item<'i> {
    Data {
        kind: DataKind,
        bytes: Lent<'i>,
        is_first: bool,
        is_last: bool,
        /// Whether text is known to be UTF-8 so far. If not, it is one that came whole, and begins at `at`.
        is_checked: bool,
        at: u64,
    },
    Control {
        opcode: Opcode,
        bytes: Lent<'i>,
        at: u64,
    },
}

/// Where the bytes of something whole are.
#[derive(Debug)]
pub(super) enum Lent<'i> {
    Input(&'i [u8]),
    Kept(Range<usize>),
}

impl<'i> Lent<'i> {
    pub(super) fn of<'a>(self, buffer: &'a [u8]) -> &'a [u8]
    where
        'i: 'a,
    {
        match self {
            Self::Input(bytes) => bytes,
            Self::Kept(range) => &buffer[range],
        }
    }
}

impl Assembler {
    pub(super) const fn new(role: Role, gives_parts: bool) -> Self {
        Self {
            role,
            max_frame_length: super::DEFAULT_MAX_MESSAGE_LENGTH,
            max_message_length: super::DEFAULT_MAX_MESSAGE_LENGTH,
            max_fragments: super::DEFAULT_MAX_FRAGMENTS,
            inflater: None,
            gives_parts,
            buffer: Vec::new(),
            message_end: 0,
            is_lent: false,
            header: [0; FrameHeader::MAX_LENGTH],
            header_length: 0,
            offset: 0,
            frame_offset: 0,
            frame: None,
            remaining: 0,
            message: None,
            utf8: Utf8Validator::new(),
            is_closed: false,
            failed: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Takes the next thing out of the input that is whole. After an error, the same again.
    pub(super) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Item<'i>>, WebSocketError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if mem::take(&mut self.is_lent) {
            self.buffer.truncate(self.message_end);
        }
        let item = self.read(input).inspect_err(|&error| self.failed = Some(error))?;
        match &item {
            Some(Item::Control { opcode, .. }) => {
                self.is_lent = true;
                self.is_closed |= *opcode == Opcode::Close;
            }
            Some(Item::Data { .. }) => {
                self.is_lent = true;
                self.message_end = 0;
            }
            None => self.settle(),
        }
        Ok(item)
    }

    pub(super) fn finish(&mut self) -> Result<(), WebSocketError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.is_closed || !self.is_unfinished() {
            return Ok(());
        }
        let error = WebSocketError { offset: self.offset, violation: Violation::Truncated };
        self.failed = Some(error);
        Err(error)
    }

    /// Whether a close frame has come: nothing follows it.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn buffered(&self) -> &[u8] {
        if self.is_lent {
            &self.buffer[..self.message_end]
        } else if self.buffer.is_empty() {
            &self.header[..usize::from(self.header_length)]
        } else {
            &self.buffer
        }
    }

    /// Makes the decoder new, and gives the beginning of a header that is kept.
    pub(super) fn take_remainder(&mut self) -> Vec<u8> {
        let is_between_messages = self.message.is_none() && self.failed.is_none();
        let remainder = match self.frame {
            None if is_between_messages => self.header[..usize::from(self.header_length)].to_vec(),
            _ => Vec::new(),
        };
        spare::give(mem::take(&mut self.buffer));
        *self = Self {
            // The connection is another's from here on.
            inflater: None,
            max_frame_length: self.max_frame_length,
            max_message_length: self.max_message_length,
            max_fragments: self.max_fragments,
            ..Self::new(self.role, self.gives_parts)
        };
        remainder
    }

    pub(super) fn error(&self, violation: Violation) -> WebSocketError {
        WebSocketError { offset: self.frame_offset, violation }
    }

    fn read<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Item<'i>>, WebSocketError> {
        if self.is_closed {
            self.offset += input.len() as u64;
            *input = &[];
            return Ok(None);
        }
        loop {
            let header = match self.frame {
                Some(header) => header,
                None => {
                    let Some(header) = self.read_header(input)? else { return Ok(None) };
                    self.begin_frame(header)?;
                    header
                }
            };

            let mut count = input.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
            let is_compressed = !header.opcode.is_control()
                && self.message.as_ref().is_some_and(|message| message.is_compressed);
            if is_compressed && self.gives_parts {
                // What comes out of it may be a thousand times as much.
                count = count.min(COMPRESSED_PART);
            }
            if count == 0 && self.remaining > 0 {
                return Ok(None);
            }
            let is_untouched = self.remaining == header.length;
            let (piece, rest) = input.split_at(count);
            *input = rest;
            let at = self.offset;
            self.offset += count as u64;
            self.remaining -= count as u64;
            let is_frame_end = self.remaining == 0;
            self.frame = (!is_frame_end).then(|| FrameHeader {
                mask: header.mask.map(|mask| rotated(mask, count)),
                ..header
            });

            let is_whole = is_untouched && is_frame_end;
            let item = if header.opcode.is_control() {
                self.read_control(&header, piece, is_whole)
            } else if is_compressed {
                self.read_compressed(&header, piece)?
            } else {
                self.read_data(&header, piece, at, is_whole)?
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<FrameHeader>, WebSocketError> {
        if self.header_length == 0 {
            self.frame_offset = self.offset;
            if input.first().is_some_and(|&first| first & RSV1 != 0) && self.inflater.is_none() {
                return Err(self.error(Violation::ReservedBits));
            }
            let decoded = FrameHeader::decode(input, self.role);
            if let Some((header, length)) = decoded.map_err(|violation| self.error(violation))? {
                *input = &input[length..];
                self.offset += length as u64;
                return Ok(Some(header));
            }
        }

        while let Some((&byte, rest)) = input.split_first() {
            #[cfg(test)]
            {
                self.work += 1;
            }
            *input = rest;
            self.offset += 1;
            self.header[usize::from(self.header_length)] = byte;
            self.header_length += 1;
            if self.header[0] & RSV1 != 0 && self.inflater.is_none() {
                return Err(self.error(Violation::ReservedBits));
            }
            let bytes = &self.header[..usize::from(self.header_length)];
            let decoded = FrameHeader::decode(bytes, self.role);
            if let Some((header, _)) = decoded.map_err(|violation| self.error(violation))? {
                self.header_length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks what a frame may be here, and how long.
    fn begin_frame(&mut self, header: FrameHeader) -> Result<(), WebSocketError> {
        self.frame = Some(header);
        self.remaining = header.length;
        if header.opcode.is_control() {
            return Ok(());
        }

        let kind = match header.opcode {
            Opcode::Text => Some(DataKind::Text),
            Opcode::Binary => Some(DataKind::Binary),
            _ => None,
        };
        let mut message = match (self.message, kind) {
            (None, Some(kind)) => UnfinishedMessage {
                kind,
                is_compressed: header.is_compressed,
                fragments: 0,
                length: 0,
                is_begun: false,
            },
            (Some(message), None) => message,
            (None, None) => return Err(self.error(Violation::UnexpectedContinuation)),
            (Some(_), Some(_)) => return Err(self.error(Violation::MissingContinuation)),
        };

        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > self.max_frame_length {
            let max_length = self.max_frame_length;
            return Err(self.error(Violation::FrameTooLong { max_length }));
        }
        if !message.is_compressed {
            message.length = message.length.saturating_add(length);
        }
        if message.length > self.max_message_length {
            let max_length = self.max_message_length;
            return Err(self.error(Violation::MessageTooLong { max_length }));
        }
        message.fragments = message.fragments.saturating_add(1);
        if message.fragments > self.max_fragments {
            let max_fragments = self.max_fragments;
            return Err(self.error(Violation::TooManyFragments { max_fragments }));
        }
        self.message = Some(message);
        Ok(())
    }

    fn read_control<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &'i [u8],
        is_whole: bool,
    ) -> Option<Item<'i>> {
        let bytes = if is_whole && header.mask.is_none() {
            Lent::Input(piece)
        } else {
            self.keep(header, piece);
            Lent::Kept(self.message_end..self.buffer.len())
        };
        let item = Item::Control { opcode: header.opcode, bytes, at: self.frame_offset };
        self.frame.is_none().then_some(item)
    }

    fn read_data<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &'i [u8],
        at: u64,
        is_whole: bool,
    ) -> Result<Option<Item<'i>>, WebSocketError> {
        let Some(message) = &mut self.message else { return Ok(None) };
        let UnfinishedMessage { kind, .. } = *message;
        let is_frame_end = self.frame.is_none();
        let is_last = is_frame_end && header.is_final;
        let is_single = is_whole && is_last && message.fragments == 1;
        let gives = is_last || self.gives_parts && !piece.is_empty();
        let is_first = gives && !mem::replace(&mut message.is_begun, true);

        let is_lent = header.mask.is_none() && (is_single || self.gives_parts);
        let is_checked = kind == DataKind::Binary || !is_single;
        let bytes = if is_lent {
            if kind == DataKind::Text && !is_single {
                Self::check_text(&mut self.utf8, piece, at)?;
            }
            Lent::Input(piece)
        } else {
            let start = self.buffer.len();
            self.keep(header, piece);
            self.message_end = self.buffer.len();
            if kind == DataKind::Text && !is_single {
                Self::check_text(&mut self.utf8, &self.buffer[start..], at)?;
            }
            Lent::Kept(0..self.buffer.len())
        };
        if is_last {
            self.message = None;
            self.utf8.finish().map_err(Self::invalid_text)?;
        }
        let item = Item::Data { kind, bytes, is_first, is_last, is_checked, at };
        Ok(gives.then_some(item))
    }

    /// A part of a compressed message. An error in it is one of its frame: no byte of the stream stands for one of the
    /// text.
    fn read_compressed<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &[u8],
    ) -> Result<Option<Item<'i>>, WebSocketError> {
        let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater) else {
            return Ok(None);
        };
        #[cfg(test)]
        {
            self.work += piece.len();
        }
        if self.buffer.capacity() == 0 {
            self.buffer = spare::take();
        }
        let is_last = self.frame.is_none() && header.is_final;
        let start = self.buffer.len();
        let room = self.max_message_length - message.length;
        let mut inflated = match header.mask {
            None => inflater.inflate(piece, &mut self.buffer, room),
            Some(mask) => {
                let mut unmasked = spare::take();
                append_masked(mask, piece, &mut unmasked);
                let inflated = inflater.inflate(&unmasked, &mut self.buffer, room);
                spare::give(unmasked);
                inflated
            }
        };
        if inflated.is_ok() && is_last {
            let room = room - (self.buffer.len() - start);
            inflated = inflater.finish(&mut self.buffer, room);
        }
        let count = self.buffer.len() - start;
        message.length += count;
        self.message_end = self.buffer.len();
        let kind = message.kind;
        let gives = is_last || self.gives_parts && count > 0;
        let is_first = gives && !mem::replace(&mut message.is_begun, true);
        if kind == DataKind::Text {
            let mut checked = self.utf8.feed(&self.buffer[start..], 0);
            if inflated.is_ok() && is_last {
                checked = checked.and_then(|()| self.utf8.finish());
            }
            checked.map_err(|_| self.error(Violation::InvalidUtf8))?;
        }
        if let Err(error) = inflated {
            return Err(self.error(error.violation(self.max_message_length)));
        }
        if is_last {
            self.message = None;
        }
        let bytes = Lent::Kept(0..self.buffer.len());
        let at = self.frame_offset;
        let item = Item::Data { kind, bytes, is_first, is_last, is_checked: true, at };
        Ok(gives.then_some(item))
    }

    fn check_text(utf8: &mut Utf8Validator, text: &[u8], at: u64) -> Result<(), WebSocketError> {
        utf8.feed(text, at).map_err(Self::invalid_text)
    }

    fn invalid_text(InvalidAt(offset): InvalidAt) -> WebSocketError {
        WebSocketError { offset, violation: Violation::InvalidUtf8 }
    }

    /// Copies a part of a payload into the buffer, unmasked.
    fn keep(&mut self, header: &FrameHeader, piece: &[u8]) {
        #[cfg(test)]
        {
            self.work += piece.len();
        }
        self.make_room(header, piece.len());
        match header.mask {
            Some(mask) => append_masked(mask, piece, &mut self.buffer),
            None => self.buffer.extend_from_slice(piece),
        }
    }

    /// Makes room for `count` bytes: for as much as was received, or twice, and not for what is only announced.
    fn make_room(&mut self, header: &FrameHeader, count: usize) {
        if self.buffer.capacity() == 0 && count > 0 {
            self.buffer = spare::take();
        }
        let needed = self.buffer.len() + count;
        if needed <= self.buffer.capacity() {
            return;
        }
        let most = if header.is_final && !header.opcode.is_control() {
            needed.saturating_add(usize::try_from(self.remaining).unwrap_or(usize::MAX))
        } else {
            self.max_message_length.saturating_add(FrameHeader::MAX_CONTROL_LENGTH)
        };
        let capacity = self.buffer.capacity().saturating_mul(2).min(most).max(needed);
        self.buffer.reserve_exact(capacity - self.buffer.len());
    }

    /// Gives the buffer back when nothing is in it.
    fn settle(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            spare::give(mem::take(&mut self.buffer));
        }
    }

    fn is_unfinished(&self) -> bool {
        self.header_length > 0 || self.frame.is_some() || self.message.is_some()
    }
}

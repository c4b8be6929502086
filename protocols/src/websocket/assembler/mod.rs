//! Messages out of frames (RFC 6455, 5.4): what both decoders are made of.

mod buffer;
mod header;
mod item;
mod limits;
mod order;
mod payload;

pub(super) use buffer::Buffer;
pub(super) use item::{Item, Lent};
use limits::Limits;

use self::header::PartialHeader;
use self::order::UnfinishedMessage;
use self::payload::Piece;
use super::mask::rotated;
use super::utf8::Utf8Validator;
use super::{FrameHeader, Inflater, Opcode, Role, Violation, WebSocketError};

/// Reads frames, keeps what is unfinished, and says what is whole.
#[derive(Debug)]
pub(super) struct Assembler {
    pub(super) role: Role,
    pub(super) limits: Limits,
    /// What decompresses, where that is agreed upon.
    pub(super) inflater: Option<Inflater>,
    /// Whether data is given as it comes, instead of a message at a time.
    gives_parts: bool,

    pub(super) buffer: Buffer,
    header: PartialHeader,
    /// Where in the stream the next byte is.
    offset: u64,
    /// Where in the stream the current frame begins.
    frame_offset: u64,
    /// The frame whose payload is being read: its mask is turned to the next byte.
    frame: Option<FrameHeader>,
    remaining: u64,

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

impl Assembler {
    pub(super) const fn new(role: Role, gives_parts: bool) -> Self {
        Self {
            role,
            limits: Limits::new(),
            inflater: None,
            gives_parts,
            buffer: Buffer::new(),
            header: PartialHeader::new(),
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
        self.buffer.reclaim();
        let item = self.read(input).inspect_err(|&error| self.failed = Some(error))?;
        match &item {
            Some(Item::Control { opcode, .. }) => {
                self.buffer.lend_control();
                self.is_closed |= *opcode == Opcode::Close;
            }
            Some(Item::Data { .. }) => self.buffer.lend_message(),
            None => self.buffer.settle(),
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
        match self.buffer.kept() {
            [] => self.header.bytes(),
            kept => kept,
        }
    }

    /// Makes the decoder new, and gives the beginning of a header that is kept.
    pub(super) fn take_remainder(&mut self) -> Vec<u8> {
        let is_between_messages = self.message.is_none() && self.failed.is_none();
        let remainder = match self.frame {
            None if is_between_messages => self.header.bytes().to_vec(),
            _ => Vec::new(),
        };
        self.buffer.free();
        // The connection is another's from here on: nothing of it is compressed.
        *self = Self { limits: self.limits, ..Self::new(self.role, self.gives_parts) };
        remainder
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
                    header
                }
            };
            let is_compressed = !header.opcode.is_control()
                && self.message.as_ref().is_some_and(|message| message.is_compressed);
            let Some(piece) = self.take_piece(&header, is_compressed, input) else {
                return Ok(None);
            };
            let item = if header.opcode.is_control() {
                self.read_control(&header, &piece)
            } else if is_compressed {
                self.read_compressed(&header, &piece)?
            } else {
                self.read_data(&header, &piece)?
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// Reads a header, and checks what its frame may be here, and how long.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<FrameHeader>, WebSocketError> {
        if self.header.is_empty() {
            self.frame_offset = self.offset;
        }
        let before = input.len();
        let read = self.header.read(input, self.role, self.inflater.is_some());
        let count = before - input.len();
        self.offset += count as u64;
        #[cfg(test)]
        {
            self.work += count;
        }
        let header = read.map_err(|violation| self.error(violation))?;
        let Some(header) = header else { return Ok(None) };
        if !header.opcode.is_control() {
            let message = UnfinishedMessage::with(self.message, &header, &self.limits);
            self.message = Some(message.map_err(|violation| self.error(violation))?);
        }
        self.frame = Some(header);
        self.remaining = header.length;
        Ok(Some(header))
    }

    /// Takes what is there of a frame's payload; `None` if there is nothing.
    fn take_piece<'i>(
        &mut self,
        header: &FrameHeader,
        is_compressed: bool,
        input: &mut &'i [u8],
    ) -> Option<Piece<'i>> {
        let mut count = input.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if is_compressed && self.gives_parts {
            // What comes out of it may be a thousand times as much.
            count = count.min(COMPRESSED_PART);
        }
        if count == 0 && self.remaining > 0 {
            return None;
        }
        let is_untouched = self.remaining == header.length;
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        let at = self.offset;
        self.offset += count as u64;
        self.remaining -= count as u64;
        let is_frame_end = self.remaining == 0;
        let mask = header.mask.map(|mask| rotated(mask, count));
        self.frame = (!is_frame_end).then_some(FrameHeader { mask, ..*header });
        Some(Piece { bytes, at, is_whole: is_untouched && is_frame_end, is_frame_end })
    }

    fn error(&self, violation: Violation) -> WebSocketError {
        WebSocketError { offset: self.frame_offset, violation }
    }

    fn is_unfinished(&self) -> bool {
        !self.header.is_empty() || self.frame.is_some() || self.message.is_some()
    }
}

//! What the payload of a frame is made into.

use std::mem;

use super::item::{Item, Lent};
use super::{Assembler, FrameHeader};
use crate::websocket::mask::append_masked;
use crate::websocket::utf8::InvalidAt;
use crate::websocket::{DataKind, Violation, WebSocketError, spare};

/// A piece of a frame's payload.
pub(super) struct Piece<'i> {
    pub(super) bytes: &'i [u8],
    /// Where it begins in the stream.
    pub(super) at: u64,
    /// Whether it is the whole payload.
    pub(super) is_whole: bool,
    /// Whether the frame ends with it.
    pub(super) is_frame_end: bool,
}

impl Assembler {
    pub(super) fn read_control<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &Piece<'i>,
    ) -> Option<Item<'i>> {
        let bytes = if piece.is_whole && header.mask.is_none() {
            Lent::Input(piece.bytes)
        } else {
            self.keep(header, piece.bytes);
            Lent::Kept(self.buffer.control())
        };
        let item = Item::Control { opcode: header.opcode, bytes, at: self.frame_offset };
        piece.is_frame_end.then_some(item)
    }

    pub(super) fn read_data<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &Piece<'i>,
    ) -> Result<Option<Item<'i>>, WebSocketError> {
        let Some(message) = &mut self.message else { return Ok(None) };
        let kind = message.kind;
        let is_last = piece.is_frame_end && header.is_final;
        let is_single = piece.is_whole && is_last && message.fragments == 1;
        let gives = is_last || self.gives_parts && !piece.bytes.is_empty();
        let is_first = gives && !mem::replace(&mut message.is_begun, true);

        // Text that comes whole is checked by who takes it, once.
        let is_checked = kind == DataKind::Binary || !is_single;
        let is_text_part = kind == DataKind::Text && !is_single;
        let bytes = if header.mask.is_none() && (is_single || self.gives_parts) {
            if is_text_part {
                self.utf8.feed(piece.bytes, piece.at).map_err(invalid_text)?;
            }
            Lent::Input(piece.bytes)
        } else {
            let start = self.buffer.bytes.len();
            self.keep(header, piece.bytes);
            let range = self.buffer.message();
            if is_text_part {
                self.utf8.feed(&self.buffer.bytes[start..], piece.at).map_err(invalid_text)?;
            }
            Lent::Kept(range)
        };
        if is_last {
            self.message = None;
            self.utf8.finish().map_err(invalid_text)?;
        }
        let item = Item::Data { kind, bytes, is_first, is_last, is_checked, at: piece.at };
        Ok(gives.then_some(item))
    }

    /// A piece of a compressed message. An error in it is one of its frame: no byte of the stream stands for one of the
    /// text.
    pub(super) fn read_compressed<'i>(
        &mut self,
        header: &FrameHeader,
        piece: &Piece<'i>,
    ) -> Result<Option<Item<'i>>, WebSocketError> {
        let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater) else {
            return Ok(None);
        };
        #[cfg(test)]
        {
            self.work += piece.bytes.len();
        }
        self.buffer.take_spare();
        let buffer = &mut self.buffer.bytes;
        let is_last = piece.is_frame_end && header.is_final;
        let start = buffer.len();
        // The limit may have been lowered in the middle of the message.
        let room = self.limits.max_message_length.saturating_sub(message.length);
        let mut inflated = match header.mask {
            None => inflater.inflate(piece.bytes, buffer, room),
            Some(mask) => {
                let mut unmasked = spare::take();
                append_masked(mask, piece.bytes, &mut unmasked);
                let inflated = inflater.inflate(&unmasked, buffer, room);
                spare::give(unmasked);
                inflated
            }
        };
        if inflated.is_ok() && is_last {
            let room = room - (buffer.len() - start);
            inflated = inflater.finish(buffer, room);
        }
        let count = buffer.len() - start;
        message.length += count;
        let kind = message.kind;
        let gives = is_last || self.gives_parts && count > 0;
        let is_first = gives && !mem::replace(&mut message.is_begun, true);
        let bytes = Lent::Kept(self.buffer.message());
        if kind == DataKind::Text {
            let mut checked = self.utf8.feed(&self.buffer.bytes[start..], 0);
            if inflated.is_ok() && is_last {
                checked = checked.and_then(|()| self.utf8.finish());
            }
            checked.map_err(|_| self.error(Violation::InvalidUtf8))?;
        }
        if let Err(error) = inflated {
            return Err(self.error(error.violation(self.limits.max_message_length)));
        }
        if is_last {
            self.message = None;
        }
        let at = self.frame_offset;
        let item = Item::Data { kind, bytes, is_first, is_last, is_checked: true, at };
        Ok(gives.then_some(item))
    }

    /// Copies a piece of a payload into the buffer, unmasked.
    fn keep(&mut self, header: &FrameHeader, piece: &[u8]) {
        #[cfg(test)]
        {
            self.work += piece.len();
        }
        self.buffer.keep(header, piece, self.remaining, self.limits.max_message_length);
    }
}

fn invalid_text(InvalidAt(offset): InvalidAt) -> WebSocketError {
    WebSocketError { offset, violation: Violation::InvalidUtf8 }
}

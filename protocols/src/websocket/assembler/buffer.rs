use std::mem;
use std::ops::Range;

use crate::websocket::mask::append_masked;
use crate::websocket::{FrameHeader, spare};

/// The message so far, and behind it the payload so far of a control frame in its middle.
#[derive(Debug)]
pub(in crate::websocket) struct Buffer {
    pub(super) bytes: Vec<u8>,
    /// Up to here they are kept; what is behind was lent, unless it belongs to a control frame.
    message_end: usize,
    is_lent: bool,
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), message_end: 0, is_lent: false }
    }

    pub(in crate::websocket) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn kept(&self) -> &[u8] {
        if self.is_lent { &self.bytes[..self.message_end] } else { &self.bytes }
    }

    /// What was lent is not needed any more.
    pub(super) fn reclaim(&mut self) {
        if mem::take(&mut self.is_lent) {
            self.bytes.truncate(self.message_end);
        }
    }

    /// Where the payload of the control frame is, which was kept.
    pub(super) fn control(&self) -> Range<usize> {
        self.message_end..self.bytes.len()
    }

    pub(super) fn lend_control(&mut self) {
        self.is_lent = true;
    }

    /// Where the message is, of which everything is kept so far.
    pub(super) fn message(&mut self) -> Range<usize> {
        self.message_end = self.bytes.len();
        0..self.message_end
    }

    pub(super) fn lend_message(&mut self) {
        self.is_lent = true;
        self.message_end = 0;
    }

    /// Appends a part of a payload, unmasked. It gets room for as much as was received, or twice that, and not for what
    /// is only announced: at most for `max_length`, or where the frame is the last for the `remaining` bytes of it.
    pub(super) fn keep(
        &mut self,
        header: &FrameHeader,
        piece: &[u8],
        remaining: u64,
        max_length: usize,
    ) {
        if !piece.is_empty() {
            self.take_spare();
        }
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let most = if header.is_final && !header.opcode.is_control() {
                needed.saturating_add(usize::try_from(remaining).unwrap_or(usize::MAX))
            } else {
                max_length.saturating_add(FrameHeader::MAX_CONTROL_LENGTH)
            };
            let capacity = self.bytes.capacity().saturating_mul(2).min(most).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        match header.mask {
            Some(mask) => append_masked(mask, piece, &mut self.bytes),
            None => self.bytes.extend_from_slice(piece),
        }
    }

    pub(super) fn take_spare(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare::take();
        }
    }

    /// Gives the memory back when nothing is in it.
    pub(super) fn settle(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            self.free();
        }
    }

    pub(super) fn free(&mut self) {
        spare::give(mem::take(&mut self.bytes));
    }
}

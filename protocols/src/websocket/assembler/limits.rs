use crate::websocket::{DEFAULT_MAX_FRAGMENTS, DEFAULT_MAX_MESSAGE_LENGTH, Violation};

/// How much of a message is taken.
#[derive(Clone, Copy, Debug)]
pub(in crate::websocket) struct Limits {
    /// In bytes of payload, as they are sent.
    pub(in crate::websocket) max_frame_length: usize,
    /// In bytes, decompressed.
    pub(in crate::websocket) max_message_length: usize,
    pub(in crate::websocket) max_fragments: u32,
}

impl Limits {
    pub(super) const fn new() -> Self {
        Self {
            max_frame_length: DEFAULT_MAX_MESSAGE_LENGTH,
            max_message_length: DEFAULT_MAX_MESSAGE_LENGTH,
            max_fragments: DEFAULT_MAX_FRAGMENTS,
        }
    }

    pub(super) fn check_frame(&self, length: usize) -> Result<(), Violation> {
        let max_length = self.max_frame_length;
        if length > max_length { Err(Violation::FrameTooLong { max_length }) } else { Ok(()) }
    }

    pub(super) fn check_message(&self, length: usize) -> Result<(), Violation> {
        let max_length = self.max_message_length;
        if length > max_length { Err(Violation::MessageTooLong { max_length }) } else { Ok(()) }
    }

    pub(super) fn check_fragments(&self, count: u32) -> Result<(), Violation> {
        let max_fragments = self.max_fragments;
        let is_too_many = count > max_fragments;
        if is_too_many { Err(Violation::TooManyFragments { max_fragments }) } else { Ok(()) }
    }
}

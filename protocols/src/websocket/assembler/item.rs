use std::ops::Range;

use super::Buffer;
use crate::websocket::{DataKind, Opcode};

/// Something whole.
#[derive(Debug)]
pub(in crate::websocket) enum Item<'i> {
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
pub(in crate::websocket) enum Lent<'i> {
    Input(&'i [u8]),
    Kept(Range<usize>),
}

impl<'i> Lent<'i> {
    pub(in crate::websocket) fn of<'a>(self, buffer: &'a Buffer) -> &'a [u8]
    where
        'i: 'a,
    {
        match self {
            Self::Input(bytes) => bytes,
            Self::Kept(range) => &buffer.bytes[range],
        }
    }
}

//! What is sent and received.

use super::{CloseReason, Opcode};

/// A message or a control frame, borrowed.
///
/// As the frame of a [`MessageDecoder`](super::MessageDecoder) it is lent: what is to be kept must be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text, which is UTF-8 (RFC 6455, 5.6).
    Text(&'a str),
    /// Bytes (RFC 6455, 5.6).
    Binary(&'a [u8]),
    /// Asks the peer to answer with a pong of the same bytes, at most 125 (RFC 6455, 5.5.2).
    Ping(&'a [u8]),
    /// Answers a ping, or says by itself that this side is alive (RFC 6455, 5.5.3).
    Pong(&'a [u8]),
    /// Ends what this side sends, and asks the peer to end what it sends (RFC 6455, 5.5.1).
    Close(Option<CloseReason<'a>>),
}

/// What the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

impl DataKind {
    pub(super) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// A part of a message: for messages that are not to be held in memory whole.
///
/// The parts of a message make it up when joined. Where they are cut says nothing: by the fragments that the sender
/// chose, and by how the bytes arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What the message is made of.
    pub kind: DataKind,
    /// The bytes. Text that is received is UTF-8 up to here, but a part may end within a character.
    pub data: &'a [u8],
    /// Whether the message begins with this part.
    pub is_first: bool,
    /// Whether the message ends with this part.
    pub is_last: bool,
}

/// A part of a message, or a control frame, which may come between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A part of a message.
    Data(Part<'a>),
    /// See [`Message::Ping`].
    Ping(&'a [u8]),
    /// See [`Message::Pong`].
    Pong(&'a [u8]),
    /// See [`Message::Close`].
    Close(Option<CloseReason<'a>>),
}

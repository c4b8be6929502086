//! Messages out of a byte stream.

use super::assembler::{Assembler, Buffer, Item, Lent};
use super::{CloseReason, DataKind, Message, Opcode, Part, Piece, Role, Violation, WebSocketError};
use crate::codec::Decoder;

/// Takes messages out of a byte stream: fragments are put together, text is UTF-8.
///
/// A message that a server sent in one frame, and that lies whole in one input, is lent from there without a copy.
/// All else is unmasked into a buffer, once. Nothing is allocated for what a frame only announces, and while nothing is
/// kept, no memory is held: buffers of a thread's decoders take turns.
///
/// Text is checked as it arrives, and refused at its first wrong byte. What follows a close frame is dropped (RFC 6455,
/// 1.4).
///
/// ```
/// use wharf_protocols::codec::{Decoder, Encoder};
/// use wharf_protocols::websocket::{Message, MessageDecoder, MessageEncoder, Role, WebSocketError};
///
/// # fn main() -> Result<(), WebSocketError> {
/// let mut stream = Vec::new();
/// let mut client = MessageEncoder::new(Role::Client).max_fragment_length(4);
/// client.encode(&Message::Text("hello"), &mut stream).expect("it can be sent");
/// client.encode(&Message::Ping(b"?"), &mut stream).expect("it can be sent");
///
/// let mut server = MessageDecoder::new(Role::Server).max_message_length(1 << 20);
/// let mut input = &stream[..];
/// assert_eq!(server.decode(&mut input)?, Some(Message::Text("hello")));
/// assert_eq!(server.decode(&mut input)?, Some(Message::Ping(b"?")));
/// assert_eq!(server.decode(&mut input)?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageDecoder {
    assembler: Assembler,
}

/// Takes messages out of a byte stream part by part, as they arrive: for messages that are not to be held in memory.
///
/// As a [`MessageDecoder`], which it has all options and rules of, but it keeps nothing of a message.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::websocket::{PartDecoder, Piece, Role, WebSocketError};
///
/// # fn main() -> Result<(), WebSocketError> {
/// let mut decoder = PartDecoder::new(Role::Client);
/// let mut sum = 0;
/// // Five bytes are announced, and come in two reads.
/// for mut input in [&b"\x82\x05\x01\x02"[..], b"\x03\x04\x05"] {
///     while let Some(piece) = decoder.decode(&mut input)? {
///         if let Piece::Data(part) = piece {
///             sum += part.data.iter().map(|&byte| u32::from(byte)).sum::<u32>();
///         }
///     }
/// }
/// assert_eq!(sum, 15);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PartDecoder {
    assembler: Assembler,
}

macro_rules! options {
    ($decoder:ident, $gives_parts:expr) => {
        impl $decoder {
            /// A decoder of what `role` receives: frames of at most [`DEFAULT_MAX_MESSAGE_LENGTH`] bytes, messages of
            /// the same length, and [`DEFAULT_MAX_FRAGMENTS`].
            ///
            /// [`DEFAULT_MAX_MESSAGE_LENGTH`]: super::DEFAULT_MAX_MESSAGE_LENGTH
            /// [`DEFAULT_MAX_FRAGMENTS`]: super::DEFAULT_MAX_FRAGMENTS
            pub const fn new(role: Role) -> Self {
                Self { assembler: Assembler::new(role, $gives_parts) }
            }

            /// The longest message to take, in bytes; and the longest frame, unless
            /// [`max_frame_length`](Self::max_frame_length) says less afterwards.
            #[must_use]
            pub const fn max_message_length(mut self, max_length: usize) -> Self {
                self.assembler.limits.max_message_length = max_length;
                self.assembler.limits.max_frame_length = max_length;
                self
            }

            /// The longest frame of a message to take, in bytes of payload.
            #[must_use]
            pub const fn max_frame_length(mut self, max_length: usize) -> Self {
                self.assembler.limits.max_frame_length = max_length;
                self
            }

            /// The most fragments of a message.
            #[must_use]
            pub const fn max_fragments(mut self, max_fragments: u32) -> Self {
                self.assembler.limits.max_fragments = max_fragments;
                self
            }

            /// Decompresses messages, as it was agreed upon. Limits count what comes out.
            #[cfg(feature = "websocket-deflate")]
            #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
            #[must_use]
            pub fn deflate(mut self, parameters: &super::DeflateParameters) -> Self {
                self.assembler.inflater = Some(parameters.inflater(self.assembler.role));
                self
            }

            /// Whether the peer's close frame has been taken: it sends nothing more.
            pub fn is_closed(&self) -> bool {
                self.assembler.is_closed()
            }

            /// The memory held, in bytes: 0 when nothing is kept, else at most twice what was received of the message,
            /// or what is left of a spare buffer.
            pub fn buffer_capacity(&self) -> usize {
                self.assembler.buffer.capacity()
            }
        }
    };
}

options!(MessageDecoder, false);
options!(PartDecoder, true);

impl Decoder for MessageDecoder {
    type Frame<'a> = Message<'a>;
    type Error = WebSocketError;

    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Message<'a>>, WebSocketError> {
        let Some(item) = self.assembler.next(input)? else { return Ok(None) };
        let Assembler { buffer, failed, .. } = &mut self.assembler;
        let message = match item {
            Item::Data { kind: DataKind::Binary, bytes, .. } => {
                Ok(Message::Binary(bytes.of(buffer)))
            }
            Item::Data { bytes, at, .. } => text(bytes.of(buffer), at).map(Message::Text),
            Item::Control { opcode, bytes, at } => {
                control(opcode, bytes, buffer, at).map(|control| match control {
                    Control::Ping(bytes) => Message::Ping(bytes),
                    Control::Pong(bytes) => Message::Pong(bytes),
                    Control::Close(reason) => Message::Close(reason),
                })
            }
        };
        message.map(Some).inspect_err(|&error| *failed = Some(error))
    }

    /// Never a frame: a message has an end of its own.
    ///
    /// # Errors
    /// The stream ends in the middle of a frame or a message. One that ends between messages, without a close frame, is
    /// no error here; see [`is_closed`](Self::is_closed).
    fn finish(&mut self) -> Result<Option<Message<'_>>, WebSocketError> {
        self.assembler.finish().map(|()| None)
    }

    /// The beginning of a header, or of a message, unmasked.
    fn buffered(&self) -> &[u8] {
        self.assembler.buffered()
    }

    /// The beginning of a header between two messages. In the middle of a message nothing can be given back: what came
    /// of it is dropped.
    fn take_remainder(&mut self) -> Vec<u8> {
        self.assembler.take_remainder()
    }
}

impl Decoder for PartDecoder {
    type Frame<'a> = Piece<'a>;
    type Error = WebSocketError;

    /// The next part. Joined, the parts are the same however the stream is split; where they are cut is not.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Piece<'a>>, WebSocketError> {
        let Some(item) = self.assembler.next(input)? else { return Ok(None) };
        let Assembler { buffer, failed, .. } = &mut self.assembler;
        let piece = match item {
            Item::Data { kind, bytes, is_first, is_last, is_checked, at } => {
                let data = bytes.of(buffer);
                let checked = if is_checked { Ok("") } else { text(data, at) };
                checked.map(|_| Piece::Data(Part { kind, data, is_first, is_last }))
            }
            Item::Control { opcode, bytes, at } => {
                control(opcode, bytes, buffer, at).map(|control| match control {
                    Control::Ping(bytes) => Piece::Ping(bytes),
                    Control::Pong(bytes) => Piece::Pong(bytes),
                    Control::Close(reason) => Piece::Close(reason),
                })
            }
        };
        piece.map(Some).inspect_err(|&error| *failed = Some(error))
    }

    /// As [`MessageDecoder::finish`].
    fn finish(&mut self) -> Result<Option<Piece<'_>>, WebSocketError> {
        self.assembler.finish().map(|()| None)
    }

    /// The beginning of a header, or of a control frame, unmasked.
    fn buffered(&self) -> &[u8] {
        self.assembler.buffered()
    }

    /// As [`MessageDecoder::take_remainder`].
    fn take_remainder(&mut self) -> Vec<u8> {
        self.assembler.take_remainder()
    }
}

/// Text that begins at `at` in the stream.
fn text(bytes: &[u8], at: u64) -> Result<&str, WebSocketError> {
    simdutf8::compat::from_utf8(bytes).map_err(|error| WebSocketError {
        offset: at + error.valid_up_to() as u64,
        violation: Violation::InvalidUtf8,
    })
}

enum Control<'a> {
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(Option<CloseReason<'a>>),
}

fn control<'a, 'i: 'a>(
    opcode: Opcode,
    bytes: Lent<'i>,
    buffer: &'a Buffer,
    at: u64,
) -> Result<Control<'a>, WebSocketError> {
    let bytes = bytes.of(buffer);
    match opcode {
        Opcode::Ping => Ok(Control::Ping(bytes)),
        Opcode::Pong => Ok(Control::Pong(bytes)),
        _ => match CloseReason::decode(bytes) {
            Ok(reason) => Ok(Control::Close(reason)),
            Err(violation) => Err(WebSocketError { offset: at, violation }),
        },
    }
}

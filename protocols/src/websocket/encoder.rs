//! Messages into a byte stream.

use std::io::IoSlice;

use wharf::{Transport, WriteStatus};

use super::mask::{append_masked, rotated};
use super::utf8::Utf8Validator;
use super::{
    CloseReason, DataKind, Deflater, EncodeError, FrameHeader, MaskKeys, Message, Opcode, Part,
    Role, spare,
};
use crate::codec::Encoder;

/// Puts messages into a byte stream.
///
/// It refuses what the peer would have to refuse: control frames that are too long, close codes that may not be sent,
/// anything behind a close, and a message in the middle of another.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::websocket::{CloseCode, CloseReason, EncodeError, Message, MessageEncoder, Role};
///
/// # fn main() -> Result<(), EncodeError> {
/// let mut encoder = MessageEncoder::new(Role::Server);
/// let mut output = Vec::new();
/// encoder.encode(&Message::Text("hi"), &mut output)?;
/// encoder.encode(&Message::Close(Some(CloseReason::new(CloseCode::NORMAL))), &mut output)?;
/// assert_eq!(output, b"\x81\x02hi\x88\x02\x03\xe8");
///
/// assert_eq!(encoder.encode(&Message::Binary(b"more"), &mut output), Err(EncodeError::AfterClose));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageEncoder {
    role: Role,
    keys: MaskKeys,
    max_fragment_length: usize,
    max_message_length: usize,
    deflater: Option<Deflater>,
    /// The message in parts that is under way.
    parts: Option<UnfinishedParts>,
    is_closed: bool,
}

#[derive(Clone, Debug)]
struct UnfinishedParts {
    kind: DataKind,
    utf8: Utf8Validator,
    length: usize,
}

impl MessageEncoder {
    /// An encoder of what `role` sends: each message in one frame, without a limit.
    pub fn new(role: Role) -> Self {
        Self::with_mask_keys(role, MaskKeys::random())
    }

    /// As [`new`](Self::new), with masks from `keys`, which only clients need.
    pub const fn with_mask_keys(role: Role, keys: MaskKeys) -> Self {
        Self {
            role,
            keys,
            max_fragment_length: usize::MAX,
            max_message_length: usize::MAX,
            deflater: None,
            parts: None,
            is_closed: false,
        }
    }

    /// Sends messages in fragments of at most that many bytes, so that pings are not behind a large message as a whole;
    /// 0 counts as 1.
    #[must_use]
    pub const fn max_fragment_length(mut self, max_length: usize) -> Self {
        self.max_fragment_length = if max_length == 0 { 1 } else { max_length };
        self
    }

    /// The longest message to send, in bytes.
    #[must_use]
    pub const fn max_message_length(mut self, max_length: usize) -> Self {
        self.max_message_length = max_length;
        self
    }

    /// Compresses messages, as it was agreed upon. Parts are sent as they are.
    #[cfg(feature = "websocket-deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
    #[must_use]
    pub fn deflate(mut self, parameters: &super::DeflateParameters) -> Self {
        self.deflater = parameters.deflater(self.role);
        self
    }

    /// Sends `message`. What a server sends in one frame is not copied first.
    ///
    /// # Errors
    /// As for [`check`](Self::check); nothing is sent then.
    pub fn write_to(
        &mut self,
        transport: &(impl Transport + ?Sized),
        message: &Message<'_>,
    ) -> Result<WriteStatus, EncodeError> {
        self.check(message)?;
        if self.role == Role::Server
            && let Message::Text(_) | Message::Binary(_) = message
        {
            let (opcode, payload) = data(message);
            if payload.len() <= self.max_fragment_length && !self.compresses(payload) {
                let header = self.header(opcode, true, false, payload.len());
                let mut buffer = [0; FrameHeader::MAX_LENGTH];
                let header = header.encode(&mut buffer);
                return Ok(transport.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]));
            }
        }
        let mut output = spare::take();
        self.append(message, &mut output);
        let status = transport.write(&output);
        spare::give(output);
        Ok(status)
    }

    /// Checks that `message` can be sent now.
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`]; [`EncodeError::LongControl`] and [`EncodeError::CloseCode`] for what no frame can
    /// hold; [`EncodeError::UnfinishedMessage`] before the last part of another; [`EncodeError::MessageTooLong`].
    pub fn check(&self, message: &Message<'_>) -> Result<(), EncodeError> {
        if self.is_closed {
            return Err(EncodeError::AfterClose);
        }
        match message {
            Message::Text(_) | Message::Binary(_) => {
                if self.parts.is_some() {
                    return Err(EncodeError::UnfinishedMessage);
                }
                self.check_length(data(message).1.len())
            }
            Message::Ping(payload) | Message::Pong(payload) => {
                let is_short = payload.len() <= FrameHeader::MAX_CONTROL_LENGTH;
                if is_short { Ok(()) } else { Err(EncodeError::LongControl) }
            }
            Message::Close(None) => Ok(()),
            Message::Close(Some(CloseReason { code, .. })) if !code.can_be_sent() => {
                Err(EncodeError::CloseCode(*code))
            }
            Message::Close(Some(CloseReason { reason, .. })) => {
                let is_short = reason.len() <= CloseReason::MAX_LENGTH;
                if is_short { Ok(()) } else { Err(EncodeError::LongControl) }
            }
        }
    }

    /// Whether a close was encoded: nothing can follow it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether a message in parts is under way, so that only its next part and control frames can be sent.
    pub fn is_in_message(&self) -> bool {
        self.parts.is_some()
    }

    fn check_length(&self, length: usize) -> Result<(), EncodeError> {
        if length > self.max_message_length {
            return Err(EncodeError::MessageTooLong { max_length: self.max_message_length });
        }
        Ok(())
    }

    /// Appends what was checked.
    fn append(&mut self, message: &Message<'_>, output: &mut Vec<u8>) {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                let (opcode, payload) = data(message);
                if let Some(deflater) = &mut self.deflater
                    && deflater.wants(payload.len())
                {
                    let mut compressed = spare::take();
                    deflater.deflate(payload, &mut compressed);
                    self.append_fragments(opcode, true, true, &compressed, output);
                    spare::give(compressed);
                } else {
                    self.append_fragments(opcode, false, true, payload, output);
                }
            }
            Message::Ping(payload) => self.append_control(Opcode::Ping, &[payload], output),
            Message::Pong(payload) => self.append_control(Opcode::Pong, &[payload], output),
            Message::Close(reason) => {
                self.is_closed = true;
                match reason {
                    None => self.append_control(Opcode::Close, &[], output),
                    Some(CloseReason { code, reason }) => {
                        let payload = [&code.get().to_be_bytes()[..], reason.as_bytes()];
                        self.append_control(Opcode::Close, &payload, output);
                    }
                }
            }
        }
    }

    fn append_fragments(
        &mut self,
        mut opcode: Opcode,
        mut is_compressed: bool,
        is_last: bool,
        mut payload: &[u8],
        output: &mut Vec<u8>,
    ) {
        while payload.len() > self.max_fragment_length {
            let (fragment, rest) = payload.split_at(self.max_fragment_length);
            let header = self.header(opcode, false, is_compressed, fragment.len());
            append_frame(header, &[fragment], output);
            opcode = Opcode::Continuation;
            is_compressed = false;
            payload = rest;
        }
        let header = self.header(opcode, is_last, is_compressed, payload.len());
        append_frame(header, &[payload], output);
    }

    fn append_control(&mut self, opcode: Opcode, payload: &[&[u8]], output: &mut Vec<u8>) {
        let length = payload.iter().map(|part| part.len()).sum();
        let header = self.header(opcode, true, false, length);
        append_frame(header, payload, output);
    }

    fn compresses(&self, payload: &[u8]) -> bool {
        self.deflater.as_ref().is_some_and(|deflater| deflater.wants(payload.len()))
    }

    fn header(
        &mut self,
        opcode: Opcode,
        is_final: bool,
        is_compressed: bool,
        length: usize,
    ) -> FrameHeader {
        let mask = match self.role {
            Role::Client => Some(self.keys.next_mask()),
            Role::Server => None,
        };
        FrameHeader { is_final, is_compressed, opcode, mask, length: length as u64 }
    }
}

impl Encoder<Message<'_>> for MessageEncoder {
    type Error = EncodeError;

    /// Appends a message.
    ///
    /// # Errors
    /// As for [`MessageEncoder::check`].
    fn encode(&mut self, message: &Message<'_>, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.check(message)?;
        self.append(message, output);
        Ok(())
    }
}

impl Encoder<Part<'_>> for MessageEncoder {
    type Error = EncodeError;

    /// Appends a part of a message, as a fragment. Pings, pongs and a close may be encoded between two parts.
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`]; [`EncodeError::UnfinishedMessage`] for a first part in the middle of a message;
    /// [`EncodeError::NoMessage`] for a later one, or one of another kind, where it does not belong;
    /// [`EncodeError::InvalidUtf8`] for text that is none, taken with the parts before;
    /// [`EncodeError::MessageTooLong`].
    fn encode(&mut self, part: &Part<'_>, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.is_closed {
            return Err(EncodeError::AfterClose);
        }
        let mut parts = match (&self.parts, part.is_first) {
            (None, true) => {
                UnfinishedParts { kind: part.kind, utf8: Utf8Validator::new(), length: 0 }
            }
            (Some(parts), false) if parts.kind == part.kind => parts.clone(),
            (Some(_), true) => return Err(EncodeError::UnfinishedMessage),
            _ => return Err(EncodeError::NoMessage),
        };
        parts.length = parts.length.saturating_add(part.data.len());
        self.check_length(parts.length)?;
        if part.kind == DataKind::Text {
            let checked = parts.utf8.feed(part.data, 0);
            let checked = checked.and_then(|()| match part.is_last {
                true => parts.utf8.finish(),
                false => Ok(()),
            });
            checked.map_err(|_| EncodeError::InvalidUtf8)?;
        }
        self.parts = (!part.is_last).then_some(parts);
        let opcode = if part.is_first { part.kind.opcode() } else { Opcode::Continuation };
        self.append_fragments(opcode, false, part.is_last, part.data, output);
        Ok(())
    }
}

/// Appends a frame whose payload is the joined `payload`.
fn append_frame(header: FrameHeader, payload: &[&[u8]], output: &mut Vec<u8>) {
    output.reserve(FrameHeader::MAX_LENGTH + header.length as usize);
    output.extend_from_slice(header.encode(&mut [0; FrameHeader::MAX_LENGTH]));
    let mut at = 0;
    for part in payload {
        match header.mask {
            Some(mask) => append_masked(rotated(mask, at), part, output),
            None => output.extend_from_slice(part),
        }
        at += part.len();
    }
}

/// What a text or a binary message is sent as; not for control frames.
fn data<'a>(message: &Message<'a>) -> (Opcode, &'a [u8]) {
    match *message {
        Message::Text(text) => (Opcode::Text, text.as_bytes()),
        Message::Binary(bytes) => (Opcode::Binary, bytes),
        Message::Ping(bytes) | Message::Pong(bytes) => (Opcode::Ping, bytes),
        Message::Close(_) => (Opcode::Close, &[]),
    }
}

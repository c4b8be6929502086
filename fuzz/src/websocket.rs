//! WebSocket: both decoders against what they promise, the encoder against the decoders, and all against tungstenite.
//!
//! An input is a header and the stream to decode:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | bit 0: this end is the server; bit 1: the stream is as it is, else it is of frames; bit 2: compression was agreed upon; bit 3: without context takeover |
//! | 1 | the longest message, in 16 bytes |
//! | 1 | the most fragments |
//! | the rest | the stream, or frames: the first byte of each, the length of its payload in one byte, the payload before it is masked |
//!
//! Where tungstenite takes what we refuse, and why:
//! - lengths that are not encoded in the fewest bytes, which RFC 6455, 5.2 forbids;
//! - close codes that may not be sent, which it answers with another code, as it does 1014, which is registered;
//! - text that is wrong before its frame, or its message, has ended: it looks at the end.

use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::{Role as TheirRole, WebSocketConfig};
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::testing::check_splits;
use wharf_protocols::websocket::{
    CloseCode, CloseReason, DataKind, DeflateOptions, DeflateParameters, FrameHeader, MaskKeys,
    Message, MessageDecoder, MessageEncoder, Opcode, PartDecoder, Piece, Role, ServerHandshake,
    UpgradeRequest, Violation, WebSocketError,
};

/// Decodes the stream in every way and checks that they agree.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((header, rest)) = data.split_first_chunk::<3>() else { return };
    let case = Case::new(*header, rest);
    let decoded = case.decode(&[&case.stream]);
    check_splits(&case.stream, |parts| case.decode(parts));
    check_splits(&case.stream, |parts| assert_eq!(case.decode_parts(parts), decoded));
    case.encoded_messages_come_back(&decoded.0);
    if case.deflate.is_none() {
        case.tungstenite_agrees();
    }
}

/// A message out of the decoder's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Message::Close(reason) => {
                Self::Close(reason.map(|reason| (reason.code.get(), reason.reason.to_owned())))
            }
        }
    }
}

pub(crate) type Decoded = (Vec<Owned>, Option<WebSocketError>);

struct Case {
    role: Role,
    deflate: Option<DeflateParameters>,
    max_length: usize,
    max_fragments: u32,
    stream: Vec<u8>,
}

impl Case {
    fn new([flags, length, fragments]: [u8; 3], rest: &[u8]) -> Self {
        let role = if flags & 1 == 0 { Role::Client } else { Role::Server };
        let stream = if flags & 2 == 0 { frames(role, rest) } else { rest.to_vec() };
        Self {
            role,
            deflate: (flags & 4 != 0).then(|| parameters(flags & 8 != 0)),
            max_length: usize::from(length) * 16,
            max_fragments: u32::from(fragments),
            stream,
        }
    }

    fn decoder(&self, role: Role) -> MessageDecoder {
        let decoder = MessageDecoder::new(role);
        match &self.deflate {
            Some(parameters) => decoder.deflate(parameters),
            None => decoder,
        }
    }

    fn decode(&self, parts: &[&[u8]]) -> Decoded {
        let decoder = self.decoder(self.role);
        decode(decoder.max_message_length(self.max_length).max_fragments(self.max_fragments), parts)
    }

    fn decode_parts(&self, parts: &[&[u8]]) -> Decoded {
        let mut decoder = PartDecoder::new(self.role);
        if let Some(parameters) = &self.deflate {
            decoder = decoder.deflate(parameters);
        }
        let mut decoder =
            decoder.max_message_length(self.max_length).max_fragments(self.max_fragments);
        let (mut messages, mut message) = (Vec::new(), None);
        for part in parts {
            let mut input = *part;
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(Piece::Data(part))) => {
                        assert_eq!(part.is_first, message.is_none());
                        message.get_or_insert_with(Vec::new).extend_from_slice(part.data);
                        if part.is_last {
                            let bytes = message.take().unwrap_or_default();
                            messages.push(match part.kind {
                                DataKind::Text => {
                                    Owned::Text(String::from_utf8(bytes).expect("it was checked"))
                                }
                                DataKind::Binary => Owned::Binary(bytes),
                            });
                        }
                    }
                    Ok(Some(Piece::Ping(bytes))) => messages.push(Owned::Ping(bytes.to_vec())),
                    Ok(Some(Piece::Pong(bytes))) => messages.push(Owned::Pong(bytes.to_vec())),
                    Ok(Some(Piece::Close(reason))) => messages.push(Message::Close(reason).into()),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, decoder.finish().err())
    }

    /// What was received can be sent, and is the same then.
    fn encoded_messages_come_back(&self, messages: &[Owned]) {
        let mut encoder = MessageEncoder::with_mask_keys(self.role, MaskKeys::fixed([9, 8, 7, 6]))
            .max_fragment_length(self.max_length / 3);
        if let Some(parameters) = &self.deflate {
            encoder = encoder.deflate(parameters);
        }
        let mut stream = Vec::new();
        for message in messages {
            let message = match message {
                Owned::Text(text) => Message::Text(text),
                Owned::Binary(bytes) => Message::Binary(bytes),
                Owned::Ping(bytes) => Message::Ping(bytes),
                Owned::Pong(bytes) => Message::Pong(bytes),
                Owned::Close(reason) => Message::Close(
                    reason
                        .as_ref()
                        .map(|(code, reason)| CloseReason { code: CloseCode::new(*code), reason }),
                ),
            };
            encoder.encode(&message, &mut stream).expect("what is decoded can be encoded");
        }
        let decoded = decode(self.decoder(self.role.peer()), &[&stream]);
        assert_eq!(decoded, (messages.to_vec(), None));
    }

    /// What we take, tungstenite takes as well, and in the same way.
    fn tungstenite_agrees(&self) {
        let (ours, error) = decode(MessageDecoder::new(self.role), &[&self.stream]);
        let role = match self.role {
            Role::Client => TheirRole::Client,
            Role::Server => TheirRole::Server,
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(1 << 20))
            .max_frame_size(Some(1 << 20));
        let stream = Stream(Cursor::new(&self.stream));
        let mut socket = tungstenite::WebSocket::from_raw_socket(stream, role, Some(config));
        let mut theirs = Vec::new();
        let their_error = loop {
            match socket.read() {
                Ok(tungstenite::Message::Text(text)) => {
                    theirs.push(Owned::Text(text.as_str().to_owned()));
                }
                Ok(tungstenite::Message::Binary(bytes)) => {
                    theirs.push(Owned::Binary(bytes.to_vec()));
                }
                Ok(tungstenite::Message::Ping(bytes)) => theirs.push(Owned::Ping(bytes.to_vec())),
                Ok(tungstenite::Message::Pong(bytes)) => theirs.push(Owned::Pong(bytes.to_vec())),
                Ok(tungstenite::Message::Close(reason)) => {
                    theirs.push(Owned::Close(reason.map(|reason| {
                        (u16::from(reason.code), reason.reason.as_str().to_owned())
                    })));
                    break None;
                }
                Ok(tungstenite::Message::Frame(_)) => (),
                Err(error) => break Some(error),
            }
        };
        // It does not know this code, which is newer than the RFC.
        if let (Some(Owned::Close(Some((1014, _)))), Some(last @ Owned::Close(_))) =
            (ours.last(), theirs.last_mut())
        {
            last.clone_from(&ours[ours.len() - 1]);
        }
        let is_end = error.is_none_or(|error| error.violation == Violation::Truncated);
        let common = ours.len().min(theirs.len());
        assert_eq!(ours[..common], theirs[..common]);
        if is_end {
            assert_eq!(ours, theirs, "{their_error:?}");
            let their_end = matches!(
                their_error,
                None | Some(
                    tungstenite::Error::ConnectionClosed
                        | tungstenite::Error::Io(_)
                        | tungstenite::Error::Protocol(
                            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                        )
                )
            );
            assert!(their_end, "{their_error:?}");
        } else {
            assert!(theirs.len() >= ours.len(), "{their_error:?} before {error:?}");
        }
    }
}

pub(crate) fn decode(mut decoder: MessageDecoder, parts: &[&[u8]]) -> Decoded {
    let mut messages = Vec::new();
    for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message.into()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut &b"more"[..]), Err(error));
                    return (messages, Some(error));
                }
            }
        }
        assert!(input.is_empty());
        // A spare buffer, or at most twice what was received.
        assert!(decoder.buffer_capacity() <= 320 * 1024);
    }
    (messages, decoder.finish().err())
}

/// Frames with lengths and masks as they have to be, of what the input says.
pub(crate) fn frames(role: Role, mut rest: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mask = (role == Role::Server).then_some([0x5a, 0, 0xff, 0x81]);
    while let Some((&[first, length], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let length = payload.len() as u64;
        let opcode = Opcode::Binary;
        let header = FrameHeader { is_final: true, is_compressed: false, opcode, mask, length };
        let start = stream.len();
        stream.extend_from_slice(header.encode(&mut [0; FrameHeader::MAX_LENGTH]));
        stream[start] = first;
        let mask = mask.unwrap_or_default();
        stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    stream
}

/// What two ends agree upon.
pub(crate) fn parameters(alone: bool) -> DeflateParameters {
    let options = DeflateOptions::new().no_context_takeover(alone).min_length(1);
    let fields: [(&str, &[u8]); 6] = [
        ("Host", b"a"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", b"permessage-deflate"),
    ];
    let request = UpgradeRequest::from_fields("GET", "/", fields).expect("it is right");
    let acceptance = ServerHandshake::new().deflate(options).accept(&request);
    acceptance.expect("it is right").agreed().deflate.clone().expect("it was offered")
}

/// What tungstenite reads from; what it writes goes nowhere.
struct Stream<'a>(Cursor<&'a Vec<u8>>);

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

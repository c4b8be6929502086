//! The codec, both ends.

mod close;
mod limits;
mod properties;
mod reports;
mod rules;

use super::*;
use crate::codec::{Decoder, Encoder};

/// A message out of the decoder's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
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

impl Owned {
    fn encode(&self, encoder: &mut MessageEncoder, output: &mut Vec<u8>) {
        let message = match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
            Self::Ping(bytes) => Message::Ping(bytes),
            Self::Pong(bytes) => Message::Pong(bytes),
            Self::Close(reason) => Message::Close(
                reason
                    .as_ref()
                    .map(|(code, reason)| CloseReason { code: CloseCode::new(*code), reason }),
            ),
        };
        encoder.encode(&message, output).unwrap();
    }
}

/// Everything that comes out of a stream, to its end.
type Decoded = (Vec<Owned>, Option<WebSocketError>);

fn decode(mut decoder: MessageDecoder, parts: &[&[u8]]) -> Decoded {
    let mut messages = Vec::new();
    for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message.into()),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    match decoder.finish() {
        Ok(None) => (messages, None),
        Ok(Some(message)) => panic!("{message:?} at the end"),
        Err(error) => (messages, Some(error)),
    }
}

/// The same by parts: joined, they have to be the same.
fn decode_parts(mut decoder: PartDecoder, parts: &[&[u8]]) -> Decoded {
    let mut messages = Vec::new();
    let mut message = None;
    for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(Piece::Data(part))) => {
                    assert_eq!(part.is_first, message.is_none());
                    message.get_or_insert_with(Vec::new).extend_from_slice(part.data);
                    if part.is_last {
                        let bytes = message.take().unwrap();
                        messages.push(match part.kind {
                            DataKind::Text => Owned::Text(String::from_utf8(bytes).unwrap()),
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

/// A frame of any bits, masked with `mask` if the server is to receive it.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (role == Role::Server).then_some([0x37, 0xfa, 0x21, 0x3d]);
    let header = FrameHeader {
        is_final: true,
        is_compressed: false,
        opcode: Opcode::Text,
        mask,
        length: payload.len() as u64,
    };
    let mut bytes = header.encode(&mut [0; FrameHeader::MAX_LENGTH]).to_vec();
    bytes[0] = first;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(mask) = mask {
        mask::apply_mask(mask, &mut bytes[start..]);
    }
    bytes
}

/// What a decoder of the role says to frames, which has to be the same however they are split, and for both decoders.
fn receive(role: Role, frames: &[(u8, &[u8])]) -> Decoded {
    let stream: Vec<u8> =
        frames.iter().flat_map(|(first, payload)| frame(role, *first, payload)).collect();
    receive_bytes(role, &stream)
}

fn receive_bytes(role: Role, stream: &[u8]) -> Decoded {
    crate::testing::check_splits(stream, |parts| decode(MessageDecoder::new(role), parts));
    let decoded = decode(MessageDecoder::new(role), &[stream]);
    crate::testing::check_splits(stream, |parts| {
        let by_parts = decode_parts(PartDecoder::new(role), parts);
        assert_eq!(by_parts, decoded, "by parts");
    });
    decoded
}

/// The rule that a stream of such frames breaks, for both roles, and how many messages came before.
fn violation(frames: &[(u8, &[u8])]) -> (usize, Option<Violation>) {
    let [client, server] = [Role::Client, Role::Server].map(|role| {
        let (messages, error) = receive(role, frames);
        (messages.len(), error.map(|error| error.violation))
    });
    assert_eq!(client, server);
    client
}

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

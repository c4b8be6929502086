//! What holds for any messages and any bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::check_splits;

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn message() -> impl Strategy<Value = Owned> {
    let code = prop_oneof![1000..=1003_u16, 1007..=1014_u16, 3000..=4999_u16];
    prop_oneof![
        4 => "\\PC{0,200}".prop_map(Owned::Text),
        4 => vec(any::<u8>(), 0..200).prop_map(Owned::Binary),
        1 => vec(any::<u8>(), 126..300).prop_map(Owned::Binary),
        2 => vec(any::<u8>(), 0..=125).prop_map(Owned::Ping),
        2 => vec(any::<u8>(), 0..=125).prop_map(Owned::Pong),
        1 => proptest::option::of((code, "[a-z\u{e4}\u{20ac}]{0,40}")).prop_map(Owned::Close),
    ]
}

proptest! {
    #[test]
    fn encoded_messages_come_back(
        role in role(),
        mut messages in vec(message(), 0..8),
        fragment in prop_oneof![Just(usize::MAX), 0..50_usize],
    ) {
        let mut encoder = MessageEncoder::new(role).max_fragment_length(fragment);
        let is_close = |message: &Owned| matches!(message, Owned::Close(_));
        if let Some(at) = messages.iter().position(is_close) {
            messages.truncate(at + 1);
        }
        let mut stream = Vec::new();
        for message in &messages {
            message.encode(&mut encoder, &mut stream);
        }
        check_splits(&stream, |parts| {
            let expected = (messages.clone(), None);
            assert_eq!(decode(MessageDecoder::new(role.peer()), parts), expected);
            assert_eq!(decode_parts(PartDecoder::new(role.peer()), parts), expected);
        });
    }

    #[test]
    fn any_bytes_give_the_same_for_every_split(role in role(), bytes in vec(any::<u8>(), 0..60)) {
        receive_bytes(role, &bytes);
    }

    /// Frames that are nearly right, so that more than the first byte is looked at.
    #[test]
    fn any_frames_give_the_same_for_every_split(
        role in role(),
        frames in vec(
            (
                prop_oneof![
                    8 => prop_oneof![Just(0x81_u8), Just(0x01), Just(0x00), Just(0x80), Just(0x82), Just(0x02)],
                    2 => prop_oneof![Just(0x88_u8), Just(0x89), Just(0x8a)],
                    1 => any::<u8>(),
                ],
                prop_oneof![
                    any::<String>().prop_map(String::into_bytes),
                    vec(any::<u8>(), 0..8),
                    vec(prop_oneof![Just(0xe2_u8), Just(0x82), Just(0xac), Just(b'a')], 0..4),
                ],
            ),
            0..8,
        ),
    ) {
        let frames: Vec<_> = frames.iter().map(|(first, payload)| (*first, &payload[..])).collect();
        receive(role, &frames);
    }

    #[test]
    fn headers_come_back(
        role in role(),
        is_final in any::<bool>(),
        is_compressed in any::<bool>(),
        length in prop_oneof![0..200_u64, 65_530..65_540_u64, 0..=u64::MAX / 2],
        mask in any::<[u8; 4]>(),
    ) {
        let header = FrameHeader {
            is_final,
            is_compressed,
            opcode: Opcode::Binary,
            mask: (role == Role::Server).then_some(mask),
            length,
        };
        let mut buffer = [0; FrameHeader::MAX_LENGTH];
        let bytes = header.encode(&mut buffer);
        prop_assert_eq!(FrameHeader::decode(bytes, role), Ok(Some((header, bytes.len()))));
        for end in 0..bytes.len() {
            prop_assert_eq!(FrameHeader::decode(&bytes[..end], role), Ok(None));
        }
    }

    /// Parts are sent as fragments, with control frames between them.
    #[test]
    fn parts_come_back_as_one_message(
        role in role(),
        text in "\\PC{0,60}",
        cuts in vec(0..30_usize, 0..6),
        fragment in prop_oneof![Just(usize::MAX), 1..10_usize],
    ) {
        let mut encoder = MessageEncoder::new(role).max_fragment_length(fragment);
        let (mut stream, mut pings, mut rest) = (Vec::new(), 0, text.as_bytes());
        let mut is_first = true;
        for cut in cuts {
            let (data, after) = rest.split_at(cut.min(rest.len()));
            let part = Part { kind: DataKind::Text, data, is_first, is_last: false };
            encoder.encode(&part, &mut stream).unwrap();
            let refused = encoder.encode(&Message::Text("x"), &mut stream);
            prop_assert_eq!(refused, Err(EncodeError::UnfinishedMessage));
            encoder.encode(&Message::Ping(b""), &mut stream).unwrap();
            pings += 1;
            is_first = false;
            rest = after;
        }
        let part = Part { kind: DataKind::Text, data: rest, is_first, is_last: true };
        encoder.encode(&part, &mut stream).unwrap();
        let mut expected = vec![Owned::Ping(Vec::new()); pings];
        expected.push(Owned::Text(text.clone()));
        prop_assert_eq!(decode(MessageDecoder::new(role.peer()), &[&stream]), (expected, None));
    }
}

#[test]
fn parts_that_belong_nowhere_are_refused() {
    let mut encoder = MessageEncoder::new(Role::Server).max_message_length(4);
    let mut output = Vec::new();
    let part = |kind, data, is_first, is_last| Part { kind, data, is_first, is_last };
    let (text, binary) = (DataKind::Text, DataKind::Binary);
    let mut refused = |part: Part<'_>, error| {
        assert_eq!(encoder.encode(&part, &mut output), Err(error));
        assert_eq!(output, b"");
    };
    refused(part(text, b"a", false, true), EncodeError::NoMessage);
    refused(part(text, b"\xff", true, true), EncodeError::InvalidUtf8);
    refused(part(text, b"\xe2", true, true), EncodeError::InvalidUtf8);
    refused(part(binary, b"12345", true, true), EncodeError::MessageTooLong { max_length: 4 });
    encoder.encode(&part(text, b"\xe2", true, false), &mut output).unwrap();
    output.clear();
    let mut refused = |part: Part<'_>, error| {
        assert_eq!(encoder.encode(&part, &mut output), Err(error));
        assert_eq!(output, b"");
    };
    refused(part(binary, b"a", false, true), EncodeError::NoMessage);
    refused(part(text, b"a", false, true), EncodeError::InvalidUtf8);
    refused(part(text, b"\x82", true, true), EncodeError::UnfinishedMessage);
    refused(part(text, b"\x82\xac..", false, true), EncodeError::MessageTooLong { max_length: 4 });
    encoder.encode(&part(text, b"\x82\xac", false, true), &mut output).unwrap();
}

//! The rules of RFC 6455, section 5, one by one.

use super::*;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

#[test]
fn the_examples_of_the_rfc() {
    // Section 5.7.
    let unmasked: [(&[u8], Owned); 3] = [
        (&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], text("Hello")),
        (&[0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f], text("Hello")),
        (&[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], Owned::Ping(b"Hello".to_vec())),
    ];
    for (stream, message) in unmasked {
        assert_eq!(receive_bytes(Role::Client, stream), (vec![message], None));
    }
    let masked: [(&[u8], Owned); 2] = [
        (&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], text("Hello")),
        (
            &[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            Owned::Pong(b"Hello".to_vec()),
        ),
    ];
    for (stream, message) in masked {
        assert_eq!(receive_bytes(Role::Server, stream), (vec![message], None));
        let keys = MaskKeys::fixed([0x37, 0xfa, 0x21, 0x3d]);
        let mut encoder = MessageEncoder::with_mask_keys(Role::Client, keys);
        let mut encoded = Vec::new();
        decode(MessageDecoder::new(Role::Server), &[stream]).0[0]
            .encode(&mut encoder, &mut encoded);
        assert_eq!(encoded, stream);
    }
    for (length, header) in
        [(256_usize, &[0x82, 0x7e, 0x01, 0x00][..]), (65536, &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0])]
    {
        let stream = [header, &vec![7; length]].concat();
        let expected = vec![Owned::Binary(vec![7; length])];
        assert_eq!(decode(MessageDecoder::new(Role::Client), &[&stream]), (expected, None));
    }
}

#[test]
fn lengths_at_every_boundary() {
    for length in [0, 1, 125, 126, 127, 128, 65535, 65536, 65537] {
        for role in ROLES {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut stream = Vec::new();
            let mut encoder = MessageEncoder::new(role.peer());
            encoder.encode(&Message::Binary(&payload), &mut stream).unwrap();
            encoder.encode(&Message::Text(&"x".repeat(length)), &mut stream).unwrap();
            let expected = vec![Owned::Binary(payload), text(&"x".repeat(length))];
            for size in [1, 7, 4096, stream.len()] {
                let parts: Vec<&[u8]> = stream.chunks(size).collect();
                let decoded = decode(MessageDecoder::new(role), &parts);
                assert_eq!(decoded, (expected.clone(), None), "{length} bytes by {size}");
            }
        }
    }
}

#[test]
fn reserved_bits() {
    for bits in 1..8_u8 {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let frames: [(u8, &[u8]); 2] = [(0x81, b"ok"), (0x80 | bits << 4 | opcode, b"")];
            assert_eq!(violation(&frames), (1, Some(Violation::ReservedBits)), "{bits} {opcode}");
        }
        let frames: [(u8, &[u8]); 2] = [(0x01, b"ok"), (0x80 | bits << 4, b"")];
        assert_eq!(violation(&frames), (0, Some(Violation::ReservedBits)), "{bits}");
    }
}

#[test]
fn reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for is_final in [0, 0x80] {
            let frames: [(u8, &[u8]); 2] = [(0x82, b""), (is_final | opcode, b"payload")];
            assert_eq!(violation(&frames), (1, Some(Violation::ReservedOpcode(opcode))));
        }
    }
}

#[test]
fn control_frames_are_whole_and_short() {
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(violation(&[(opcode, b"")]), (0, Some(Violation::FragmentedControl)));
        let long = (0x80 | opcode, &[0; 126][..]);
        assert_eq!(violation(&[long]), (0, Some(Violation::LongControl)));
    }
    for opcode in [0x9, 0xa] {
        assert_eq!(violation(&[(0x80 | opcode, &[0; 125])]), (1, None));
    }
}

#[test]
fn fragments_in_order() {
    assert_eq!(violation(&[(0x80, b"x")]), (0, Some(Violation::UnexpectedContinuation)));
    assert_eq!(violation(&[(0x00, b"x")]), (0, Some(Violation::UnexpectedContinuation)));
    for (first, second) in [(0x01, 0x81), (0x01, 0x02), (0x02, 0x81), (0x02, 0x02)] {
        let frames: [(u8, &[u8]); 2] = [(first, b"x"), (second, b"y")];
        assert_eq!(violation(&frames), (0, Some(Violation::MissingContinuation)));
    }
    // Nothing is left of a message that has ended.
    let frames: [(u8, &[u8]); 3] = [(0x01, b"x"), (0x80, b"y"), (0x80, b"z")];
    assert_eq!(violation(&frames), (1, Some(Violation::UnexpectedContinuation)));
}

#[test]
fn control_frames_between_fragments() {
    for role in ROLES {
        let frames: [(u8, &[u8]); 8] = [
            (0x01, b"one "),
            (0x89, b"ping"),
            (0x00, b""),
            (0x8a, b"pong"),
            (0x00, "zw\u{f6}lf".as_bytes()),
            (0x89, b""),
            (0x80, b"!"),
            (0x82, b"next"),
        ];
        let expected = vec![
            Owned::Ping(b"ping".to_vec()),
            Owned::Pong(b"pong".to_vec()),
            Owned::Ping(Vec::new()),
            text("one zw\u{f6}lf!"),
            Owned::Binary(b"next".to_vec()),
        ];
        assert_eq!(receive(role, &frames), (expected, None));
    }
}

#[test]
fn text_may_be_cut_within_characters() {
    let whole = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5} \u{10ffff}";
    for role in ROLES {
        let mut frames: Vec<(u8, &[u8])> =
            whole.as_bytes().chunks(1).map(|byte| (0, byte)).collect();
        frames[0].0 = 0x01;
        frames.push((0x80, b""));
        assert_eq!(receive(role, &frames), (vec![text(whole)], None));
    }
}

#[test]
fn text_fails_at_its_first_wrong_byte() {
    // The last byte of what is fed is the first wrong one; the frame goes on, and never comes.
    for wrong in [&b"\xce\xba\xed\xa0"[..], b"ab\xff", b"\xc0", b"\xf4\x90", b"\xf8", b"\xe0\x9f"] {
        for role in ROLES {
            for first in [0x81, 0x01] {
                let mut payload = wrong.to_vec();
                payload.resize(200, b'.');
                let stream = frame(role, first, &payload);
                let end = stream.len() - payload.len() + wrong.len();
                let mut decoder = MessageDecoder::new(role);
                assert_eq!(decoder.decode(&mut &stream[..end - 1]), Ok(None));
                let error = decoder.decode(&mut &stream[end - 1..end]).unwrap_err();
                assert_eq!(error.violation, Violation::InvalidUtf8);
                assert_eq!(error.close_code(), CloseCode::INVALID_DATA);
                // It stays so.
                assert_eq!(decoder.decode(&mut &stream[..]), Err(error));
                assert_eq!(decoder.finish(), Err(error));
            }
        }
    }
}

#[test]
fn text_that_ends_within_a_character() {
    for frames in [
        &[(0x81, &b"ab\xe2\x82"[..])][..],
        &[(0x01, b"ab\xe2"), (0x80, b"\x82")],
        &[(0x01, b"ab\xe2\x82"), (0x00, b""), (0x80, b"")],
    ] {
        assert_eq!(violation(frames), (0, Some(Violation::InvalidUtf8)), "{frames:?}");
    }
    let (_, error) = receive(Role::Client, &[(0x01, b"ab\xe2"), (0x80, b"\x82")]);
    assert_eq!(error.unwrap().offset, 4, "the character's beginning");
}

#[test]
fn masks_as_the_role_says() {
    let masked = frame(Role::Server, 0x81, b"hi");
    let plain = frame(Role::Client, 0x81, b"hi");
    let expected = WebSocketError { offset: 0, violation: Violation::Masked };
    assert_eq!(receive_bytes(Role::Client, &masked), (vec![], Some(expected)));
    // In the middle of a connection, too.
    let stream = [&masked[..], &plain].concat();
    let expected = WebSocketError { offset: 8, violation: Violation::MaskMissing };
    assert_eq!(receive_bytes(Role::Server, &stream), (vec![text("hi")], Some(expected)));
}

#[test]
fn lengths_are_encoded_in_the_fewest_bytes() {
    for (stream, violation) in [
        (&[0x82, 126, 0, 125][..], Violation::LengthNotMinimal),
        (&[0x82, 126, 0, 0], Violation::LengthNotMinimal),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::LengthNotMinimal),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1], Violation::LengthNotMinimal),
        (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::LengthNegative),
        (&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Violation::LengthNegative),
    ] {
        let (messages, error) = receive_bytes(Role::Client, stream);
        assert_eq!((messages.len(), error.unwrap().violation), (0, violation));
        // Masked.
        let mut stream = stream.to_vec();
        stream[1] |= 0x80;
        stream.extend([1, 2, 3, 4]);
        let (messages, error) = receive_bytes(Role::Server, &stream);
        assert_eq!((messages.len(), error.unwrap().violation), (0, violation));
    }
}

#[test]
fn offsets_are_of_the_stream() {
    let frames: [(u8, &[u8]); 3] = [(0x82, &[0; 300]), (0x01, b"abc"), (0x83, b"")];
    let (_, error) = receive(Role::Client, &frames);
    assert_eq!(error.unwrap().offset, 304 + 5);
    let frames: [(u8, &[u8]); 3] = [(0x82, &[0; 300]), (0x01, b"abc"), (0x80, b"d\x80")];
    let (_, error) = receive(Role::Client, &frames);
    assert_eq!(error.unwrap().offset, 304 + 5 + 2 + 1);
}

#[test]
fn a_stream_ends_between_messages_only() {
    for role in ROLES {
        let whole = [frame(role, 0x01, b"ab"), frame(role, 0x80, b"c")].concat();
        for end in 0..=whole.len() {
            let (_, error) = decode(MessageDecoder::new(role), &[&whole[..end]]);
            let is_inside = (1..whole.len()).contains(&end);
            let expected = WebSocketError { offset: end as u64, violation: Violation::Truncated };
            assert_eq!(error, is_inside.then_some(expected), "{end}");
        }
    }
}

#[test]
fn what_is_kept_can_be_taken_out_between_messages() {
    let mut decoder = MessageDecoder::new(Role::Client);
    assert_eq!(decoder.decode(&mut &b"\x82\x7e\x01"[..]), Ok(None));
    assert_eq!(decoder.buffered(), b"\x82\x7e\x01");
    assert_eq!(decoder.take_remainder(), b"\x82\x7e\x01");
    assert_eq!(decoder.decode(&mut &b"\x81\x02a"[..]), Ok(None));
    assert_eq!(decoder.buffered(), b"a");
    assert_eq!(decoder.take_remainder(), b"");
    assert_eq!(decoder.decode(&mut &b"\x81\x01b"[..]), Ok(Some(Message::Text("b"))));
    assert_eq!(decoder.buffered(), b"");
}

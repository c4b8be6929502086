//! Close frames (RFC 6455, 5.5.1 and 7.4).

use super::*;

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

#[test]
fn codes_that_may_be_sent() {
    for code in 0..=u16::MAX {
        let is_allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let payload = closing(code, b"why");
        let stream = frame(Role::Client, 0x88, &payload);
        let (messages, error) = decode(MessageDecoder::new(Role::Client), &[&stream]);
        if is_allowed {
            assert_eq!(messages, [Owned::Close(Some((code, "why".to_owned())))]);
            assert_eq!(error, None);
        } else {
            assert_eq!(messages, []);
            let error = error.unwrap();
            assert_eq!(error.violation, Violation::CloseCode(code));
            assert_eq!(error.close_code(), CloseCode::PROTOCOL_ERROR);
        }

        let reason = CloseReason { code: CloseCode::new(code), reason: "why" };
        let mut output = Vec::new();
        let mut encoder = MessageEncoder::new(Role::Server);
        let encoded = encoder.encode(&Message::Close(Some(reason)), &mut output);
        assert_eq!(encoded.is_ok(), is_allowed, "{code}");
        assert_eq!(encoder.is_closed(), is_allowed);
    }
}

#[test]
fn payloads() {
    assert_eq!(violation(&[(0x88, b"")]), (1, None));
    assert_eq!(violation(&[(0x88, b"\x03")]), (0, Some(Violation::CloseLength)));
    assert_eq!(violation(&[(0x88, &closing(1000, b""))]), (1, None));
    assert_eq!(violation(&[(0x88, &closing(1000, &[b'x'; 123]))]), (1, None));
    assert_eq!(
        violation(&[(0x88, &closing(1000, &[b'x'; 124]))]),
        (0, Some(Violation::LongControl))
    );
    assert_eq!(
        violation(&[(0x88, &closing(1000, b"\xce\xba\xff"))]),
        (0, Some(Violation::InvalidUtf8))
    );
    assert_eq!(violation(&[(0x88, &closing(1000, b"\xce"))]), (0, Some(Violation::InvalidUtf8)));
    assert_eq!(
        receive(Role::Server, &[(0x88, &closing(4321, "gr\u{fc}n".as_bytes()))]),
        (vec![Owned::Close(Some((4321, "gr\u{fc}n".to_owned())))], None),
    );
}

#[test]
fn what_follows_a_close_is_dropped() {
    // Even what would be an error, and a close in the middle of a message is the end of that.
    let frames: [(u8, &[u8]); 4] = [(0x01, b"half"), (0x88, b""), (0x81, b"late"), (0xff, b"\xff")];
    assert_eq!(violation(&frames), (1, None));
    let mut decoder = MessageDecoder::new(Role::Client);
    let mut input = &b"\x88\x00\x81\x01x"[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(Message::Close(None))));
    assert!(decoder.is_closed());
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.decode(&mut &[0xff; 100][..]), Ok(None));
    assert_eq!(decoder.finish(), Ok(None));
    assert_eq!(decoder.buffered(), b"");
}

#[test]
fn nothing_can_be_sent_after_a_close() {
    let mut encoder = MessageEncoder::new(Role::Client);
    let mut output = Vec::new();
    encoder.encode(&Message::Close(None), &mut output).unwrap();
    let before = output.clone();
    let part = Part { kind: DataKind::Binary, data: b"", is_first: true, is_last: true };
    assert_eq!(encoder.encode(&part, &mut output), Err(EncodeError::AfterClose));
    for message in [
        Message::Text(""),
        Message::Binary(b""),
        Message::Ping(b""),
        Message::Pong(b""),
        Message::Close(None),
    ] {
        assert_eq!(encoder.encode(&message, &mut output), Err(EncodeError::AfterClose));
    }
    assert_eq!(output, before);
}

#[test]
fn long_reasons_are_refused_when_sending() {
    let mut encoder = MessageEncoder::new(Role::Client);
    let reason = "x".repeat(124);
    let close = CloseReason { code: CloseCode::NORMAL, reason: &reason };
    assert_eq!(encoder.check(&Message::Close(Some(close))), Err(EncodeError::LongControl));
    let close = CloseReason { code: CloseCode::NORMAL, reason: &reason[1..] };
    let mut output = Vec::new();
    encoder.encode(&Message::Close(Some(close)), &mut output).unwrap();
    assert_eq!(decode(MessageDecoder::new(Role::Server), &[&output]).1, None);
}

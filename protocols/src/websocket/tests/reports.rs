//! What others' users have reported of other implementations, tried on this one.

use super::*;

/// A ping between two fragments became a part of the message (embedded-websocket 31, mio_httpc 20, vapor's
/// websocket-kit 114).
#[test]
fn a_ping_between_fragments_is_no_part_of_the_message() {
    let stream = b"\x01\x05hello\x89\x00\x80\x05world";
    let expected = vec![Owned::Ping(Vec::new()), text("helloworld")];
    assert_eq!(receive_bytes(Role::Client, stream), (expected, None));
}

/// A whole message in the middle of a fragmented one was given, and the fragments dropped; fragmented control frames,
/// closes of one byte, and the codes 1005 and 1006 were taken (dusty 173).
#[test]
fn sequences_that_break_the_protocol_are_refused() {
    for (frames, expected) in [
        (&[(0x01, &b"a"[..]), (0x81, b"b")][..], Violation::MissingContinuation),
        (&[(0x09, b"")], Violation::FragmentedControl),
        (&[(0x88, b"\x03")], Violation::CloseLength),
        (&[(0x88, b"\x03\xed")], Violation::CloseCode(1005)),
        (&[(0x88, b"\x03\xee")], Violation::CloseCode(1006)),
    ] {
        assert_eq!(violation(frames), (0, Some(expected)));
    }
}

/// A header of ten bytes made a server allocate what it announced (dusty 173).
#[test]
fn nothing_is_allocated_for_what_is_announced() {
    let mut decoder = MessageDecoder::new(Role::Client).max_message_length(16 << 20);
    let mut input = &b"\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x00"[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.buffer_capacity(), 0);
}

/// A request of Firefox was refused for `Connection: keep-alive, Upgrade` (tyrus 399, poco 110, wsproto 58), one with
/// two `Connection` fields for the first of them (ILEvator 48), one for `Upgrade: websocket, h2c` (tungstenite 549).
#[test]
fn lists_in_a_request_are_lists() {
    for lines in [
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket",
        "Connection: keep-alive\r\nUpgrade: websocket\r\nConnection: Upgrade",
        "connection: upgrade\r\nupgrade: WebSocket, h2c",
    ] {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert!(RequestDecoder::new().decode(&mut head.as_bytes()).unwrap().is_some(), "{lines}");
    }
}

/// A very long header that came in small pieces was parsed from its beginning each time (CVE-2023-43669).
#[test]
fn a_long_head_is_looked_at_once() {
    let mut decoder = RequestDecoder::new();
    let mut taken = 0;
    loop {
        let mut input = &b"x"[..];
        match decoder.decode(&mut input) {
            Ok(None) => taken += 1,
            Err(error) => break assert_eq!(error.status(), 431),
            Ok(Some(_)) => panic!("it has no end"),
        }
    }
    assert_eq!(taken, DEFAULT_MAX_HEAD_LENGTH);
}

/// A close with a code in the middle of fragmented text was judged as text (Netty 14118), and one that announces more than
/// there can be was subtracted from (fastws 11).
#[test]
fn closes_are_no_text_and_short() {
    let stream = b"\x01\x01a\x88\x02\x03\xe8";
    let expected = vec![Owned::Close(Some((1000, String::new())))];
    assert_eq!(receive_bytes(Role::Client, stream), (expected, None));
    let stream = b"\x88\x7f\xff\xff\xff\xff\xff\xff\xff\xff";
    let expected = WebSocketError { offset: 0, violation: Violation::LongControl };
    assert_eq!(receive_bytes(Role::Client, stream), (vec![], Some(expected)));
}

/// ASCII where a character goes on crashed the check (cowlib 158).
#[test]
fn ascii_in_the_middle_of_a_character() {
    for text in [&b"\xc3a"[..], b"\xe2a", b"\xe2\x82a", b"\xf0\x9f\x98a"] {
        for end in 1..text.len() {
            let frames: [(u8, &[u8]); 2] = [(0x01, &text[..end]), (0x80, &text[end..])];
            assert_eq!(violation(&frames), (0, Some(Violation::InvalidUtf8)), "{text:?}");
        }
        assert_eq!(violation(&[(0x81, text)]), (0, Some(Violation::InvalidUtf8)), "{text:?}");
    }
}

/// Many sub-protocols took a time that grows with their square (CVE-2021-32640), and more fields than there may be crashed a
/// server (CVE-2024-37890).
#[test]
fn long_lists_in_a_request() {
    let request = |lines: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let names: Vec<String> = (0..3000).map(|number| format!("{number}")).collect();
    let many = format!("Sec-WebSocket-Protocol: {}", names.join(","));
    let decoded = RequestDecoder::new().decode(&mut request(&many).as_bytes()).unwrap();
    assert_eq!(decoded.unwrap().protocols().count(), 3000);
    let twice = format!("{many},0");
    assert!(RequestDecoder::new().decode(&mut request(&twice).as_bytes()).is_err());
    let fields: Vec<String> = (0..500).map(|number| format!("X{number}: y")).collect();
    let error =
        RequestDecoder::new().decode(&mut request(&fields.join("\r\n")).as_bytes()).unwrap_err();
    assert_eq!(error.status(), 431);
}

#[cfg(feature = "websocket-deflate")]
mod compressed {
    use super::*;

    fn receive(stream: &[u8]) -> Decoded {
        let fields: [(&str, &[u8]); 6] = [
            ("Host", b"a"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Version", b"13"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
        ];
        let request = UpgradeRequest::from_fields("GET", "/", fields).unwrap();
        let handshake = ServerHandshake::new().deflate(DeflateOptions::new());
        let acceptance = handshake.accept(&request).unwrap();
        let parameters = acceptance.agreed().deflate.clone().unwrap();
        decode(MessageDecoder::new(Role::Client).deflate(&parameters), &[stream])
    }

    /// What is not compressed was decompressed all the same (nginx-clojure 163, ratchet 13), or refused (Java-WebSocket
    /// 1093).
    #[test]
    fn messages_may_be_sent_as_they_are() {
        let stream = b"\x81\x02hi\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x02ho";
        assert_eq!(receive(stream), (vec![text("hi"), text("Hello"), text("ho")], None));
    }

    /// The bit that says "compressed" was taken on continuations (websockets 1720, Jetty 3159), and on pings, whose next
    /// message was then decompressed (bun 33001).
    #[test]
    fn only_a_first_frame_says_that_it_is_compressed() {
        for stream in [&b"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00"[..], b"\xc9\x00\x82\x01x"] {
            let (messages, error) = receive(stream);
            assert_eq!(messages, []);
            assert_eq!(error.unwrap().violation, Violation::ReservedBits);
        }
    }

    /// An empty message of Firefox, compressed to nothing, was an error, or harmed the next one (capnproto 1601).
    #[test]
    fn empty_messages_are_compressed_to_a_byte_or_to_nothing() {
        let stream = b"\xc1\x01\x00\xc1\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc2\x00";
        let expected = vec![text(""), text(""), text("Hello"), Owned::Binary(Vec::new())];
        assert_eq!(receive(stream), (expected, None));
    }

    /// A control frame between its fragments made a compressed message one that is not, or was decompressed itself (tornado
    /// 3353, libwebsockets 1470); pongs were marked as compressed (Starscream 848).
    #[test]
    fn control_frames_between_compressed_fragments() {
        let stream = b"\x41\x03\xf2\x48\xcd\x8a\x04pong\x00\x00\x89\x00\x80\x04\xc9\xc9\x07\x00";
        let expected = vec![Owned::Pong(b"pong".to_vec()), Owned::Ping(Vec::new()), text("Hello")];
        assert_eq!(receive(stream), (expected, None));
        let mut encoder = MessageEncoder::new(Role::Server).deflate(&agreed(15, false));
        let mut output = Vec::new();
        encoder.encode(&Message::Pong(&[7; 100]), &mut output).unwrap();
        encoder.encode(&Message::Close(None), &mut output).unwrap();
        assert_eq!((output[0], output[102]), (0x8a, 0x88));
    }

    fn agreed(bits: u8, alone: bool) -> DeflateParameters {
        DeflateParameters {
            server_no_context_takeover: alone,
            client_no_context_takeover: alone,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            level: 6,
            min_length: 0,
        }
    }

    /// The second message failed where the compressor had a smaller window (uWebSockets.js 633), and each message was cut
    /// into tiny frames (coder/websocket 435).
    #[test]
    fn messages_one_after_the_other_with_any_window() {
        for bits in 9..=15 {
            for alone in [false, true] {
                let mut encoder = MessageEncoder::new(Role::Server).deflate(&agreed(bits, alone));
                let mut stream = Vec::new();
                let messages: Vec<String> = (0..20)
                    .map(|round| format!("hello {round} ").repeat(1 << (round % 12)))
                    .collect();
                for message in &messages {
                    let before = stream.len();
                    encoder.encode(&Message::Text(message), &mut stream).unwrap();
                    let (header, length) =
                        FrameHeader::decode(&stream[before..], Role::Client).unwrap().unwrap();
                    assert!(header.is_final && header.is_compressed);
                    assert_eq!(stream.len(), before + length + header.length as usize);
                }
                let decoder = MessageDecoder::new(Role::Client).deflate(&agreed(bits, alone));
                let expected = messages.iter().map(|message| text(message)).collect();
                assert_eq!(decode(decoder, &[&stream]), (expected, None), "{bits} {alone}");
            }
        }
    }
}

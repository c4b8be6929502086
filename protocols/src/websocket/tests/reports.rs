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
}

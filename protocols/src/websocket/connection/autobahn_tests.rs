//! The groups of cases by which WebSockets are commonly judged, strictly, for both ends: framing, pings, reserved bits,
//! opcodes, fragments, UTF-8, closing, and large messages.

use super::peer::{Peer, Sent};
use crate::websocket::{CloseCode, Role};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// For both ends: a fresh connection.
fn both(test: impl Fn(&mut Peer)) {
    for role in ROLES {
        test(&mut Peer::of(role));
    }
}

fn echoed(peer: &mut Peer, first: u8, payload: &[u8]) {
    peer.send(first, payload);
    assert_eq!(peer.sent(), [(first, payload.to_vec())]);
}

/// A closing handshake that the peer begins, after which nothing is open.
fn closes_cleanly(peer: &mut Peer) {
    peer.send(0x88, CloseCode::NORMAL.get().to_be_bytes());
    assert_eq!(peer.sent(), [(0x88, vec![0x03, 0xe8])]);
    assert_eq!(peer.is_closing(), peer.role == Role::Server, "the server ends the connection");
    peer.recorder.receive_eof().unwrap();
    assert_eq!(peer.notes().last().unwrap(), "lost clean 1000");
}

#[test]
fn group_1_framing() {
    both(|peer| {
        for length in [0, 125, 126, 127, 128, 65535, 65536] {
            echoed(peer, 0x81, "*".repeat(length).as_bytes());
            echoed(peer, 0x82, &vec![0xfe; length]);
        }
        // In pieces of 997 bytes.
        let frame = peer.frame(0x82, &[0xfe; 65536]);
        for piece in frame.chunks(997) {
            peer.send_bytes(piece);
        }
        assert_eq!(peer.sent(), [(0x82, vec![0xfe; 65536])]);
        closes_cleanly(peer);
    });
}

#[test]
fn group_2_pings_and_pongs() {
    both(|peer| {
        for payload in [&b""[..], b"Hello, world!", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
            peer.send(0x89, payload);
            assert_eq!(peer.sent(), [(0x8a, payload.to_vec())]);
        }
        // One byte at a time.
        for byte in peer.frame(0x89, &[0xfe; 125]) {
            peer.send_bytes(&[byte]);
        }
        assert_eq!(peer.sent(), [(0x8a, vec![0xfe; 125])]);
        // Pongs that nobody asked for say nothing, also before a ping.
        peer.send(0x8a, "");
        peer.send(0x8a, "unsolicited");
        peer.send(0x89, "ping");
        assert_eq!(peer.sent(), [(0x8a, b"ping".to_vec())]);
        // Ten at once, in order.
        let pings: Vec<u8> = (0..10).flat_map(|n| peer.frame(0x89, &[n])).collect();
        peer.send_bytes(&pings);
        let pongs: Vec<Sent> = (0..10).map(|n| (0x8a, vec![n])).collect();
        assert_eq!(peer.sent(), pongs);
        for ping in pings.chunks(3) {
            peer.send_bytes(ping);
        }
        assert_eq!(peer.sent(), pongs);
        closes_cleanly(peer);
    });
    both(|peer| {
        peer.send(0x89, [0xfe; 126]);
        peer.assert_failed(&[], CloseCode::PROTOCOL_ERROR);
    });
}

#[test]
fn group_3_reserved_bits() {
    for bits in 1..8_u8 {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            both(|peer| {
                let stream = [
                    peer.frame(0x81, b"before"),
                    peer.frame(0x80 | bits << 4 | opcode, b"x"),
                    peer.frame(0x89, b"after"),
                ];
                peer.send_bytes(&stream.concat());
                peer.assert_failed(&[(0x81, b"before".to_vec())], CloseCode::PROTOCOL_ERROR);
            });
        }
    }
}

#[test]
fn group_4_reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for payload in [&b""[..], b"reserved"] {
            both(|peer| {
                peer.send(0x81, "before");
                peer.send(0x80 | opcode, payload);
                peer.send(0x89, "");
                peer.assert_failed(&[(0x81, b"before".to_vec())], CloseCode::PROTOCOL_ERROR);
            });
        }
    }
}

#[test]
fn group_5_fragments() {
    // Control frames cannot be fragmented.
    for first in [0x09, 0x0a] {
        both(|peer| {
            peer.send(first, "fragment");
            peer.assert_failed(&[], CloseCode::PROTOCOL_ERROR);
        });
    }
    // Fragments, with pings between them, at once and byte by byte.
    both(|peer| {
        let frames: [(u8, &[u8]); 7] = [
            (0x01, b"frag1"),
            (0x89, b"ping1"),
            (0x00, b"frag2"),
            (0x00, b""),
            (0x89, b"ping2"),
            (0x00, b"frag3"),
            (0x80, b"frag4"),
        ];
        let stream: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| peer.frame(*first, payload)).collect();
        let expected = [
            (0x8a, b"ping1".to_vec()),
            (0x8a, b"ping2".to_vec()),
            (0x81, b"frag1frag2frag3frag4".to_vec()),
        ];
        for size in [stream.len(), 1, 7] {
            for piece in stream.chunks(size) {
                peer.send_bytes(piece);
            }
            assert_eq!(peer.sent(), expected);
        }
        // Empty ones, too.
        peer.send(0x01, "");
        peer.send(0x00, "");
        peer.send(0x80, "");
        assert_eq!(peer.sent(), [(0x81, Vec::new())]);
        closes_cleanly(peer);
    });
    // What is out of order.
    for frames in [
        &[(0x80, "continuation")][..],
        &[(0x00, "continuation"), (0x80, "end")],
        &[(0x80, ""), (0x81, "text")],
        &[(0x01, "first"), (0x81, "another")],
        &[(0x01, "first"), (0x02, "another"), (0x80, "end")],
        &[(0x02, "first"), (0x01, "another")],
    ] {
        both(|peer| {
            for (first, payload) in frames {
                peer.send(*first, payload);
            }
            peer.assert_failed(&[], CloseCode::PROTOCOL_ERROR);
        });
    }
    both(|peer| {
        for (first, payload) in [(0x01, "a"), (0x80, "b"), (0x00, "c"), (0x80, "d")] {
            peer.send(first, payload);
        }
        peer.assert_failed(&[(0x81, b"ab".to_vec())], CloseCode::PROTOCOL_ERROR);
    });
}

#[test]
fn group_6_text_that_is_utf_8() {
    let texts = [
        "",
        "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
        "\0",
        "\u{80}",
        "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        "\u{d7ff}\u{e000}\u{fffd}",
        "\u{fffe}\u{fdd0}\u{1fffe}\u{10fffe}",
    ];
    both(|peer| {
        for text in texts {
            echoed(peer, 0x81, text.as_bytes());
            // Cut within characters, by fragments and by reads.
            for split in 0..=text.len() {
                peer.send(0x01, &text.as_bytes()[..split]);
                peer.send(0x80, &text.as_bytes()[split..]);
                assert_eq!(peer.sent(), [(0x81, text.as_bytes().to_vec())]);
            }
            for byte in peer.frame(0x81, text.as_bytes()) {
                peer.send_bytes(&[byte]);
            }
            assert_eq!(peer.sent(), [(0x81, text.as_bytes().to_vec())]);
        }
        closes_cleanly(peer);
    });
}

/// Sequences that are no characters: unexpected continuations, lonely beginnings, missing continuations, impossible
/// bytes, overlong forms, surrogates, and what is above U+10FFFF.
const NOT_UTF8: [&[u8]; 34] = [
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0 \xc1 ",
    b"\xe0 \xe1 ",
    b"\xf0 \xf1 ",
    b"\xc3",
    b"\xe0\xa0",
    b"\xf0\x90\x80",
    b"\xf7\xbf\xbf",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xf8\x88\x80\x80\x80",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
];

#[test]
fn group_6_text_that_is_not() {
    for text in NOT_UTF8 {
        let text = [b"\xce\xba".as_slice(), text].concat();
        both(|peer| {
            peer.send(0x81, &text);
            peer.assert_failed(&[], CloseCode::INVALID_DATA);
        });
        // Byte by byte, in fragments.
        both(|peer| {
            let mut stream = peer.frame(0x01, b"");
            for byte in &text {
                stream.extend(peer.frame(0x00, &[*byte]));
            }
            stream.extend(peer.frame(0x80, b""));
            for piece in stream.chunks(5) {
                peer.send_bytes(piece);
            }
            peer.assert_failed(&[], CloseCode::INVALID_DATA);
        });
    }
}

#[test]
fn group_6_text_fails_before_it_ends() {
    // The rest of the frame, or of the message, never comes.
    let wrong = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    both(|peer| {
        let frame = peer.frame(0x81, wrong);
        let end = frame.len() - b"\x80\x80edited".len();
        peer.send_bytes(&frame[..end - 1]);
        assert_eq!(peer.sent(), []);
        peer.send_bytes(&frame[end - 1..end]);
        peer.assert_failed(&[], CloseCode::INVALID_DATA);
    });
    both(|peer| {
        peer.send(0x01, &wrong[..12]);
        assert_eq!(peer.sent(), []);
        peer.send(0x00, &wrong[12..13]);
        peer.assert_failed(&[], CloseCode::INVALID_DATA);
    });
    // Binary messages may hold anything.
    both(|peer| echoed(peer, 0x82, wrong));
}

#[test]
fn group_7_closing() {
    // Whatever comes after a close is ignored.
    both(|peer| {
        let stream = [
            peer.frame(0x81, b"Hello"),
            peer.frame(0x88, b"\x03\xe8bye"),
            peer.frame(0x81, b"late"),
            peer.frame(0x89, b"late"),
            peer.frame(0x88, b""),
            peer.frame(0xff, b""),
        ];
        peer.send_bytes(&stream.concat());
        assert_eq!(peer.sent(), [(0x81, b"Hello".to_vec()), (0x88, vec![0x03, 0xe8])]);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["close 1000 (normal closure): bye", "lost clean 1000"]);
    });
    // Even in the middle of a message, which is lost.
    both(|peer| {
        peer.send(0x01, "fragment");
        peer.send(0x88, b"\x03\xe8");
        peer.send(0x80, "fragment");
        assert_eq!(peer.sent(), [(0x88, vec![0x03, 0xe8])]);
    });
    // A large message just before.
    both(|peer| {
        let stream = [peer.frame(0x81, &[b'*'; 256 * 1024]), peer.frame(0x88, b"")].concat();
        peer.send_bytes(&stream);
        assert_eq!(peer.sent(), [(0x81, vec![b'*'; 256 * 1024]), (0x88, vec![])]);
    });
    // Payloads.
    both(|peer| {
        peer.send(0x88, "");
        assert_eq!(peer.sent(), [(0x88, vec![])]);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["close nothing", "lost clean 1005"]);
    });
    both(|peer| {
        let payload = [b"\x03\xe8".as_slice(), &[b'*'; 123]].concat();
        peer.send(0x88, payload);
        assert_eq!(peer.sent(), [(0x88, vec![0x03, 0xe8])]);
    });
    for (payload, code) in [
        (&b"\x03"[..], CloseCode::PROTOCOL_ERROR),
        (&[0x03; 126], CloseCode::PROTOCOL_ERROR),
        (b"\x03\xe8\xce\xba\xed\xa0\x80", CloseCode::INVALID_DATA),
    ] {
        both(|peer| {
            peer.send(0x88, payload);
            peer.assert_failed(&[], code);
        });
    }
}

#[test]
fn group_7_close_codes() {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999_u16,
    ] {
        both(|peer| {
            peer.send(0x88, code.to_be_bytes());
            assert_eq!(peer.sent(), [(0x88, code.to_be_bytes().to_vec())]);
            peer.recorder.receive_eof().unwrap();
            assert_eq!(peer.notes().last().unwrap(), &format!("lost clean {code}"));
        });
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535_u16] {
        both(|peer| {
            peer.send(0x88, code.to_be_bytes());
            peer.assert_failed(&[], CloseCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn group_9_large_messages() {
    for role in ROLES {
        let peer = &mut Peer::of(role);
        for shift in [16, 18, 20, 22] {
            echoed(peer, 0x81, "*".repeat(1 << shift).as_bytes());
            echoed(peer, 0x82, &vec![0xfe; 1 << shift]);
        }
        // 1 MiB in fragments of 64 bytes and of 64 KiB.
        for size in [64, 1 << 16] {
            let whole = vec![b'*'; 1 << 20];
            let mut stream = peer.frame(0x01, &whole[..size]);
            let count = whole.len() / size;
            for at in 1..count {
                let first = if at + 1 == count { 0x80 } else { 0x00 };
                stream.extend(peer.frame(first, &whole[..size]));
            }
            peer.send_bytes(&stream);
            assert_eq!(peer.sent(), [(0x81, whole)]);
        }
    }
}

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::testing::check_splits;
use crate::websocket::handshake::{Extension, parse_extensions};
use crate::websocket::{
    DataKind, Message, MessageDecoder, MessageEncoder, PartDecoder, Piece, Role, Violation,
    WebSocketError,
};

fn parsed(value: &str) -> Extension {
    parse_extensions(value).unwrap().remove(0)
}

fn parameters(options: &DeflateOptions) -> DeflateParameters {
    let (server, answer) = options.accept(&parsed(&options.offer())).unwrap();
    assert_eq!(options.agree(&parsed(&answer)).as_ref(), Some(&server), "{answer}");
    server
}

fn decode(mut decoder: MessageDecoder, parts: &[&[u8]]) -> (Vec<Vec<u8>>, Option<WebSocketError>) {
    let mut messages = Vec::new();
    for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(Message::Text(text))) => messages.push(text.as_bytes().to_vec()),
                Ok(Some(Message::Binary(bytes) | Message::Ping(bytes))) => {
                    messages.push(bytes.to_vec());
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, decoder.finish().err())
}

fn client(options: &DeflateOptions) -> MessageDecoder {
    MessageDecoder::new(Role::Client).deflate(&parameters(options))
}

#[test]
fn the_examples_of_the_rfc() {
    // Section 7.2.3.
    let streams: [&[u8]; 6] = [
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
        b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        // A frame that is not compressed in between changes nothing.
        b"\x81\x05Hello",
    ];
    for stream in streams {
        check_splits(stream, |parts| {
            let decoded = decode(client(&DeflateOptions::new()), parts);
            assert_eq!(decoded, (vec![b"Hello".to_vec()], None));
        });
    }
    // Two messages, with and without what came before.
    let stream = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    let decoded = decode(client(&DeflateOptions::new()), &[stream]);
    assert_eq!(decoded, (vec![b"Hello".to_vec(); 2], None));
    let alone = DeflateOptions::new().no_context_takeover(true);
    let (messages, error) = decode(client(&alone), &[stream]);
    assert_eq!(messages.len(), 1);
    assert_eq!(error.unwrap().violation, Violation::InvalidDeflate);

    let mut encoder = MessageEncoder::new(Role::Server)
        .deflate(&parameters(&DeflateOptions::new().min_length(0)));
    let mut output = Vec::new();
    encoder.encode(&Message::Text("Hello"), &mut output).unwrap();
    assert_eq!(output, streams[0]);
    encoder.encode(&Message::Text("Hello"), &mut output).unwrap();
    assert_eq!(output, stream);
}

#[test]
fn reserved_bits_where_they_mean_nothing() {
    for stream in [&b"\x41\x00\xc0\x00"[..], b"\xc9\x00", b"\xc8\x00", b"\xca\x00", b"\xe1\x00"] {
        let (_, error) = decode(client(&DeflateOptions::new()), &[stream]);
        assert_eq!(error.unwrap().violation, Violation::ReservedBits, "{stream:?}");
    }
}

#[test]
fn damaged_messages() {
    for stream in [&b"\xc1\x03\xff\xff\xff"[..], b"\xc1\x02\x06\x00", b"\xc2\x04\x00\x05\x00\x00"] {
        check_splits(stream, |parts| {
            let (messages, error) = decode(client(&DeflateOptions::new()), parts);
            assert_eq!(messages, [] as [Vec<u8>; 0]);
            let error = error.unwrap();
            assert_eq!((error.offset, error.violation), (0, Violation::InvalidDeflate));
            assert_eq!(error.close_code().get(), 1007);
        });
    }
}

fn compressed(role: Role, options: &DeflateOptions, messages: &[Message<'_>]) -> Vec<u8> {
    let mut encoder = MessageEncoder::new(role).deflate(&parameters(options));
    let mut output = Vec::new();
    for message in messages {
        encoder.encode(message, &mut output).unwrap();
    }
    output
}

#[test]
fn text_in_disguise_is_checked() {
    let options = DeflateOptions::new().min_length(1);
    let mut stream = compressed(Role::Server, &options, &[Message::Binary(b"ab\xffcd")]);
    stream[0] = 0xc1;
    check_splits(&stream, |parts| {
        let (_, error) = decode(client(&options), parts);
        assert_eq!(error.unwrap().violation, Violation::InvalidUtf8);
    });
    let mut stream = compressed(Role::Server, &options, &[Message::Binary(b"ab\xe2\x82")]);
    stream[0] = 0xc1;
    let (_, error) = decode(client(&options), &[&stream]);
    assert_eq!(error.unwrap().violation, Violation::InvalidUtf8);
}

#[test]
fn bombs_are_bounded() {
    let options = DeflateOptions::new();
    let bomb = compressed(Role::Server, &options, &[Message::Binary(&vec![0; 64 << 20])]);
    assert!(bomb.len() < 70_000, "{}", bomb.len());
    let max_length = 1 << 20;
    for size in [100, bomb.len()] {
        let mut decoder = client(&options).max_message_length(max_length);
        let mut failed = None;
        for part in bomb.chunks(size) {
            let mut input = part;
            if let Err(error) = decoder.decode(&mut input) {
                failed = Some(error.violation);
                break;
            }
            assert!(decoder.buffer_capacity() <= max_length + 200_000);
        }
        assert_eq!(failed, Some(Violation::MessageTooLong { max_length }));
        assert!(decoder.buffer_capacity() <= max_length + 200_000, "{}", decoder.buffer_capacity());
    }
    // By parts, a little at a time.
    let mut decoder = PartDecoder::new(Role::Client)
        .deflate(&parameters(&options))
        .max_message_length(usize::MAX);
    let (mut input, mut total) = (&bomb[..], 0);
    while let Some(piece) = decoder.decode(&mut input).unwrap() {
        if let Piece::Data(part) = piece {
            assert_eq!(part.kind, DataKind::Binary);
            assert!(part.data.len() <= 2 << 20);
            total += part.data.len();
        }
    }
    assert_eq!(total, 64 << 20);
    // Exactly the limit is no error.
    let whole = compressed(Role::Server, &options, &[Message::Binary(&vec![0; max_length])]);
    let (messages, error) = decode(client(&options).max_message_length(max_length), &[&whole]);
    assert_eq!((messages[0].len(), error), (max_length, None));
    let (_, error) = decode(client(&options).max_message_length(max_length - 1), &[&whole]);
    let violation = error.unwrap().violation;
    assert_eq!(violation, Violation::MessageTooLong { max_length: max_length - 1 });
}

#[test]
fn a_limit_that_is_lowered_in_the_middle_of_a_message_is_kept() {
    let options = DeflateOptions::new();
    let whole = compressed(Role::Server, &options, &[Message::Binary(&[0; 100_000])]);
    let (first, second) = whole.split_at(whole.len() - 10);
    let mut decoder = client(&options);
    assert!(decoder.decode(&mut { first }).unwrap().is_none());
    let mut decoder = decoder.max_message_length(100);
    let error = decoder.decode(&mut { second }).unwrap_err();
    assert_eq!(error.violation, Violation::MessageTooLong { max_length: 100 });
}

#[test]
fn what_a_server_accepts() {
    let any = DeflateOptions::new();
    let answer = |options: &DeflateOptions, offer: &str| {
        options.accept(&parsed(offer)).map(|(_, answer)| answer.replace("permessage-deflate", "pd"))
    };
    for (offer, expected) in [
        ("permessage-deflate", "pd"),
        ("permessage-deflate; client_max_window_bits", "pd"),
        ("permessage-deflate; client_max_window_bits=10", "pd; client_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits=8", "pd; client_max_window_bits=8"),
        ("permessage-deflate; server_max_window_bits=15", "pd; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=\"9\"", "pd; server_max_window_bits=9"),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "pd; server_no_context_takeover; client_no_context_takeover",
        ),
    ] {
        assert_eq!(answer(&any, offer).as_deref(), Some(expected), "{offer}");
    }
    for offer in [
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ] {
        assert_eq!(answer(&any, offer), None, "{offer}");
    }
    let small = DeflateOptions::new().server_max_window_bits(10).client_max_window_bits(11);
    let small = small.no_context_takeover(true);
    let takeover = "pd; server_no_context_takeover; client_no_context_takeover";
    for (offer, expected) in [
        ("permessage-deflate", "; server_max_window_bits=10"),
        (
            "permessage-deflate; client_max_window_bits",
            "; server_max_window_bits=10; client_max_window_bits=11",
        ),
    ] {
        assert_eq!(answer(&small, offer), Some(format!("{takeover}{expected}")));
    }
}

#[test]
fn what_a_client_agrees_to() {
    let agree = |options: &DeflateOptions, answer: &str| options.agree(&parsed(answer)).is_some();
    let any = DeflateOptions::new();
    for (answer, expected) in [
        ("permessage-deflate", true),
        ("permessage-deflate; server_no_context_takeover", true),
        ("permessage-deflate; client_no_context_takeover", true),
        ("permessage-deflate; server_max_window_bits=8", true),
        ("permessage-deflate; client_max_window_bits=8", true),
        ("permessage-deflate; client_max_window_bits", false),
        ("permessage-deflate; x", false),
        ("permessage-deflate; server_max_window_bits=16", false),
    ] {
        assert_eq!(agree(&any, answer), expected, "{answer}");
    }
    let strict = DeflateOptions::new().server_max_window_bits(10).no_context_takeover(true);
    for (answer, expected) in [
        ("permessage-deflate", false),
        ("permessage-deflate; server_max_window_bits=10", false),
        ("permessage-deflate; server_max_window_bits=11; server_no_context_takeover", false),
        ("permessage-deflate; server_max_window_bits=9; server_no_context_takeover", true),
    ] {
        assert_eq!(agree(&strict, answer), expected, "{answer}");
    }
    // A window of 8 bits is one that we cannot make: nothing is compressed then.
    let tiny = any.agree(&parsed("permessage-deflate; client_max_window_bits=8")).unwrap();
    let mut encoder = MessageEncoder::new(Role::Client).deflate(&tiny);
    let mut output = Vec::new();
    encoder.encode(&Message::Binary(&[0; 1000]), &mut output).unwrap();
    assert!(output.len() > 1000);
}

fn options() -> impl Strategy<Value = DeflateOptions> {
    (any::<bool>(), any::<bool>(), 9..=15_u8, 9..=15_u8, 1..=9_u32, 0..100_usize).prop_map(
        |(server, client, server_bits, client_bits, level, min_length)| {
            DeflateOptions::new()
                .server_no_context_takeover(server)
                .client_no_context_takeover(client)
                .server_max_window_bits(server_bits)
                .client_max_window_bits(client_bits)
                .level(level)
                .min_length(min_length)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn compressed_messages_come_back(
        options in options(),
        messages in vec(
            prop_oneof![
                vec(any::<u8>(), 0..300),
                vec(prop_oneof![Just(b'a'), Just(b'b')], 0..5000),
                (vec(any::<u8>(), 1..50), 1..100_usize).prop_map(|(bytes, times)| bytes.repeat(times)),
            ],
            0..6,
        ),
        fragment in prop_oneof![Just(usize::MAX), 1..100_usize],
        is_server in any::<bool>(),
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let parameters = parameters(&options);
        let mut encoder =
            MessageEncoder::new(role).deflate(&parameters).max_fragment_length(fragment);
        let mut stream = Vec::new();
        for message in &messages {
            encoder.encode(&Message::Binary(message), &mut stream).unwrap();
            encoder.encode(&Message::Ping(b"?"), &mut stream).unwrap();
        }
        let expected: Vec<_> =
            messages.iter().flat_map(|message| [message.clone(), b"?".to_vec()]).collect();
        for size in [1, 7, 1000, stream.len().max(1)] {
            let parts: Vec<&[u8]> = stream.chunks(size).collect();
            let decoder = MessageDecoder::new(role.peer()).deflate(&parameters);
            prop_assert_eq!(decode(decoder, &parts), (expected.clone(), None));
        }
    }

    #[test]
    fn any_bytes_give_the_same_for_every_split(
        options in options(),
        payload in vec(any::<u8>(), 0..60),
        first in prop_oneof![Just(0xc1_u8), Just(0xc2), Just(0x41)],
    ) {
        let parameters = parameters(&options);
        let stream = [&[first, payload.len() as u8], &payload[..]].concat();
        check_splits(&stream, |parts| {
            decode(MessageDecoder::new(Role::Client).deflate(&parameters), parts)
        });
    }
}

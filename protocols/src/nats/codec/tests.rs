use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::testing::check_splits;

/// Everything that comes out of a decoder, in a form that can be compared.
fn decode_all<D: Decoder>(mut decoder: D, parts: &[&[u8]]) -> Vec<Result<String, D::Error>>
where
    for<'a> D::Frame<'a>: std::fmt::Debug,
{
    let mut frames = Vec::new();
    for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(Ok(format!("{frame:?}"))),
                Ok(None) => break assert_eq!(input, b""),
                Err(error) => {
                    frames.push(Err(error));
                    return frames;
                }
            }
        }
    }
    if let Err(error) = decoder.finish() {
        frames.push(Err(error));
    }
    frames
}

fn servers(input: &[u8]) -> Vec<Result<String, CodecError>> {
    decode_all(small_server(), &[input])
}

fn small_server() -> ServerOpDecoder {
    ServerOpDecoder::new().max_control_line(60).max_payload(40).max_headers(30)
}

fn small_client() -> ClientOpDecoder {
    ClientOpDecoder::new().max_control_line(60).max_payload(40).max_headers(30)
}

#[test]
fn every_operation_of_a_server() {
    let stream = b"INFO {\"proto\":1}\r\nMSG a.b 7 3\r\nabc\r\nmsg a 7\treply.x  0\r\n\r\n\
        HMSG a 8 12 15\r\nNATS/1.0\r\n\r\nabc\r\nHMSG a 8 r 12 12\r\nNATS/1.0\r\n\r\n\r\n\
        ping\r\nPONG\r\n+OK\r\n-ERR 'Unknown Protocol Operation'\r\n-ERR plain\r\n";
    let mut decoder = ServerOpDecoder::new();
    let mut input = &stream[..];
    let mut next = || decoder.decode(&mut input).map(|op| format!("{op:?}"));
    let msg = |subject: &str, sid, reply: Option<&str>, headers: Option<&str>, payload: &str| {
        let msg = Msg {
            subject: subject.as_bytes(),
            sid,
            reply: reply.map(str::as_bytes),
            headers: headers.map(str::as_bytes),
            payload: payload.as_bytes(),
        };
        Ok(format!("{:?}", Some(ServerOp::Msg(msg))))
    };
    let plain = |op: ServerOp<'_>| Ok(format!("{:?}", Some(op)));
    assert_eq!(next(), plain(ServerOp::Info(b"{\"proto\":1}")));
    assert_eq!(next(), msg("a.b", 7, None, None, "abc"));
    assert_eq!(next(), msg("a", 7, Some("reply.x"), None, ""));
    assert_eq!(next(), msg("a", 8, None, Some("NATS/1.0\r\n\r\n"), "abc"));
    assert_eq!(next(), msg("a", 8, Some("r"), Some("NATS/1.0\r\n\r\n"), ""));
    assert_eq!(next(), plain(ServerOp::Ping));
    assert_eq!(next(), plain(ServerOp::Pong));
    assert_eq!(next(), plain(ServerOp::Ok));
    assert_eq!(next(), plain(ServerOp::Err(b"Unknown Protocol Operation")));
    assert_eq!(next(), plain(ServerOp::Err(b"plain")));
    assert_eq!(next(), Ok("None".to_owned()));
    check_splits(stream, |parts| decode_all(ServerOpDecoder::new(), parts));
}

#[test]
fn every_operation_of_a_client() {
    let ops = [
        ClientOp::Connect(b"{\"verbose\":false}"),
        ClientOp::Pub(Pub { subject: b"a", payload: b"x\r\ny", ..Pub::default() }),
        ClientOp::Pub(Pub { subject: b"a", reply: Some(b"r.1"), ..Pub::default() }),
        ClientOp::Pub(Pub {
            subject: b"a",
            reply: Some(b"r"),
            headers: Some(b"NATS/1.0\r\nA: 1\r\n\r\n"),
            payload: b"p",
        }),
        ClientOp::Sub { subject: b"a.*.>", queue: None, sid: 1 },
        ClientOp::Sub { subject: b">", queue: Some(b"q"), sid: u64::MAX },
        ClientOp::Unsub { sid: 1, max: None },
        ClientOp::Unsub { sid: 1, max: Some(5) },
        ClientOp::Ping,
        ClientOp::Pong,
    ];
    let mut stream = Vec::new();
    for op in &ops {
        ClientOpEncoder::new().encode(op, &mut stream).unwrap();
    }
    let expected: Vec<_> = ops.iter().map(|op| Ok(format!("{op:?}"))).collect();
    check_splits(&stream, |parts| {
        let decoded = decode_all(ClientOpDecoder::new(), parts);
        assert_eq!(decoded, expected);
    });
}

#[test]
fn errors_name_the_byte_and_the_rule() {
    for (input, offset, rule) in [
        (&b"PING\n"[..], 4, Rule::LineEnd),
        (b"PI\rNG\r\n", 2, Rule::LineEnd),
        (b"PING\r\nPONG x\r\n", 11, Rule::Arguments),
        (b"PUB a 0\r\n\r\n", 0, Rule::Operation),
        (b"\r\n", 0, Rule::Operation),
        (b" PING\r\n", 0, Rule::Operation),
        (b"MSG a 1\r\n", 7, Rule::Arguments),
        (b"MSG a 1 r 2 3\r\n", 12, Rule::Arguments),
        (b"MSG a x 0\r\n\r\n", 6, Rule::Number),
        (b"MSG a 1 +1\r\n", 8, Rule::Number),
        (b"MSG a 1 99999999999999999999999\r\n", 8, Rule::Number),
        (b"MSG a 1 41\r\n", 8, Rule::PayloadLength { max: 40 }),
        (b"MSG a 1 18446744073709551615\r\n", 8, Rule::PayloadLength { max: 40 }),
        (b"HMSG a 1 31 32\r\n", 9, Rule::HeadersLength { max: 30 }),
        (b"HMSG a 1 13 12\r\n", 9, Rule::HeadersLength { max: 30 }),
        (b"MSG a 1 2\r\nabc\r\n", 13, Rule::PayloadEnd),
        (b"MSG a 1 2\r\nab\rc", 14, Rule::PayloadEnd),
        (b"PING\r\nMSG a 1 2\r\nab", 19, Rule::Truncated),
        (b"PING\r\nPIN", 9, Rule::Truncated),
        (&[b'x'; 62], 60, Rule::ControlLineLength { max: 60 }),
    ] {
        let error = Err(CodecError { offset, rule });
        assert_eq!(servers(input).last(), Some(&error), "{:?}", String::from_utf8_lossy(input));
        check_splits(input, |parts| decode_all(small_server(), parts));
    }
    let line = [&b"INFO "[..], &[b'x'; 55], b"\r\n"].concat();
    assert_eq!(servers(&line).len(), 1, "a line of just the limit");
}

#[test]
fn a_stream_that_failed_stays_so() {
    let mut decoder = ServerOpDecoder::new();
    let error = CodecError { offset: 6, rule: Rule::Operation };
    let mut input = &b"PING\r\nQUIT\r\nPING\r\n"[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(ServerOp::Ping)));
    assert_eq!(decoder.decode(&mut input), Err(error));
    assert_eq!(decoder.decode(&mut &b"PING\r\n"[..]), Err(error));
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn malformed_headers_of_one_message_do_not_end_the_stream() {
    let mut decoder = ServerOpDecoder::new();
    let mut input = &b"HMSG a 1 4 5\r\nevilx\r\nPING\r\n"[..];
    let Ok(Some(ServerOp::Msg(message))) = decoder.decode(&mut input) else { panic!() };
    assert!(HeaderBlock::parse(message.headers.unwrap()).is_err());
    assert_eq!(decoder.decode(&mut input), Ok(Some(ServerOp::Ping)));
}

#[test]
fn what_lies_whole_in_the_input_is_lent_from_there() {
    let mut decoder = ServerOpDecoder::new();
    let stream = b"MSG a 1 3\r\nabc\r\nMSG a 1 3\r\ndef\r\nMSG a";
    let mut input = &stream[..];
    for at in [11, 27] {
        let Ok(Some(ServerOp::Msg(message))) = decoder.decode(&mut input) else { panic!() };
        assert_eq!(message.payload.as_ptr(), stream[at..].as_ptr());
    }
    assert_eq!(decoder.buffer_capacity(), 0);
    assert_eq!(decoder.decode(&mut input), Ok(None));
    let mut rest = &b" 1 0\r\n\r\nPING\r\n"[..];
    assert!(matches!(decoder.decode(&mut rest), Ok(Some(ServerOp::Msg(_)))));
    assert_eq!(decoder.decode(&mut rest), Ok(Some(ServerOp::Ping)));
    assert_eq!(decoder.buffer_capacity(), 0, "nothing is kept between two operations");
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_claimed() {
    let mut decoder = ServerOpDecoder::new();
    decoder.decode(&mut &b"MSG a 1 8388608\r\n"[..]).unwrap();
    assert!(decoder.buffer_capacity() < 100);
    for _ in 0..1024 {
        decoder.decode(&mut &[b'x'; 1024][..]).unwrap();
    }
    assert!(decoder.buffer_capacity() <= 2 * 1024 * 1024 + 100);
    for _ in 1024..8192 {
        decoder.decode(&mut &[b'x'; 1024][..]).unwrap();
    }
    assert_eq!(decoder.buffer_capacity(), 17 + 8_388_608 + 2, "exactly what it takes");
    let mut input = &b"\r\n"[..];
    assert!(matches!(decoder.decode(&mut input), Ok(Some(ServerOp::Msg(_)))));
}

#[test]
fn time_is_linear_in_the_input() {
    let steps = |count: usize, part: usize| {
        let message =
            [&b"HMSG a.b.c 1 r 12 112\r\nNATS/1.0\r\n\r\n"[..], &[b'x'; 100], b"\r\n"].concat();
        let stream = message.repeat(count);
        let mut decoder = ServerOpDecoder::new();
        for mut input in stream.chunks(part) {
            while decoder.decode(&mut input).unwrap().is_some() {}
        }
        decoder.framing().steps
    };
    for part in [1, 7, 50, 100_000] {
        let (once, twice) = (steps(100, part), steps(200, part));
        assert!(twice <= 2 * once + 200, "{part}: {once}, then {twice}");
        assert!(once <= 100 * 300, "{part}: {once}");
    }
    // A long line, and a long payload, byte by byte.
    let mut decoder = ServerOpDecoder::new();
    for _ in 0..60_000 {
        decoder.decode(&mut &b"x"[..]).unwrap();
    }
    assert!(decoder.framing().steps <= 120_000, "{}", decoder.framing().steps);
}

#[test]
fn the_remainder_is_what_was_received() {
    let mut decoder = ClientOpDecoder::new();
    let mut input = &b"PING\r\nPUB a 5\r\nab"[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(ClientOp::Ping)));
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.take_remainder(), b"PUB a 5\r\nab");
    assert_eq!(decoder.decode(&mut &b"PONG\r\n"[..]), Ok(Some(ClientOp::Pong)));
    assert_eq!(decoder.buffer_capacity(), 0);
}

#[test]
fn nothing_can_be_injected() {
    let refused = |op: &ClientOp<'_>| {
        let mut output = b"PING\r\n".to_vec();
        let error = ClientOpEncoder::new().max_payload(10).encode(op, &mut output).unwrap_err();
        assert_eq!(output, b"PING\r\n", "{op:?}");
        error.rule
    };
    let evil = b"a 0\r\n\r\nPUB b";
    let message = Pub { subject: b"a", ..Pub::default() };
    assert_eq!(refused(&ClientOp::Pub(Pub { subject: evil, ..message })), Rule::Subject);
    assert_eq!(refused(&ClientOp::Pub(Pub { subject: b"a.*", ..message })), Rule::Wildcard);
    assert_eq!(refused(&ClientOp::Pub(Pub { reply: Some(evil), ..message })), Rule::Subject);
    assert_eq!(refused(&ClientOp::Pub(Pub { reply: Some(b""), ..message })), Rule::Subject);
    assert_eq!(refused(&ClientOp::Pub(Pub { headers: Some(b"x"), ..message })), Rule::Headers);
    assert_eq!(
        refused(&ClientOp::Pub(Pub { payload: b"12345678901", ..message })),
        Rule::PayloadLength { max: 10 }
    );
    assert_eq!(refused(&ClientOp::Sub { subject: evil, queue: None, sid: 1 }), Rule::Subject);
    assert_eq!(
        refused(&ClientOp::Sub { subject: b"a", queue: Some(b"q 1\r\nPING"), sid: 1 }),
        Rule::QueueGroup
    );
    assert_eq!(refused(&ClientOp::Connect(b"{}\r\nPING")), Rule::Text);
    let long = vec![b'a'; 4096];
    assert_eq!(
        refused(&ClientOp::Sub { subject: &long, queue: None, sid: 1 }),
        Rule::ControlLineLength { max: 4096 }
    );
    assert_eq!(
        refused(&ClientOp::Pub(Pub { subject: &long, ..message })),
        Rule::ControlLineLength { max: 4096 }
    );
    let encode = |op: &ServerOp<'_>| ServerOpEncoder::new().encode(op, &mut Vec::new());
    assert!(encode(&ServerOp::Err(b"a' b")).is_err());
    assert!(encode(&ServerOp::Info(b"{\n}")).is_err());
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => prop::sample::select(&b" \r\n\t.*>:0a'"[..]), 1 => any::<u8>()];
    vec(byte, 0..20)
}

fn header_block() -> impl Strategy<Value = Vec<u8>> {
    let line = ("[A-Za-z-]{1,4}", "[ -~\r\n]{0,6}");
    vec(line, 0..3).prop_map(|lines| {
        let mut headers = Headers::new();
        for (name, value) in lines {
            // A value that is refused is left out.
            let _ = headers.append(&name, &value);
        }
        headers.as_bytes().to_vec()
    })
}

fn subject() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => "[a-z*>.]{1,8}".prop_map(String::into_bytes), 1 => bytes()]
}

/// Text that looks like operations, true and almost true.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("PING\r\n".to_owned()),
        Just("+OK\r\n".to_owned()),
        Just("-ERR 'x'\r\n".to_owned()),
        Just("INFO {}\r\n".to_owned()),
        Just("HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n".to_owned()),
        Just("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n".to_owned()),
        (0..50_usize)
            .prop_map(|size| format!("MSG a.b 1 {size}\r\n{}\r\n", "x".repeat(size.min(40)))),
        (0..50_usize)
            .prop_map(|size| format!("PUB a.b {size}\r\n{}\r\n", "x".repeat(size.min(40)))),
        "(SUB|UNSUB|MSG|PUB)( [a-z0-9]{1,3}){0,5}\r\n",
        "[ -~\r\n]{0,10}",
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same(stream in prop_oneof![stream(), vec(any::<u8>(), 0..100)]) {
        check_splits(&stream, |parts| decode_all(small_server(), parts));
        check_splits(&stream, |parts| decode_all(small_client(), parts));
    }

    #[test]
    fn what_a_client_encodes_a_server_decodes(
        subject in subject(), reply in option::of(subject()), queue in option::of(bytes()),
        headers in option::of(header_block()), payload in bytes(), sid: u64, max: Option<u64>, text in bytes(),
    ) {
        let ops = [
            ClientOp::Pub(Pub {
                subject: &subject,
                reply: reply.as_deref(),
                headers: headers.as_deref(),
                payload: &payload,
            }),
            ClientOp::Sub { subject: &subject, queue: queue.as_deref(), sid },
            ClientOp::Unsub { sid, max },
            ClientOp::Connect(&text),
        ];
        for op in ops {
            let mut output = Vec::new();
            if ClientOpEncoder::new().encode(&op, &mut output).is_ok() {
                output.extend_from_slice(b"PING\r\n");
                let mut decoder = ClientOpDecoder::new();
                let mut input = &output[..];
                prop_assert_eq!(decoder.decode(&mut input), Ok(Some(op)));
                prop_assert_eq!(decoder.decode(&mut input), Ok(Some(ClientOp::Ping)));
            } else {
                prop_assert_eq!(output, b"");
            }
        }
    }

    #[test]
    fn what_a_server_encodes_a_client_decodes(
        subject in subject(), reply in option::of(subject()), headers in option::of(header_block()),
        payload in bytes(), sid: u64, text in bytes(),
    ) {
        let message = Msg {
            subject: &subject,
            sid,
            reply: reply.as_deref(),
            headers: headers.as_deref(),
            payload: &payload,
        };
        for op in [ServerOp::Msg(message), ServerOp::Err(&text), ServerOp::Info(&text)] {
            let mut output = Vec::new();
            if ServerOpEncoder::new().encode(&op, &mut output).is_ok() {
                output.extend_from_slice(b"PING\r\n");
                let mut decoder = ServerOpDecoder::new();
                let mut input = &output[..];
                prop_assert_eq!(decoder.decode(&mut input), Ok(Some(op)));
                prop_assert_eq!(decoder.decode(&mut input), Ok(Some(ServerOp::Ping)));
            }
        }
    }

    #[test]
    fn any_headers_are_parsed_or_refused(block in prop_oneof![bytes(), header_block()]) {
        if let Ok(parsed) = HeaderBlock::parse(&block) {
            let _ = parsed.iter().count();
        }
    }
}

#[test]
fn limits_change_in_the_middle_of_an_operation() {
    let mut decoder = ServerOpDecoder::new();
    assert_eq!(decoder.decode(&mut &b"MSG a.long.subject 1 "[..]), Ok(None));
    let mut decoder = decoder.max_control_line(5);
    let error = decoder.decode(&mut &b"5\r\nhello\r\n"[..]).unwrap_err();
    assert_eq!(error.rule, Rule::ControlLineLength { max: 5 });
}

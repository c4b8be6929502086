use proptest::prelude::*;

use super::*;
use crate::codec::Decoder;
use crate::testing::check_splits;
use crate::websocket::MaskKeys;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// A right request, with a line replaced, or added if none begins so.
fn request(line: &str) -> String {
    let mut lines = vec![
        "GET /chat?room=1 HTTP/1.1",
        "Host: example.org",
        "Upgrade: websocket",
        "Connection: Upgrade",
        KEY,
        "Sec-WebSocket-Version: 13",
    ];
    let name = line.split([':', ' ']).next().unwrap();
    match lines.iter().position(|own| own.split([':', ' ']).next() == Some(name)) {
        Some(at) => lines[at] = line,
        None if !line.is_empty() => lines.push(line),
        None => (),
    }
    lines.retain(|line| !line.ends_with(": -"));
    lines.join("\r\n") + "\r\n\r\n"
}

fn read(stream: &[u8]) -> Result<Option<UpgradeRequest>, HandshakeError> {
    let decode = |parts: &[&[u8]]| {
        let mut decoder = RequestDecoder::new();
        for part in parts {
            let mut input = *part;
            match decoder.decode(&mut input) {
                Ok(None) => assert!(input.is_empty()),
                other => {
                    assert!(other.is_ok() || decoder.decode(&mut &b"x"[..]) == other);
                    return other;
                }
            }
        }
        decoder.finish()
    };
    check_splits(stream, decode);
    decode(&[stream])
}

fn accept(server: &ServerHandshake, line: &str) -> Result<Agreed, HandshakeError> {
    let request = read(request(line).as_bytes())?.unwrap();
    server.accept(&request).map(|acceptance| acceptance.agreed().clone())
}

#[test]
fn a_request_and_its_answer() {
    let stream = request("Origin: http://example.org");
    let request = read(stream.as_bytes()).unwrap().unwrap();
    assert_eq!((request.target(), request.path()), ("/chat?room=1", "/chat"));
    assert_eq!((request.host(), request.origin()), ("example.org", Some("http://example.org")));
    assert_eq!(request.fields().get("upgrade"), Some("websocket"));
    let mut answer = Vec::new();
    let acceptance = ServerHandshake::new().accept(&request).unwrap();
    acceptance.field("Set-Cookie", "a=b").unwrap().encode(&mut answer);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: a=b\r\n\r\n";
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}

#[test]
fn requests_that_are_taken() {
    let server = ServerHandshake::new();
    for line in [
        "Upgrade: WebSocket",
        "Upgrade: h2c, websocket",
        "Connection: keep-alive, upgrade",
        "Connection: , Upgrade ,",
        "Content-Length: 0",
        "Cookie: \u{e4}",
        "X-Empty:",
    ] {
        assert_eq!(accept(&server, line), Ok(Agreed::default()), "{line}");
    }
}

#[test]
fn requests_that_are_refused() {
    let server = ServerHandshake::new();
    let twice = format!("{KEY}\r\n{KEY}");
    for (line, status) in [
        ("GET /chat HTTP/1.0", 505),
        ("GET /chat HTTP/2.0", 505),
        ("GET http://example.net/ HTTP/1.1", 400),
        ("GET http://example.org:81/ HTTP/1.1", 400),
        ("GET ws://example.org/ HTTP/1.1", 400),
        ("GET example.org HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /#x HTTP/1.1", 400),
        ("GET /chat", 400),
        ("GET  /chat HTTP/1.1", 400),
        ("Host: -", 400),
        ("Host: a\r\nHost: b", 400),
        ("Upgrade: -", 400),
        ("Upgrade: h2c", 400),
        ("Connection: close", 400),
        ("Connection: -", 400),
        ("Sec-WebSocket-Key: -", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400),
        ("Sec-WebSocket-Key: short===", 400),
        (&twice, 400),
        ("Sec-WebSocket-Version: -", 426),
        ("Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 013", 426),
        ("Transfer-Encoding: chunked", 400),
        ("Content-Length: 5", 400),
        ("Sec-WebSocket-Protocol: a b", 400),
        ("Sec-WebSocket-Protocol: a, a", 400),
        ("Origin: http://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: http://example.org\r\nOrigin: http://example.org", 400),
        ("Bad Name: x", 400),
        ("Name : x", 400),
        (" folded: x", 400),
        ("X: a\r\n b", 400),
        ("X: a\nY: b", 400),
        ("X: a\rY: b", 400),
        ("X: a\0b", 400),
    ] {
        let error = accept(&server, line).expect_err(line);
        assert_eq!(error.status(), status, "{line}: {error}");
        let mut answer = Vec::new();
        ServerHandshake::refuse(&error, &mut answer);
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{line}");
        assert!(answer.ends_with(b"\n"));
    }
    let post = request("").replace("GET", "POST");
    assert_eq!(read(post.as_bytes()).unwrap_err().status(), 405);
}

#[test]
fn a_target_may_be_a_uri_of_the_host() {
    for (target, expected) in [
        ("http://example.org/chat?x", "/chat?x"),
        ("HTTPS://EXAMPLE.org", "/"),
        ("http://example.org?x://y", "/?x://y"),
        ("/?u=http://a/", "/?u=http://a/"),
    ] {
        let stream = request(&format!("GET {target} HTTP/1.1"));
        assert_eq!(read(stream.as_bytes()).unwrap().unwrap().target(), expected, "{target}");
    }
}

#[test]
fn heads_are_bounded() {
    let long = request(&format!("X: {}", "y".repeat(DEFAULT_MAX_HEAD_LENGTH)));
    let error = RequestDecoder::new().decode(&mut long.as_bytes()).unwrap_err();
    assert_eq!((error.status(), error), (431, HandshakeError::HeadTooLong { max_length: 16384 }));
    let exact = request("");
    let decode =
        |length| RequestDecoder::new().max_head_length(length).decode(&mut exact.as_bytes());
    assert!(decode(exact.len()).is_ok());
    assert!(decode(exact.len() - 1).is_err());
    let many = request("X: y\r\n".repeat(MAX_HEADER_FIELDS).trim_end());
    assert!(RequestDecoder::new().decode(&mut many.as_bytes()).is_err());
}

#[test]
fn what_follows_the_head_is_left() {
    let stream = request("") + "rest";
    let mut input = stream.as_bytes();
    assert!(RequestDecoder::new().decode(&mut input).unwrap().is_some());
    assert_eq!(input, b"rest");
    let cut = &request("")[..60];
    assert_eq!(read(cut.as_bytes()), Err(HandshakeError::Truncated));
    assert_eq!(read(b""), Ok(None));
}

#[test]
fn origins() {
    let same = ServerHandshake::new();
    let ours = ServerHandshake::new().allow_origins(["https://a.example"]);
    let any = ServerHandshake::new().allow_any_origin();
    for (origin, allowed) in [
        ("http://example.org", [true, false, true]),
        ("https://EXAMPLE.org:443", [true, false, true]),
        ("http://example.org:8080", [false, false, true]),
        ("http://example.org.evil", [false, false, true]),
        ("https://a.example", [false, true, true]),
        ("null", [false, false, true]),
    ] {
        let line = format!("Origin: {origin}");
        let answers = [&same, &ours, &any].map(|server| accept(server, &line).is_ok());
        assert_eq!(answers, allowed, "{origin}");
    }
    assert!(accept(&ours, "").is_ok(), "not a browser");
}

#[test]
fn sub_protocols() {
    let server = ServerHandshake::new().protocols(["b", "a"]);
    let chosen = |line: &str| accept(&server, line).unwrap().protocol;
    assert_eq!(chosen("").as_deref(), None);
    assert_eq!(chosen("Sec-WebSocket-Protocol: c").as_deref(), None);
    assert_eq!(chosen("Sec-WebSocket-Protocol: a").as_deref(), Some("a"));
    assert_eq!(chosen("Sec-WebSocket-Protocol: a, b, c").as_deref(), Some("b"));
    let lines = "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b";
    assert_eq!(chosen(lines).as_deref(), Some("b"));
    // Their case counts.
    assert_eq!(chosen("Sec-WebSocket-Protocol: A").as_deref(), None);
}

fn client() -> ClientHandshake {
    let url = "ws://[::1]:9001/x?y".parse().unwrap();
    ClientHandshake::new(url, &mut MaskKeys::random())
}

#[test]
fn client_and_server_agree() {
    let client =
        client().protocols(["a", "b"]).unwrap().field("Origin", "http://[::1]:9001").unwrap();
    let mut stream = Vec::new();
    client.encode(&mut stream);
    let request = read(&stream).unwrap().unwrap();
    assert_eq!((request.target(), request.host()), ("/x?y", "[::1]:9001"));
    let acceptance = ServerHandshake::new().protocols(["b"]).accept(&request).unwrap();
    stream.clear();
    acceptance.encode(&mut stream);
    stream.extend_from_slice(b"rest");
    let mut input = &stream[..];
    let response = ResponseDecoder::new().decode(&mut input).unwrap().unwrap();
    assert_eq!(input, b"rest");
    assert_eq!(client.finish(&response), Ok(acceptance.agreed().clone()));
    assert_eq!(acceptance.agreed().protocol.as_deref(), Some("b"));
    // The answer to another's request.
    let other = self::client().protocols(["b"]).unwrap();
    assert!(other.finish(&response).is_err());
}

#[test]
fn answers_that_are_none() {
    let client = client().protocols(["a"]).unwrap();
    let mut stream = Vec::new();
    client.encode(&mut stream);
    let request = read(&stream).unwrap().unwrap();
    stream.clear();
    ServerHandshake::new().accept(&request).unwrap().encode(&mut stream);
    let right = String::from_utf8(stream).unwrap();
    let judge = |answer: &str| {
        let response = ResponseDecoder::new().decode(&mut answer.as_bytes())?.unwrap();
        client.finish(&response)
    };
    assert!(judge(&right).is_ok());
    let added = |line: &str| right.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    for answer in [
        right.replace("101", "200"),
        right.replace("101", "301"),
        right.replace("HTTP/1.1", "HTTP/1.0"),
        right.replace("Upgrade: websocket", "Upgrade: h2c"),
        right.replace("Upgrade: websocket\r\n", ""),
        right.replace("Connection: Upgrade", "Connection: close"),
        right.replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
        right.replace("Sec-WebSocket-Accept", "X"),
        added("Sec-WebSocket-Protocol: b"),
        added("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a"),
        added("Sec-WebSocket-Protocol: A"),
        added("Sec-WebSocket-Extensions: x-foo"),
        added("Sec-WebSocket-Extensions: ;"),
        right.replace("\r\n", "\n"),
        "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
    ] {
        let error = judge(&answer).expect_err(&answer);
        let is_status = matches!(error, HandshakeError::Answered(_));
        assert_eq!(is_status, answer.contains(" 200 ") || answer.contains(" 301 "), "{answer}");
    }
    assert!(judge(&added("Sec-WebSocket-Protocol: a")).is_ok());
}

#[test]
fn nothing_can_be_smuggled_into_a_head() {
    for (name, value) in [
        ("X", "a\r\nY: b"),
        ("X", "a\nY: b"),
        ("X", " a"),
        ("X\r\nY", "a"),
        ("X Y", "a"),
        ("", "a"),
        ("X", "\0"),
        ("Sec-WebSocket-Key", "a"),
        ("host", "a"),
    ] {
        assert!(client().field(name, value).is_err(), "{name:?} {value:?}");
        let request = read(self::request("").as_bytes()).unwrap().unwrap();
        let acceptance = ServerHandshake::new().accept(&request).unwrap();
        assert!(acceptance.field(name, value).is_err(), "{name:?} {value:?}");
    }
    for protocol in ["", "a b", "a,b", "a\r\n", "\u{e4}"] {
        assert!(client().protocols([protocol]).is_err(), "{protocol:?}");
    }
    assert!(client().protocols(["a", "a"]).is_err());
}

proptest! {
    #[test]
    fn any_head_gives_the_same_for_every_split(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("Upgrade: websocket\r\n".to_owned()),
                Just("\r\n".to_owned()),
                Just("\n".to_owned()),
                "[ -~]{0,12}\r\n",
                "\\PC{0,6}",
            ],
            0..8,
        ),
    ) {
        let stream = "GET / HTTP/1.1\r\n".to_owned() + &lines.concat();
        let _ = read(stream.as_bytes());
    }
}

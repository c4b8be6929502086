use super::*;
use crate::testing::check_splits;

const HOST: &str = "Host: x\r\n";

#[test]
fn whole_requests_are_lent_from_the_input() {
    let input = b"GET /a?b HTTP/1.1\r\nHost: x\r\nAccept:  */* \r\n\r\n";
    let mut decoder = RequestDecoder::new();
    let mut rest = &input[..];
    let Some(RequestEvent::Head(head)) = decoder.decode(&mut rest).unwrap() else { panic!() };
    assert_eq!(head.target().as_ptr(), input[4..].as_ptr());
    assert_eq!(head.headers().get("accept"), Some(&b"*/*"[..]));
    assert_eq!((head.path(), head.query(), head.authority()), ("/a", Some("b"), Some("x")));
    assert!(head.is_kept_alive() && !head.expects_continue() && !head.is_upgrade());
    assert_eq!(decoder.decode(&mut rest), Ok(Some(RequestEvent::End)));
    assert_eq!(decoder.decode(&mut rest), Ok(None));
    assert_eq!(decoder.buffer_capacity(), 0);
}

#[test]
fn pipelined_requests_are_the_same_however_they_come() {
    let input = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc\
        PUT /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=\"b;\\\"\"\r\nabc\r\n10\r\n0123456789abcdef\r\n\
        000\r\nTag: 1\r\n\r\nOPTIONS * HTTP/1.0\r\n\r\n";
    check_splits(input, |parts| {
        let seen = requests(RequestDecoder::new(), parts);
        let ends = seen.iter().filter(|seen| **seen == Seen::End).count();
        assert_eq!(ends, 4, "{seen:?}");
        assert!(seen.contains(&Seen::Data(b"abc0123456789abcdef".to_vec())));
        assert!(seen.contains(&Seen::Trailers(vec![("Tag".to_owned(), b"1".to_vec())])));
        seen
    });
}

#[test]
fn every_rule_names_its_byte() {
    let cases = [
        ("GET / HTTP/1.1\nHost: x\r\n\r\n", Rule::BareLineFeed, 14),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", Rule::BareLineFeed, 23),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", Rule::BareLineFeed, 25),
        ("GET / HTTP/1.1\rX\r\nHost: x\r\n\r\n", Rule::BareCarriageReturn, 14),
        ("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", Rule::BareCarriageReturn, 23),
        ("GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n", Rule::BareCarriageReturn, 23),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", Rule::EmptyLine, 2),
        ("\rGET / HTTP/1.1\r\n", Rule::BareCarriageReturn, 0),
        ("\nGET / HTTP/1.1\r\n", Rule::BareLineFeed, 0),
        ("\x16\x03\x01\x02\x00", Rule::Method, 0),
        (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Method, 0),
        ("\r\n GET / HTTP/1.1\r\n\r\n", Rule::Method, 2),
        ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Method, 1),
        ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Method, 3),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 4),
        ("GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 5),
        ("GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 5),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 4),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 4),
        ("CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 8),
        ("GET http://u@h/ HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Target, 4),
        ("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", Rule::Version, 6),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", Rule::Version, 6),
        ("GET / http/1.1\r\nHost: x\r\n\r\n", Rule::Version, 6),
        ("GET /\r\n\r\n", Rule::Target, 5),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", Rule::UnsupportedVersion, 11),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Rule::UnsupportedVersion, 11),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", Rule::UnsupportedVersion, 11),
        ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", Rule::ObsoleteFold, 16),
        ("GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", Rule::ObsoleteFold, 25),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Rule::FieldName, 20),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", Rule::FieldName, 20),
        ("GET / HTTP/1.1\r\n: x\r\n\r\n", Rule::FieldName, 16),
        ("GET / HTTP/1.1\r\nH\u{e9}: x\r\n\r\n", Rule::FieldName, 17),
        ("GET / HTTP/1.1\r\nA: x\0\r\n\r\n", Rule::FieldValue, 20),
        ("GET / HTTP/1.1\r\nA: x\x7f\r\n\r\n", Rule::FieldValue, 20),
        ("GET / HTTP/1.1\r\nA: x\r\n\r\n", Rule::HostMissing, 22),
        ("GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", Rule::HostRepeated, 25),
        ("GET / HTTP/1.0\r\nHost: x\r\nhost: x\r\n\r\n", Rule::HostRepeated, 25),
    ];
    for (text, rule, offset) in cases {
        assert_eq!(request_error(text), Some((rule, offset)), "{text:?}");
    }
}

#[test]
fn hosts() {
    for host in ["x", "x:80", "", "a.b-c_d", "[::1]:80", "[fe80::1%25e]", "127.0.0.1"] {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(request_error(&text), None, "{host:?}");
    }
    for host in ["a b", "a,b", "u@h", "h/p", "h:8a", "h:123456", "[::1", "[]", "a\\b", "h?x", "h#x"]
    {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(request_error(&text), Some((Rule::HostMalformed, 16)), "{host:?}");
    }
}

#[test]
fn targets() {
    let good = [
        ("GET", "/"),
        ("GET", "//a/../b?c=%00|{}\"<>"),
        ("GET", "http://example.org/a"),
        ("GET", "https://[::1]:8/"),
        ("GET", "http://example.org"),
        ("OPTIONS", "*"),
        ("CONNECT", "example.org:443"),
        ("CONNECT", "[::1]:443"),
    ];
    for (method, target) in good {
        let text = format!("{method} {target} HTTP/1.1\r\n{HOST}\r\n");
        assert_eq!(request_error(&text), None, "{target:?}");
        assert!(RequestHead::new(method, target, Version::Http10, Headers::EMPTY).is_ok());
    }
    let bad = [
        ("CONNECT", "example.org"),
        ("CONNECT", "*"),
        ("GET", "a:80"),
        ("GET", "http:///a"),
        ("POST", "*"),
    ];
    for (method, target) in bad {
        let text = format!("{method} {target} HTTP/1.1\r\n{HOST}\r\n");
        let offset = method.len() as u64 + 1;
        assert_eq!(request_error(&text), Some((Rule::Target, offset)), "{target:?}");
        assert!(RequestHead::new(method, target, Version::Http10, Headers::EMPTY).is_err());
    }
    let head = RequestHead::new("GET", "http://h:1?q", Version::Http10, Headers::EMPTY).unwrap();
    assert_eq!((head.authority(), head.query()), (Some("h:1"), Some("q")));
    let head = RequestHead::new("GET", "/x://y", Version::Http10, Headers::EMPTY).unwrap();
    assert_eq!((head.authority(), head.path()), (None, "/x://y"));
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_refused() {
    let cases = [
        ("Content-Length: 1\r\nContent-Length: 2\r\n", Rule::ContentLengthRepeated),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Rule::ContentLengthRepeated),
        ("Content-Length: 1, 1\r\n", Rule::ContentLengthRepeated),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Rule::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", Rule::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: chunked, chunked\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: gzip, chunked\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: chunked, identity\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: identity\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: xchunked\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: \"chunked\"\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: chunked;q=1\r\n", Rule::TransferCoding),
        ("Transfer-Encoding:\r\n", Rule::TransferCoding),
        ("Transfer-Encoding:\x0bchunked\r\n", Rule::FieldValue),
        ("Content-Length: +1\r\n", Rule::ContentLength),
        ("Content-Length: -1\r\n", Rule::ContentLength),
        ("Content-Length: 0x1\r\n", Rule::ContentLength),
        ("Content-Length: 1 1\r\n", Rule::ContentLength),
        ("Content-Length: \r\n", Rule::ContentLength),
        ("Content-Length: 1_0\r\n", Rule::ContentLength),
        ("Content-Length: 18446744073709551616\r\n", Rule::ContentLength),
        ("Content-Length: 18446744073709551615\r\n", Rule::ContentTooLarge),
        ("Expect: 200-ok\r\n", Rule::Expectation),
    ];
    for (fields, rule) in cases {
        let text = format!("POST / HTTP/1.1\r\n{HOST}{fields}\r\n0\r\n\r\n");
        assert_eq!(request_error(&text).map(|(rule, _)| rule), Some(rule), "{fields:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(request_error(old).map(|(rule, _)| rule), Some(Rule::CodingNotAllowed));
    let connect = "CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(request_error(connect).map(|(rule, _)| rule), Some(Rule::ContentNotAllowed));
}

#[test]
fn connection_options() {
    let kept = |version: &str, fields: &str| {
        let text = format!("GET / HTTP/{version}\r\n{HOST}{fields}\r\n");
        let mut decoder = RequestDecoder::new();
        match decoder.decode(&mut text.as_bytes()) {
            Ok(Some(RequestEvent::Head(head))) => head.is_kept_alive(),
            other => panic!("{other:?}"),
        }
    };
    assert!(kept("1.1", ""));
    assert!(!kept("1.1", "Connection: Close\r\n"));
    assert!(!kept("1.1", "Connection: keep-alive\r\nConnection: x, close\r\n"));
    assert!(!kept("1.0", ""));
    assert!(kept("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!kept("1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn upgrade_and_expectation() {
    let head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut decoder = RequestDecoder::new();
    let Ok(Some(RequestEvent::Head(head))) = decoder.decode(&mut &head[..]) else { panic!() };
    assert!(head.is_upgrade());
    assert!(head.headers().has_element("connection", "upgrade"));

    let head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
    let mut decoder = RequestDecoder::new();
    let Ok(Some(RequestEvent::Head(head))) = decoder.decode(&mut &head[..]) else { panic!() };
    assert!(head.expects_continue());
}

#[test]
fn limits_of_heads() {
    let long = |count: usize| "a".repeat(count);
    let decode = |text: &str, limits: Limits| {
        let mut result = None;
        check_splits(text.as_bytes(), |parts| {
            let seen = requests(RequestDecoder::new().limits(limits), parts);
            result = seen.last().cloned();
            seen
        });
        match result {
            Some(Seen::Error(error)) => Some((error.rule, error.offset.unwrap())),
            _ => None,
        }
    };
    let limits = Limits { max_head: 64, max_fields: 3, max_content: 5, ..Limits::default() };
    let exact = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(37));
    assert_eq!(exact.len(), 64);
    assert_eq!(decode(&exact, limits), None);
    let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(80));
    assert_eq!(decode(&target, limits), Some((Rule::TargetTooLong, 64)));
    let fields = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", long(50));
    assert_eq!(decode(&fields, limits), Some((Rule::HeadTooLarge, 64)));
    let many = "GET / HTTP/1.1\r\nHost: x\r\na:\r\nb:\r\nc:\r\n\r\n";
    assert_eq!(decode(many, limits), Some((Rule::TooManyFields, 0)));
    let content = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n123456";
    assert_eq!(decode(content, limits).map(|(rule, _)| rule), Some(Rule::ContentTooLarge));
}

#[test]
fn a_stream_that_ends_in_a_message_is_cut_off() {
    let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    for length in 0..=text.len() {
        let seen = requests(RequestDecoder::new(), &[&text.as_bytes()[..length]]);
        let is_cut =
            matches!(seen.last(), Some(Seen::Error(error)) if error.rule == Rule::Truncated);
        assert_eq!(is_cut, length != 0 && length != text.len(), "{length}: {seen:?}");
    }
    assert_eq!(requests(RequestDecoder::new(), &[b"\r\n"]), []);
}

#[test]
fn what_follows_an_upgrade_is_left() {
    let input = b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n\x00raw";
    for cut in 0..input.len() - 4 {
        let mut decoder = RequestDecoder::new();
        assert_eq!(decoder.decode(&mut &input[..cut]).unwrap(), None);
        let mut rest = &input[cut..];
        assert!(matches!(decoder.decode(&mut rest), Ok(Some(RequestEvent::Head(_)))));
        assert_eq!(decoder.decode(&mut rest), Ok(Some(RequestEvent::End)));
        assert_eq!((rest, &*decoder.take_remainder()), (&b"\x00raw"[..], &b""[..]));
    }
}

/// Limits can change at any time, and nothing else does.
#[test]
fn limits_change_in_the_middle_of_a_request() {
    let small = Limits { max_head: 20, max_content: 5, ..Limits::default() };
    let mut decoder = RequestDecoder::new();
    assert_eq!(decoder.decode(&mut &b"GET / HTTP/1.1\r\nHost: x\r\nA: "[..]), Ok(None));
    let mut decoder = decoder.limits(small);
    let error = decoder.decode(&mut &b"b\r\n\r\n"[..]).unwrap_err();
    assert_eq!(error.rule, Rule::HeadTooLarge);

    for (length, rest, data) in [
        ("Content-Length: 10", "0123456789", "0123456789"),
        ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ] {
        let stream = format!("POST / HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n{rest}GET");
        let (first, rest) = stream.as_bytes().split_at(stream.len() - 8);
        let mut decoder = RequestDecoder::new();
        let mut seen = Vec::new();
        let mut ends = 0;
        for mut part in [first, rest] {
            while let Some(event) = decoder.decode(&mut part).unwrap() {
                match event {
                    RequestEvent::Data(data) => seen.extend_from_slice(data),
                    RequestEvent::End => ends += 1,
                    _ => {}
                }
            }
            // The content has begun, so that it is not refused for its length.
            decoder = decoder.limits(Limits { max_content: 5, ..Limits::default() });
        }
        assert_eq!((&seen[..], ends), (data.as_bytes(), 1), "{length}");
        assert_eq!(decoder.buffered(), b"GET");
    }
}

use super::*;
use crate::testing::check_splits;

fn end_of(method: &str, text: &str) -> Vec<Seen> {
    let mut result = Vec::new();
    check_splits(text.as_bytes(), |parts| {
        result = responses(ResponseDecoder::new(), method, parts);
        result.clone()
    });
    result
}

fn head(line: &str, list: &[(&str, &str)]) -> Seen {
    let field = |&(name, value): &(&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
    Seen::Head(line.to_owned(), list.iter().map(field).collect())
}

#[test]
fn which_responses_have_content() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let fields = [("Content-Length", "2")];
    let data = Seen::Data(b"hi".to_vec());
    let ok = || head("200 OK Http11", &fields);
    assert_eq!(end_of("GET", &format!("{length}hi")), [ok(), data.clone(), Seen::End]);
    assert_eq!(end_of("HEAD", length), [ok(), Seen::End]);
    assert_eq!(end_of("HEAD", &format!("{length}{length}")), [ok(), Seen::End, ok(), Seen::End]);
    let connect = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(end_of("CONNECT", connect), [ok(), Seen::End]);

    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n";
    let expected = [head("304 Not Modified Http11", &fields), Seen::End];
    assert_eq!(end_of("GET", not_modified), expected);
    let expected = [head("204  Http11", &[]), Seen::End];
    assert_eq!(end_of("GET", "HTTP/1.1 204 \r\n\r\n"), expected);
    assert_eq!(end_of("GET", "HTTP/1.1 204\r\n\r\n"), expected);

    let until_close = "HTTP/1.0 200 OK\r\n\r\nhi";
    assert_eq!(end_of("GET", until_close), [head("200 OK Http10", &[]), data, Seen::End]);
    let empty = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let expected = [head("200 OK Http11", &[("Connection", "close")]), Seen::End];
    assert_eq!(end_of("GET", empty), expected);
}

#[test]
fn interim_responses_come_before_the_last() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 None\r\n\r\n";
    let expected = [
        head("100 Continue Http11", &[]),
        head("103 Early Hints Http11", &[("Link", "</a>")]),
        head("204 None Http11", &[]),
        Seen::End,
    ];
    assert_eq!(end_of("POST", text), expected);
}

#[test]
fn a_tunnel_is_no_http() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(end_of("GET", switching).len(), 2);
    let raw = format!("{switching}\x00raw");
    assert_eq!(response_error("GET", &raw), Some((Rule::AfterUpgrade, switching.len() as u64)));
    let mut decoder = ResponseDecoder::new();
    let mut rest = raw.as_bytes();
    assert!(matches!(decoder.decode(&mut rest), Ok(Some(ResponseEvent::Head(_)))));
    assert_eq!(decoder.decode(&mut rest), Ok(Some(ResponseEvent::End)));
    assert_eq!(rest, b"\x00raw");
}

#[test]
fn every_rule_names_its_byte() {
    let cases = [
        ("HTTP/1.1 200 OK\n\r\n", Rule::BareLineFeed, 15),
        ("HTTP/1.1 200 O\rK\r\n\r\n", Rule::BareCarriageReturn, 14),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Rule::EmptyLine, 0),
        ("SSH-2.0-x\r\n", Rule::Version, 0),
        ("http/1.1 200 OK\r\n\r\n", Rule::Version, 0),
        ("HTTP/2.0 200 OK\r\n\r\n", Rule::UnsupportedVersion, 5),
        ("HTTP/1.1  200 OK\r\n\r\n", Rule::Status, 9),
        ("HTTP/1.1 20 OK\r\n\r\n", Rule::Status, 11),
        ("HTTP/1.1 2000 OK\r\n\r\n", Rule::Status, 12),
        ("HTTP/1.1 099 OK\r\n\r\n", Rule::Status, 12),
        ("HTTP/1.1 200 O\0K\r\n\r\n", Rule::Status, 14),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Rule::FieldName, 18),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Rule::ObsoleteFold, 23),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Rule::ContentLengthRepeated,
            36,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Rule::LengthAndCoding,
            36,
        ),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Rule::CodingNotAllowed, 45),
        ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", Rule::CodingNotAllowed, 45),
        ("HTTP/1.1 100 Go\r\nContent-Length: 1\r\n\r\n", Rule::ContentNotAllowed, 36),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", Rule::Truncated, 39),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", Rule::Truncated, 53),
    ];
    for (text, rule, offset) in cases {
        assert_eq!(response_error("GET", text), Some((rule, offset)), "{text:?}");
    }
}

#[test]
fn a_reason_may_be_any_text() {
    let text = b"HTTP/1.1 200 Tr\xe8s bien\t!\r\nContent-Length: 0\r\n\r\n";
    let mut decoder = ResponseDecoder::new();
    let Ok(Some(ResponseEvent::Head(head))) = decoder.decode(&mut &text[..]) else { panic!() };
    assert_eq!(head.reason(), b"Tr\xe8s bien\t!");
}

#[test]
fn content_until_the_close_is_limited() {
    let limits = Limits { max_content: 3, ..Limits::default() };
    let text = b"HTTP/1.1 200 OK\r\n\r\nhello";
    check_splits(text, |parts| {
        let seen = responses(ResponseDecoder::new().limits(limits), "GET", parts);
        let Some(Seen::Error(error)) = seen.last() else { panic!("{seen:?}") };
        assert_eq!((error.rule, error.offset), (Rule::ContentTooLarge, Some(19 + 3)));
    });
}

use super::*;
use crate::codec::Encoder;

#[test]
fn heads_that_would_be_two_are_refused() {
    let good =
        RequestHead::new("GET", "/", Version::Http11, Headers::new(&[("Host", b"x")]).unwrap());
    assert!(good.is_ok());
    for method in ["", "G T", "GET\r\n", "G\u{e9}T"] {
        let head = RequestHead::new(method, "/", Version::Http10, Headers::EMPTY);
        assert_eq!(head.unwrap_err().rule, Rule::Method);
    }
    for target in ["", "/ HTTP/1.1\r\nX: y", "/a b", "/\u{e9}", "/#a", "x"] {
        let head = RequestHead::new("GET", target, Version::Http10, Headers::EMPTY);
        assert_eq!(head.unwrap_err().rule, Rule::Target, "{target:?}");
    }
    for name in ["", "a:", "a b", "a\r\nb", "\u{e9}"] {
        assert_eq!(Headers::new(&[(name, b"")]).unwrap_err().rule, Rule::FieldName);
    }
    for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\r", b"a\0", b" a", b"a\t", b"\x7f"] {
        assert_eq!(Headers::new(&[("a", value)]).unwrap_err().rule, Rule::FieldValue);
    }
    let head = ResponseHead::new(200, Version::Http11, Headers::EMPTY).unwrap();
    assert!(head.with_reason(b"OK\r\nX: y").is_err());
    for status in [0, 99, 1000] {
        assert!(ResponseHead::new(status, Version::Http11, Headers::EMPTY).is_err());
    }
    let fields = [("Content-Length", &b"1"[..]), ("Transfer-Encoding", b"chunked")];
    let both = ResponseHead::new(200, Version::Http11, Headers::new(&fields).unwrap());
    assert_eq!(both.unwrap_err().rule, Rule::LengthAndCoding);
}

#[test]
fn parts_out_of_order_change_nothing() {
    let mut output = b"earlier".to_vec();
    let mut encoder = ResponseEncoder::new();
    let fields = [("Content-Length", &b"3"[..])];
    let head = ResponseHead::new(200, Version::Http11, Headers::new(&fields).unwrap()).unwrap();
    for event in
        [ResponseEvent::Data(b"x"), ResponseEvent::End, ResponseEvent::Trailers(Headers::EMPTY)]
    {
        assert_eq!(encoder.encode(&event, &mut output).unwrap_err().rule, Rule::Order);
    }
    assert_eq!(output, b"earlier");
    encoder.encode(&ResponseEvent::Head(head), &mut output).unwrap();
    let length = output.len();
    let refused = [
        (ResponseEvent::Head(head), Rule::Order),
        (ResponseEvent::Data(b"1234"), Rule::LengthMismatch),
        (ResponseEvent::Trailers(Headers::EMPTY), Rule::Order),
        (ResponseEvent::End, Rule::LengthMismatch),
    ];
    for (event, rule) in refused {
        assert_eq!(encoder.encode(&event, &mut output).unwrap_err().rule, rule);
    }
    assert_eq!(output.len(), length);
}

#[test]
fn content_only_where_it_may_be() {
    let request = |method| RequestHead::new(method, "/", Version::Http10, Headers::EMPTY).unwrap();
    let mut output = Vec::new();
    let mut encoder = ResponseEncoder::new();
    encoder.answers_to(&request("HEAD"));
    let fields = [("Content-Length", &b"3"[..])];
    let head = ResponseHead::new(200, Version::Http11, Headers::new(&fields).unwrap()).unwrap();
    encoder.encode(&ResponseEvent::Head(head), &mut output).unwrap();
    assert!(encoder.encode(&ResponseEvent::Data(b"abc"), &mut output).is_err());
    encoder.encode(&ResponseEvent::End, &mut output).unwrap();

    // No chunks towards HTTP/1.0.
    encoder.answers_to(&request("GET"));
    let fields = [("Transfer-Encoding", &b"chunked"[..])];
    let head = ResponseHead::new(200, Version::Http11, Headers::new(&fields).unwrap()).unwrap();
    let error = encoder.encode(&ResponseEvent::Head(head), &mut output).unwrap_err();
    assert_eq!(error.rule, Rule::CodingNotAllowed);

    // Until the close: nothing follows.
    let head = ResponseHead::new(200, Version::Http11, Headers::EMPTY).unwrap();
    encoder.encode(&ResponseEvent::Head(head), &mut output).unwrap();
    encoder.encode(&ResponseEvent::Data(b"abc"), &mut output).unwrap();
    encoder.encode(&ResponseEvent::End, &mut output).unwrap();
    assert!(encoder.is_until_close());
    assert!(encoder.encode(&ResponseEvent::Head(head), &mut output).is_err());
}

#[test]
fn chunks_of_any_size() {
    for size in [1_usize, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65536] {
        let mut output = Vec::new();
        super::super::body_encoder::write_chunk_size(size as u64, &mut output);
        assert_eq!(output, format!("{size:x}\r\n").as_bytes());
    }
    let mut output = Vec::new();
    super::super::body_encoder::write_chunk_size(u64::MAX, &mut output);
    assert_eq!(output, b"ffffffffffffffff\r\n");
}

#[test]
fn a_map_is_sent_as_it_is() {
    let mut map = http::HeaderMap::new();
    map.append("host", "x".parse().unwrap());
    map.append("a", "1".parse().unwrap());
    map.append("a", "2".parse().unwrap());
    let head =
        RequestHead::new("GET", "/", Version::Http11, Headers::from_map(&map).unwrap()).unwrap();
    assert_eq!(head.headers().get("A"), Some(&b"1"[..]));
    let mut output = Vec::new();
    RequestEncoder::new().encode(&RequestEvent::Head(head), &mut output).unwrap();
    assert_eq!(output, b"GET / HTTP/1.1\r\nhost: x\r\na: 1\r\na: 2\r\n\r\n");
    let mut decoder = RequestDecoder::new();
    let Ok(Some(RequestEvent::Head(head))) = decoder.decode(&mut &output[..]) else { panic!() };
    assert_eq!(head.headers().to_map(), map);
    map.insert("a", http::HeaderValue::from_bytes(b" x").unwrap());
    assert!(Headers::from_map(&map).is_err());
}

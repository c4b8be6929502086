//! HTTP/1.1: decoders against what they promise, encoders against decoders, heads against httparse, chunks against another
//! parser, and the server as a protocol.
//!
//! An input is a byte of options and the stream. Of the options, 1 stands for small limits; of responses, 2 says that they
//! answer HEAD and 4 CONNECT.
//!
//! # Differences from httparse
//! What it takes and we do not, each with its [`Rule`]: lines that end with a line feed alone, more than one empty line before
//! a request and any before a response, bytes from 0x80 on and `#` in targets, targets without a form that their method has, a
//! status below 100, and whatever fields say together. What we take, it takes.

mod chunks;

use wharf::Result;
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::http::{
    ChunkedDecoder, ChunkedEvent, Exchange, Headers, HttpHandler, HttpServer, Limits,
    RequestDecoder, RequestEncoder, RequestEvent, RequestHead, ResponseDecoder, ResponseEncoder,
    ResponseEvent, ResponseHead, Rule, Version,
};
use wharf_protocols::testing::{check_protocol, check_splits};

/// An event, out of the decoder's hands; data are put together.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Head(String, Fields),
    Data(Vec<u8>),
    Trailers(Fields),
    End,
    Error(Rule, Option<u64>),
}

type Fields = Vec<(String, Vec<u8>)>;

/// Requests. An input of no bytes tests nothing.
///
/// # Panics
/// If a promise does not hold.
pub fn requests(data: &[u8]) {
    let [options, stream @ ..] = data else { return };
    let limits = limits(*options);
    check_splits(stream, |parts| decode_requests(limits, parts));
    let whole = decode_requests(limits, &[stream]);
    if limits.max_head >= stream.len() {
        let mut fields = [httparse::EMPTY_HEADER; 256];
        let mut parsed = httparse::Request::new(&mut fields);
        let outcome = parsed.parse(stream);
        let parsed = outcome.map(|status| {
            let (method, path) = (parsed.method.unwrap_or(""), parsed.path.unwrap_or(""));
            status.is_complete().then(|| (format!("{method} {path}"), owned(parsed.headers)))
        });
        agrees(&whole, parsed);
    }

    // What is decoded can be sent, and is the same then.
    let mut decoder = RequestDecoder::new().limits(limits);
    let (mut encoder, mut encoded) = (RequestEncoder::new(), Vec::new());
    let mut rest = stream;
    while let Ok(Some(event)) = decoder.decode(&mut rest) {
        if let RequestEvent::Head(head) = event {
            assert_eq!(
                RequestHead::new(head.method(), head.target(), head.version(), head.headers()),
                Ok(head)
            );
        }
        encoder.encode(&event, &mut encoded).expect("what is decoded can be encoded");
    }
    let again = decode_requests(Limits::default(), &[&encoded]);
    assert_eq!(sound(again), sound(whole));
}

/// Responses, as [`requests`].
///
/// # Panics
/// If a promise does not hold.
pub fn responses(data: &[u8]) {
    let [options, stream @ ..] = data else { return };
    let limits = limits(*options);
    let method = match options & 6 {
        2 => "HEAD",
        4 => "CONNECT",
        _ => "GET",
    };
    check_splits(stream, |parts| decode_responses(limits, method, parts));
    let whole = decode_responses(limits, method, &[stream]);
    if limits.max_head >= stream.len() {
        let mut fields = [httparse::EMPTY_HEADER; 256];
        let mut parsed = httparse::Response::new(&mut fields);
        let outcome = parsed.parse(stream);
        let parsed = outcome.map(|status| {
            let code = parsed.code.unwrap_or(0);
            status.is_complete().then(|| (code.to_string(), owned(parsed.headers)))
        });
        agrees(&whole, parsed);
    }

    let mut decoder = ResponseDecoder::new().limits(limits);
    decoder.answers_to(method);
    let (mut encoder, mut encoded) = (ResponseEncoder::new(), Vec::new());
    let fields = [("Host", &b"h:1"[..])];
    let headers = Headers::new(&fields).expect("they can be sent");
    let target = if method == "CONNECT" { "h:1" } else { "/" };
    let request =
        RequestHead::new(method, target, Version::Http11, headers).expect("it is a request");
    encoder.answers_to(&request);
    let mut rest = stream;
    while let Ok(Some(event)) = decoder.decode(&mut rest) {
        let is_end = event == ResponseEvent::End;
        if let ResponseEvent::Head(head) = event {
            let again = ResponseHead::new(head.status(), head.version(), head.headers());
            assert!(again.and_then(|again| again.with_reason(head.reason().trim_ascii())).is_ok());
        }
        encoder.encode(&event, &mut encoded).expect("what is decoded can be encoded");
        if is_end {
            decoder.answers_to(method);
            encoder.answers_to(&request);
        }
    }
    let again = decode_responses(
        Limits { max_content: u64::MAX, ..Limits::default() },
        method,
        &[&encoded],
    );
    let without_ends = |seen: Vec<Seen>| {
        // The end of content that lasts until the close is the stream's.
        sound(seen).into_iter().filter(|seen| *seen != Seen::End).collect::<Vec<_>>()
    };
    assert_eq!(without_ends(again), without_ends(whole));
}

/// Chunked content.
///
/// # Panics
/// If a promise does not hold.
pub fn chunked(data: &[u8]) {
    let [options, stream @ ..] = data else { return };
    let limits = limits(*options);
    let decode = |parts: &[&[u8]]| {
        let mut decoder = ChunkedDecoder::new().limits(limits);
        let mut seen = Vec::new();
        for mut part in parts.iter().copied() {
            loop {
                match decoder.decode(&mut part) {
                    Ok(Some(ChunkedEvent::Data(data))) => see(&mut seen, Seen::Data(data.to_vec())),
                    Ok(Some(ChunkedEvent::Trailers(trailers))) => {
                        seen.push(Seen::Trailers(fields(trailers)))
                    }
                    Ok(Some(ChunkedEvent::End)) => seen.push(Seen::End),
                    Ok(None) => break,
                    Err(error) => {
                        seen.push(Seen::Error(error.rule, error.offset));
                        return seen;
                    }
                }
                assert!(decoder.buffered().len() <= limits.max_trailers);
            }
        }
        seen
    };
    check_splits(stream, |parts| decode(parts));
    let seen = decode(&[stream]);
    let (expected, is_sound) = chunks::decoded(stream);
    let data: Vec<u8> = seen
        .iter()
        .flat_map(|seen| if let Seen::Data(data) = seen { &data[..] } else { &[] })
        .copied()
        .collect();
    if let Some(Seen::Error(rule, _)) = seen.last() {
        let is_limit = matches!(
            rule,
            Rule::ContentTooLarge
                | Rule::ChunkExtensionsTooLarge
                | Rule::TrailersTooLarge
                | Rule::TooManyFields
        );
        assert!(!is_sound || is_limit, "{rule:?} is refused, the reference takes it");
    } else {
        assert!(is_sound);
        assert_eq!(data, expected);
    }
}

/// The server, with a handler that answers each request in its own way.
///
/// # Panics
/// If a promise does not hold.
pub fn server(data: &[u8]) {
    let [options, stream @ ..] = data else { return };
    let limits = limits(*options);
    let exchange = check_protocol(stream, || {
        let server = HttpServer::new().date(false).limits(limits);
        server.serve_with(Site::default)()
    });
    assert!(exchange.is_closed, "the client has ended its side");
    // Whatever the client sent, what it gets are answers.
    let answers = decode_responses(
        Limits { max_content: u64::MAX, ..Limits::default() },
        "GET",
        &[&exchange.sent],
    );
    assert!(
        !answers
            .iter()
            .any(|seen| matches!(seen, Seen::Error(rule, _) if *rule != Rule::Truncated)),
        "{answers:?}"
    );
}

/// Answers in some ways; never to HEAD, so that the answers can be told apart without the requests.
#[derive(Default)]
struct Site {
    received: usize,
}

impl HttpHandler for Site {
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        self.received = 0;
        match (request.method(), request.path()) {
            ("HEAD" | "CONNECT", _) => exchange.respond(204, &[], b"")?,
            (_, "/a") => exchange.respond(200, &[("A", b"b")], b"a")?,
            (_, "/close") => exchange.respond(200, &[("Connection", b"close")], b"")?,
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8], _: &mut Exchange<'_>) -> Result {
        self.received += data.len();
        Ok(())
    }

    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        exchange.begin(200, &[], None)?;
        exchange.write(self.received.to_string().as_bytes())?;
        exchange.finish_with(&[("Check", b"sum")])?;
        Ok(())
    }
}

fn limits(options: u8) -> Limits {
    match options & 1 {
        0 => Limits::default(),
        _ => Limits {
            max_head: 96,
            max_fields: 3,
            max_content: 9,
            max_chunk_extensions: 7,
            max_trailers: 20,
        },
    }
}

fn decode_requests(limits: Limits, parts: &[&[u8]]) -> Vec<Seen> {
    let mut decoder = RequestDecoder::new().limits(limits);
    let mut seen = Vec::new();
    for mut part in parts.iter().copied() {
        loop {
            match decoder.decode(&mut part) {
                Ok(Some(event)) => see(&mut seen, of_request(event)),
                Ok(None) => break,
                Err(error) => {
                    seen.push(Seen::Error(error.rule, error.offset));
                    return seen;
                }
            }
        }
        assert!(part.is_empty());
        assert!(decoder.buffer_capacity() <= limits.max_head.max(limits.max_trailers));
    }
    match decoder.finish() {
        Ok(Some(event)) => see(&mut seen, of_request(event)),
        Ok(None) => {}
        Err(error) => seen.push(Seen::Error(error.rule, error.offset)),
    }
    seen
}

fn decode_responses(limits: Limits, method: &str, parts: &[&[u8]]) -> Vec<Seen> {
    let mut decoder = ResponseDecoder::new().limits(limits);
    decoder.answers_to(method);
    let mut seen = Vec::new();
    for mut part in parts.iter().copied() {
        loop {
            match decoder.decode(&mut part) {
                Ok(Some(event)) => {
                    see(&mut seen, of_response(event));
                    if seen.last() == Some(&Seen::End) {
                        decoder.answers_to(method);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    seen.push(Seen::Error(error.rule, error.offset));
                    return seen;
                }
            }
        }
        assert!(part.is_empty());
        assert!(decoder.buffer_capacity() <= limits.max_head.max(limits.max_trailers));
    }
    match decoder.finish() {
        Ok(Some(event)) => see(&mut seen, of_response(event)),
        Ok(None) => {}
        Err(error) => seen.push(Seen::Error(error.rule, error.offset)),
    }
    seen
}

/// The first head is what httparse has it for, and what httparse refuses is refused.
fn agrees(seen: &[Seen], parsed: Result<Option<(String, Fields)>, httparse::Error>) {
    match (seen.first(), parsed) {
        (Some(Seen::Head(line, fields)), Ok(Some((expected, expected_fields)))) => {
            assert!(line.starts_with(&expected), "{line} and {expected}");
            assert_eq!(fields, &expected_fields);
        }
        (Some(Seen::Head(line, _)), other) => panic!("{line} is taken; httparse says {other:?}"),
        (Some(Seen::Error(rule, _)), Ok(Some(_))) => {
            assert!(is_known_difference(*rule), "{rule:?}")
        }
        _ => {}
    }
}

/// Rules that httparse does not know.
fn is_known_difference(rule: Rule) -> bool {
    use Rule::*;
    !matches!(
        rule,
        Method
            | FieldName
            | FieldValue
            | ObsoleteFold
            | Version
            | UnsupportedVersion
            | HeadTooLarge
            | TargetTooLong
    )
}

fn owned(fields: &[httparse::Header<'_>]) -> Fields {
    fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect()
}

fn sound(seen: Vec<Seen>) -> Vec<Seen> {
    seen.into_iter().filter(|seen| !matches!(seen, Seen::Error(..))).collect()
}

fn fields(headers: Headers<'_>) -> Fields {
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn see(seen: &mut Vec<Seen>, event: Seen) {
    match (seen.last_mut(), event) {
        (Some(Seen::Data(before)), Seen::Data(data)) => before.extend(data),
        (_, event) => seen.push(event),
    }
}

fn of_request(event: RequestEvent<'_>) -> Seen {
    match event {
        RequestEvent::Head(head) => Seen::Head(
            format!("{} {} {:?}", head.method(), head.target(), head.version()),
            fields(head.headers()),
        ),
        RequestEvent::Data(data) => Seen::Data(data.to_vec()),
        RequestEvent::Trailers(trailers) => Seen::Trailers(fields(trailers)),
        RequestEvent::End => Seen::End,
    }
}

fn of_response(event: ResponseEvent<'_>) -> Seen {
    match event {
        ResponseEvent::Head(head) => Seen::Head(
            format!("{} {:?} {:?}", head.status(), head.reason(), head.version()),
            fields(head.headers()),
        ),
        ResponseEvent::Data(data) => Seen::Data(data.to_vec()),
        ResponseEvent::Trailers(trailers) => Seen::Trailers(fields(trailers)),
        ResponseEvent::End => Seen::End,
    }
}

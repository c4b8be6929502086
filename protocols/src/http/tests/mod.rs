//! Tests of the codec.

mod chunked;
mod costs;
mod encode;
mod properties;
mod reference;
mod reports;
mod reports_client;
mod reports_server;
mod request;
mod response;

use super::*;
use crate::codec::Decoder;

/// One event or error, out of the decoder's hands. Data are put together.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Head(String, Vec<(String, Vec<u8>)>),
    Data(Vec<u8>),
    Trailers(Vec<(String, Vec<u8>)>),
    End,
    Error(HttpError),
}

fn fields(headers: Headers<'_>) -> Vec<(String, Vec<u8>)> {
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
            format!("{} {} {:?}", head.status(), head.reason().escape_ascii(), head.version()),
            fields(head.headers()),
        ),
        ResponseEvent::Data(data) => Seen::Data(data.to_vec()),
        ResponseEvent::Trailers(trailers) => Seen::Trailers(fields(trailers)),
        ResponseEvent::End => Seen::End,
    }
}

/// Decodes all parts and the end of the stream.
fn requests(mut decoder: RequestDecoder, parts: &[&[u8]]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for mut part in parts.iter().copied() {
        loop {
            match decoder.decode(&mut part) {
                Ok(Some(event)) => see(&mut seen, of_request(event)),
                Ok(None) => break,
                Err(error) => {
                    seen.push(Seen::Error(error));
                    assert_eq!(decoder.decode(&mut &b"GET"[..]), Err(error));
                    return seen;
                }
            }
        }
        assert!(part.is_empty());
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => see(&mut seen, of_request(event)),
            Ok(None) => return seen,
            Err(error) => {
                seen.push(Seen::Error(error));
                return seen;
            }
        }
    }
}

/// Decodes all parts and the end of the stream, as answers to `method`.
fn responses(mut decoder: ResponseDecoder, method: &str, parts: &[&[u8]]) -> Vec<Seen> {
    let mut seen = Vec::new();
    decoder.answers_to(method);
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
                    seen.push(Seen::Error(error));
                    return seen;
                }
            }
        }
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => see(&mut seen, of_response(event)),
            Ok(None) => return seen,
            Err(error) => {
                seen.push(Seen::Error(error));
                return seen;
            }
        }
    }
}

fn request_error(text: &str) -> Option<(Rule, u64)> {
    let mut result = None;
    crate::testing::check_splits(text.as_bytes(), |parts| {
        let seen = requests(RequestDecoder::new(), parts);
        result = match seen.last() {
            Some(Seen::Error(error)) => Some((error.rule, error.offset.unwrap())),
            _ => None,
        };
        seen
    });
    result
}

fn response_error(method: &str, text: &str) -> Option<(Rule, u64)> {
    let mut result = None;
    crate::testing::check_splits(text.as_bytes(), |parts| {
        let seen = responses(ResponseDecoder::new(), method, parts);
        result = match seen.last() {
            Some(Seen::Error(error)) => Some((error.rule, error.offset.unwrap())),
            _ => None,
        };
        seen
    });
    result
}

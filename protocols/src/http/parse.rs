//! Heads and trailers, by httparse, and what it leaves to others.

use std::mem::MaybeUninit;

use super::chars::is_target;
use super::facts::{Facts, is_forbidden_trailer, is_target_for};
use super::limits::MOST_FIELDS;
use super::{Headers, HttpError, RequestHead, ResponseHead, Rule, Version, diagnose};

/// Parses the head of a request. `head` ends with its empty line, and each of its lines with CR and LF, but for which
/// nothing of it was looked at. Offsets in errors count from its beginning.
pub(super) fn request(head: &[u8], max_fields: usize) -> Result<RequestHead<'_>, HttpError> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let fields = &mut fields[..max_fields.min(MOST_FIELDS)];
    let outcome = parsed.parse_with_uninit_headers(head, fields);
    let (Ok(httparse::Status::Complete(length)), Some(method), Some(target)) =
        (outcome, parsed.method, parsed.path)
    else {
        return Err(refused(diagnose::request(head), outcome, head));
    };
    debug_assert_eq!(length, head.len());

    if !target.bytes().all(is_target) || !is_target_for(method, target) {
        diagnose::request(head)?;
        return Err(HttpError::at(Rule::Target, offset_in(head, target.as_bytes())));
    }
    let version = Version::of(parsed.version);
    let mut facts = Facts::default();
    for field in &*parsed.headers {
        facts
            .add_of_request(field.name.as_bytes(), field.value)
            .map_err(|rule| HttpError::at(rule, offset_in(head, field.name.as_bytes())))?;
    }
    let lines = lines(head, parsed.headers);
    let fields = (head.len() - 2) as u64;
    facts.check_request(method, version).map_err(|rule| HttpError::at(rule, fields))?;
    let target = target.as_bytes();
    Ok(RequestHead { method, target, version, headers: Headers::lines(lines), facts })
}

/// Parses the head of a response, as [`request`].
pub(super) fn response(head: &[u8], max_fields: usize) -> Result<ResponseHead<'_>, HttpError> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let fields = &mut fields[..max_fields.min(MOST_FIELDS)];
    let config = httparse::ParserConfig::default();
    let outcome = config.parse_response_with_uninit_headers(&mut parsed, head, fields);
    let (Ok(httparse::Status::Complete(length)), Some(status @ 100..)) = (outcome, parsed.code)
    else {
        return Err(refused(diagnose::response(head), outcome, head));
    };
    debug_assert_eq!(length, head.len());

    let version = Version::of(parsed.version);
    let mut facts = Facts::default();
    for field in &*parsed.headers {
        facts
            .add(field.name.as_bytes(), field.value)
            .map_err(|rule| HttpError::at(rule, offset_in(head, field.name.as_bytes())))?;
    }
    let lines = lines(head, parsed.headers);
    let fields = (head.len() - 2) as u64;
    facts.check_response(status, version).map_err(|rule| HttpError::at(rule, fields))?;
    let line_end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    // As it was sent: httparse has no reason with bytes from 0x80 on.
    let reason = head.get("HTTP/1.1 200 ".len()..line_end).unwrap_or_default();
    Ok(ResponseHead { version, status, reason, headers: Headers::lines(lines), facts })
}

/// Parses a trailer section, which ends with its empty line.
pub(super) fn trailers(section: &[u8], max_fields: usize) -> Result<Headers<'_>, HttpError> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let fields = &mut fields[..max_fields.min(MOST_FIELDS)];
    let outcome = httparse::parse_headers(section, fields);
    let Ok(httparse::Status::Complete((_, fields))) = outcome else {
        let outcome = outcome.map(|_| httparse::Status::Partial);
        return Err(refused(diagnose::fields(section, 0), outcome, section));
    };
    if let Some(field) = fields.iter().find(|field| is_forbidden_trailer(field.name.as_bytes())) {
        let offset = offset_in(section, field.name.as_bytes());
        return Err(HttpError::at(Rule::TrailerNotAllowed, offset));
    }
    Ok(Headers::lines(&section[..section.len() - 2]))
}

/// The error for what httparse does not take.
#[cold]
fn refused(
    diagnosis: Result<(), HttpError>,
    outcome: httparse::Result<usize>,
    text: &[u8],
) -> HttpError {
    match (diagnosis, outcome) {
        (_, Err(httparse::Error::TooManyHeaders)) => HttpError::at(Rule::TooManyFields, 0),
        (Err(error), _) => error,
        // Not reached while both go by the same grammar.
        (Ok(()), Err(httparse::Error::Status)) => HttpError::at(Rule::Status, 0),
        (Ok(()), _) => HttpError::at(Rule::FieldName, text.len() as u64),
    }
}

/// The field lines of a head, without the empty one behind them.
fn lines<'a>(head: &'a [u8], fields: &[httparse::Header<'a>]) -> &'a [u8] {
    match fields.first() {
        Some(first) => &head[offset_in(head, first.name.as_bytes()) as usize..head.len() - 2],
        None => &[],
    }
}

/// Where in `whole` its part begins.
fn offset_in(whole: &[u8], part: &[u8]) -> u64 {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize).min(whole.len()) as u64
}

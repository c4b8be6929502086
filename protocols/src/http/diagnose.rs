//! Says where a head breaks which rule, slowly: httparse only says that it does.
//!
//! It is a parser of its own, by the grammar of RFC 9112. The tests hold it against httparse.

use super::chars::is_target;
use super::{HttpError, Rule};
use crate::field_syntax::{is_token, is_value};

/// The first fault of a request's head, which ends with its empty line.
pub(super) fn request(head: &[u8]) -> Result<(), HttpError> {
    let (line, fields) = first_line(head);
    if let Some(at) = bare_carriage_return(line) {
        return Err(at);
    }
    let method = line.iter().position(|&byte| !is_token(byte)).unwrap_or(line.len());
    if method == 0 || line.get(method) != Some(&b' ') {
        return fault(Rule::Method, method);
    }
    let rest = &line[method + 1..];
    let target = rest.iter().position(|&byte| !is_target(byte)).unwrap_or(rest.len());
    if target == 0 || rest.get(target) != Some(&b' ') {
        return fault(Rule::Target, method + 1 + target);
    }
    version(&line[method + target + 2..], method + target + 2)?;
    self::fields(&head[fields..], fields)
}

/// The first fault of a response's head, which ends with its empty line.
pub(super) fn response(head: &[u8]) -> Result<(), HttpError> {
    let (line, fields) = first_line(head);
    if let Some(at) = bare_carriage_return(line) {
        return Err(at);
    }
    let version_end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    version(&line[..version_end], 0)?;
    let status = line.get(version_end + 1..).unwrap_or_default();
    let digits = status.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits != 3 || status[0] == b'0' || !matches!(status.get(3), None | Some(b' ')) {
        return fault(Rule::Status, version_end + 1 + digits.min(3));
    }
    if let Some(at) = status.iter().position(|&byte| !is_value(byte)) {
        return fault(Rule::Status, version_end + 1 + at);
    }
    self::fields(&head[fields..], fields)
}

/// The first fault of field lines and the empty line behind them; `offset` is where they begin.
pub(super) fn fields(mut lines: &[u8], mut offset: usize) -> Result<(), HttpError> {
    loop {
        let (line, next) = first_line(lines);
        if line.is_empty() {
            return Ok(());
        }
        if let Err(error) = field(line) {
            return Err(error.moved_by(offset as u64));
        }
        offset += next;
        lines = &lines[next..];
    }
}

fn field(line: &[u8]) -> Result<(), HttpError> {
    if matches!(line[0], b' ' | b'\t') {
        return fault(Rule::ObsoleteFold, 0);
    }
    if let Some(at) = bare_carriage_return(line) {
        return Err(at);
    }
    let name = line.iter().position(|&byte| !is_token(byte)).unwrap_or(line.len());
    if name == 0 || line.get(name) != Some(&b':') {
        return fault(Rule::FieldName, name);
    }
    match line[name + 1..].iter().position(|&byte| !is_value(byte)) {
        Some(at) => fault(Rule::FieldValue, name + 1 + at),
        None => Ok(()),
    }
}

fn version(text: &[u8], offset: usize) -> Result<(), HttpError> {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            fault(Rule::UnsupportedVersion, offset + 5)
        }
        _ => fault(Rule::Version, offset),
    }
}

/// The first line without its end, and where the next one begins.
fn first_line(text: &[u8]) -> (&[u8], usize) {
    match memchr::memchr(b'\n', text) {
        Some(end) => (text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]), end + 1),
        None => (text, text.len()),
    }
}

fn bare_carriage_return(line: &[u8]) -> Option<HttpError> {
    let at = memchr::memchr(b'\r', line)?;
    Some(HttpError::at(Rule::BareCarriageReturn, at as u64))
}

fn fault(rule: Rule, at: usize) -> Result<(), HttpError> {
    Err(HttpError::at(rule, at as u64))
}

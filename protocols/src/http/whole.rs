//! Heads of requests that lie whole in the input, in one pass: most are, and follow all rules.
//!
//! It takes no more than [`parse`](super::parse) takes, and the tests hold it against that. It leaves out what is rare, and
//! says nothing about what is wrong.

use super::chars::target_length;
use super::facts::Facts;
use super::limits::MOST_FIELDS;
use super::{Headers, RequestHead, Version};
use crate::field_syntax::{token_length, trimmed, value_length};

/// The head that `input` begins with, and its length. `None` if its end is not there, if it breaks a rule, or if it is one of
/// those that this leaves out: with another method or form of target than the usual ones, or behind an empty line.
#[inline]
pub(super) fn request(input: &[u8], max_fields: usize) -> Option<(RequestHead<'_>, usize)> {
    let (method, rest) = method(input)?;
    let (target, rest) = rest.split_at(target_length(rest));
    if target.first() != Some(&b'/') {
        return None;
    }
    let (version, lines) = version(rest)?;
    let mut facts = Facts::default();
    let mut rest = lines;
    let mut room = max_fields.min(MOST_FIELDS);
    let (lines, rest) = loop {
        if let [b'\r', b'\n', after @ ..] = rest {
            break (&lines[..lines.len() - rest.len()], after);
        }
        room = room.checked_sub(1)?;
        let (name, value, after) = field(rest)?;
        facts.add_of_request(name, value).ok()?;
        rest = after;
    };
    facts.check_request(method, version).ok()?;
    let head = RequestHead { method, target, version, headers: Headers::lines(lines), facts };
    Some((head, input.len() - rest.len()))
}

/// The method, and what is behind it and a space. The target of CONNECT has a form of its own.
#[inline]
fn method(input: &[u8]) -> Option<(&'static str, &[u8])> {
    Some(match input {
        [b'G', b'E', b'T', b' ', rest @ ..] => ("GET", rest),
        [b'P', b'O', b'S', b'T', b' ', rest @ ..] => ("POST", rest),
        [b'P', b'U', b'T', b' ', rest @ ..] => ("PUT", rest),
        [b'H', b'E', b'A', b'D', b' ', rest @ ..] => ("HEAD", rest),
        [b'P', b'A', b'T', b'C', b'H', b' ', rest @ ..] => ("PATCH", rest),
        [b'D', b'E', b'L', b'E', b'T', b'E', b' ', rest @ ..] => ("DELETE", rest),
        [b'O', b'P', b'T', b'I', b'O', b'N', b'S', b' ', rest @ ..] => ("OPTIONS", rest),
        _ => return None,
    })
}

/// The version between a space and the end of its line, and what is behind that.
#[inline]
fn version(input: &[u8]) -> Option<(Version, &[u8])> {
    let (version, rest) = input.split_first_chunk::<11>()?;
    match version {
        b" HTTP/1.1\r\n" => Some((Version::Http11, rest)),
        b" HTTP/1.0\r\n" => Some((Version::Http10, rest)),
        _ => None,
    }
}

/// Name and value of the field whose line `input` begins with, and what is behind that.
#[inline]
fn field(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = input.split_at(token_length(input));
    let [b':', rest @ ..] = rest else { return None };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (value, rest) = rest.split_at(value_length(rest));
    match rest {
        [b'\r', b'\n', after @ ..] if !name.is_empty() => Some((name, trimmed(value), after)),
        _ => None,
    }
}

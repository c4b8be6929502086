//! Headers of messages: `NATS/1.0`, lines, and an empty line (ADR-4).

use std::fmt;

use super::{CodecError, Rule};

const VERSION: &[u8] = b"NATS/1.0";

/// Headers of a message to send.
///
/// Names are case-sensitive, as in all clients, and a name may come several times.
///
/// ```
/// use wharf_protocols::nats::codec::{CodecError, Headers};
///
/// # fn main() -> Result<(), CodecError> {
/// let mut headers = Headers::new();
/// headers.append("Nats-Msg-Id", "7")?;
/// headers.append("Trace", "a")?;
/// headers.append("Trace", "b")?;
/// assert_eq!(headers.as_bytes(), b"NATS/1.0\r\nNats-Msg-Id: 7\r\nTrace: a\r\nTrace: b\r\n\r\n");
/// assert!(headers.append("X", "1\r\nNats-Msg-Id: 8").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    /// As they are sent.
    block: Vec<u8>,
}

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self { block: [VERSION, b"\r\n\r\n"].concat() }
    }

    /// Adds a header, whether or not there is one of this name.
    ///
    /// # Errors
    /// [`Rule::HeaderName`] for a name that is empty, not printable ASCII, or has a colon; [`Rule::HeaderValue`] for a
    /// value with a line end, or with spaces at its beginning or end, which receivers strip. Nothing is added then.
    pub fn append(&mut self, name: &str, value: &str) -> Result<&mut Self, CodecError> {
        check_name(name.as_bytes())?;
        check_value(value.as_bytes())?;
        self.block.truncate(self.block.len() - 2);
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n\r\n"] {
            self.block.extend_from_slice(part);
        }
        Ok(self)
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.parsed().get(name)?;
        Some(std::str::from_utf8(value).expect("values are added as text"))
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.block.len() == VERSION.len() + 4
    }

    /// The headers as they are sent, from `NATS/1.0` to the empty line.
    pub fn as_bytes(&self) -> &[u8] {
        &self.block
    }

    fn parsed(&self) -> HeaderBlock<'_> {
        HeaderBlock::parse(&self.block).expect("only checked lines were added")
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.parsed(), formatter)
    }
}

/// Headers of a message that was received: borrowed, and taken apart as they are asked for.
///
/// A server passes on what a publisher wrote without looking at it, so these may be malformed while the stream is in
/// order. Parsing is a step of its own for that reason: one bad message is one bad message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderBlock<'a> {
    status: Option<u16>,
    description: &'a [u8],
    /// All lines, each with its end.
    lines: &'a [u8],
}

impl<'a> HeaderBlock<'a> {
    /// Takes headers apart, from `NATS/1.0` to the empty line.
    ///
    /// # Errors
    /// [`Rule::Headers`], [`Rule::HeaderName`] or [`Rule::HeaderValue`], with the offset in `block`.
    pub fn parse(block: &'a [u8]) -> Result<Self, CodecError> {
        let first = line_at(block, 0).ok_or(CodecError::new(0, Rule::Headers))?;
        let rest = first.strip_prefix(VERSION).ok_or(CodecError::new(0, Rule::Headers))?;
        let (status, description) = status(rest)?;
        let begin = first.len() + 2;
        let mut at = begin;
        loop {
            let line = line_at(block, at).ok_or(CodecError::new(at, Rule::Headers))?;
            if line.is_empty() {
                break;
            }
            let colon = memchr::memchr(b':', line).ok_or(CodecError::new(at, Rule::Headers))?;
            check_name(&line[..colon]).map_err(|error| error.moved(at as u64))?;
            at += line.len() + 2;
        }
        if at + 2 != block.len() {
            return Err(CodecError::new(at + 2, Rule::Headers));
        }
        Ok(Self { status, description, lines: &block[begin..at] })
    }

    /// The status that a server tells with, such as 503 for "no responders".
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The text behind the status; empty if there is none.
    pub fn description(&self) -> &'a [u8] {
        self.description
    }

    /// The first value of this name, which is case-sensitive.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(other, _)| *other == name.as_bytes()).map(|(_, value)| value)
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let line = line_at(rest, 0)?;
            rest = &rest[line.len() + 2..];
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], trim(&line[colon + 1..])))
        })
    }
}

impl fmt::Debug for HeaderBlock<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut map = formatter.debug_map();
        if let Some(status) = self.status {
            map.entry(&status, &text(self.description));
        }
        map.entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// Checks headers that are to be sent: what a receiver would take apart differently is refused.
pub(super) fn check_block(block: &[u8]) -> Result<(), CodecError> {
    let parsed = HeaderBlock::parse(block)?;
    let begin = block.len() - 2 - parsed.lines.len();
    for (_, value) in parsed.iter() {
        // `parse` has found each line's end; only a bare one can be left.
        check_value(value).map_err(|error| error.moved(begin as u64))?;
    }
    check_value(parsed.description)
}

/// The line that begins at `start`, without its end; `None` if it has none, or a bare `\r` or `\n` in it.
fn line_at(block: &[u8], start: usize) -> Option<&[u8]> {
    let rest = &block[start..];
    let end = memchr::memchr2(b'\r', b'\n', rest)?;
    if rest[end..].starts_with(b"\r\n") { Some(&rest[..end]) } else { None }
}

/// What stands behind the version: nothing, or a status of three digits and perhaps a text.
fn status(rest: &[u8]) -> Result<(Option<u16>, &[u8]), CodecError> {
    let text = trim(rest);
    if text.is_empty() {
        return Ok((None, text));
    }
    let is_apart = rest[0] == b' ' || rest[0] == b'\t';
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, description) = text.split_at(digits);
    let is_ended = description.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if !is_apart || digits != 3 || !is_ended {
        return Err(CodecError::new(VERSION.len(), Rule::Headers));
    }
    let number = number.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Ok((Some(number), trim(description)))
}

fn check_name(name: &[u8]) -> Result<(), CodecError> {
    if name.is_empty() {
        return Err(CodecError::new(0, Rule::HeaderName));
    }
    match name.iter().position(|&byte| !byte.is_ascii_graphic() || byte == b':') {
        Some(at) => Err(CodecError::new(at, Rule::HeaderName)),
        None => Ok(()),
    }
}

fn check_value(value: &[u8]) -> Result<(), CodecError> {
    if let Some(at) = memchr::memchr2(b'\r', b'\n', value) {
        return Err(CodecError::new(at, Rule::HeaderValue));
    }
    let trimmed = trim(value);
    if trimmed.len() < value.len() {
        let is_first = matches!(value[0], b' ' | b'\t');
        return Err(CodecError::new(if is_first { 0 } else { trimmed.len() }, Rule::HeaderValue));
    }
    Ok(())
}

/// Without spaces and tabs at the ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(block: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let block = HeaderBlock::parse(block).unwrap();
        block.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn lines_are_taken_apart() {
        let block = b"NATS/1.0\r\nA:1\r\nB:  two words \r\nA: \r\n\r\n";
        let expected = [("A", "1"), ("B", "two words"), ("A", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(block), expected);
        let block = HeaderBlock::parse(block).unwrap();
        assert_eq!(block.get("A"), Some(&b"1"[..]));
        assert_eq!(block.get("a"), None);
        assert_eq!(block.status(), None);
    }

    #[test]
    fn statuses() {
        let block = HeaderBlock::parse(b"NATS/1.0 503\r\n\r\n").unwrap();
        assert_eq!((block.status(), block.description()), (Some(503), &b""[..]));
        let block = HeaderBlock::parse(b"NATS/1.0 100 Idle Heartbeat\r\nX: 1\r\n\r\n").unwrap();
        assert_eq!((block.status(), block.description()), (Some(100), &b"Idle Heartbeat"[..]));
        assert_eq!(block.get("X"), Some(&b"1"[..]));
        for bad in ["NATS/1.0503", "NATS/1.0 5", "NATS/1.0 5034", "NATS/1.0 50x", "NATS/1.0 abc"] {
            assert!(HeaderBlock::parse(format!("{bad}\r\n\r\n").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn malformed_blocks() {
        for (block, offset, rule) in [
            ("", 0, Rule::Headers),
            ("NATS/2.0\r\n\r\n", 0, Rule::Headers),
            ("NATS/1.0\r\n", 10, Rule::Headers),
            ("NATS/1.0\r\nno colon\r\n\r\n", 10, Rule::Headers),
            ("NATS/1.0\r\n: v\r\n\r\n", 10, Rule::HeaderName),
            ("NATS/1.0\r\na b: v\r\n\r\n", 11, Rule::HeaderName),
            ("NATS/1.0\r\nA: 1\nB: 2\r\n\r\n", 10, Rule::Headers),
            ("NATS/1.0\r\nA: 1\r\n\r\nmore", 18, Rule::Headers),
        ] {
            let error = HeaderBlock::parse(block.as_bytes()).unwrap_err();
            assert_eq!(error, CodecError { offset, rule }, "{block:?}");
        }
    }

    #[test]
    fn nothing_can_be_injected() {
        let mut headers = Headers::new();
        for value in ["a\r\nB: c", "a\n", "a\r", "\r\n\r\nPUB x 0\r\n", " a", "a\t"] {
            assert_eq!(
                headers.append("A", value).unwrap_err().rule,
                Rule::HeaderValue,
                "{value:?}"
            );
        }
        for name in ["", "a b", "a:b", "a\r\nb", "ä", "\x7f"] {
            assert_eq!(headers.append(name, "v").unwrap_err().rule, Rule::HeaderName, "{name:?}");
        }
        assert!(headers.is_empty());
        assert_eq!(headers, Headers::default());
        headers.append("A", "größer").unwrap();
        assert_eq!(headers.get("A"), Some("größer"));
        assert_eq!(format!("{headers:?}"), r#"{"A": "größer"}"#);
    }
}

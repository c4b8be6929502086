//! The body of a refusal, as much of it as is worth telling.

use std::mem;

use super::{MAX_REFUSAL_BODY, UpgradeResponse};

/// Reads a body up to its end, or to [`MAX_REFUSAL_BODY`]. It is told to people, so that one that is not framed as it
/// should be ends where that shows, and is no error of its own.
#[derive(Debug)]
pub(super) struct RefusalBody {
    bytes: Vec<u8>,
    state: State,
}

/// What comes next (RFC 9112, 6.3).
#[derive(Debug)]
enum State {
    /// Bytes to the end of the stream.
    ToTheEnd,
    /// That many bytes of a body with a length.
    Length(u64),
    /// The line with a chunk's length: its digits so far, and whether the rest of the line is passed over.
    ChunkLine {
        length: Option<u64>,
        is_over: bool,
    },
    /// That many bytes of a chunk, with the line end behind it.
    Chunk(u64),
    Ended,
}

impl RefusalBody {
    pub(super) fn of(response: &UpgradeResponse) -> Self {
        let fields = response.fields();
        let length = fields.get("Content-Length").map(str::parse::<u64>);
        let state = match (response.status(), length) {
            (204 | 304, _) => State::Ended,
            _ if fields.lists("Transfer-Encoding", "chunked") => State::CHUNK_LINE,
            (_, Some(Ok(0))) => State::Ended,
            (_, Some(Ok(length))) => State::Length(length),
            _ => State::ToTheEnd,
        };
        Self { bytes: Vec::new(), state }
    }

    /// Takes what belongs to the body out of the input. `true`: it is whole, or enough.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> bool {
        loop {
            if self.bytes.len() == MAX_REFUSAL_BODY || matches!(self.state, State::Ended) {
                return true;
            }
            let Some((&byte, rest)) = input.split_first() else { return false };
            match &mut self.state {
                State::ToTheEnd => {
                    self.take(input, u64::MAX);
                }
                State::Length(left) => {
                    let left = *left;
                    let left = left - self.take(input, left);
                    self.state = if left == 0 { State::Ended } else { State::Length(left) };
                }
                State::Chunk(left) => {
                    let left = *left;
                    if left > 2 {
                        let left = left - self.take(input, left - 2);
                        self.state = State::Chunk(left);
                    } else {
                        // Of the line end.
                        *input = rest;
                        self.state = if left == 2 { State::Chunk(1) } else { State::CHUNK_LINE };
                    }
                }
                State::ChunkLine { length, is_over } => {
                    *input = rest;
                    let digit = char::from(byte).to_digit(16).map(u64::from);
                    match (byte, digit) {
                        (b'\n', _) => {
                            self.state = match length.unwrap_or(0).checked_add(2) {
                                None | Some(2) => State::Ended,
                                Some(length) => State::Chunk(length),
                            };
                        }
                        (_, Some(digit)) if !*is_over => {
                            *length = Some(length.unwrap_or(0).saturating_mul(16) | digit);
                        }
                        _ => *is_over = true,
                    }
                }
                State::Ended => return true,
            }
        }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// Takes at most `most` bytes, and as many as there is room for.
    fn take(&mut self, input: &mut &[u8], most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = input.len().min(most).min(MAX_REFUSAL_BODY - self.bytes.len());
        let (taken, rest) = input.split_at(count);
        self.bytes.extend_from_slice(taken);
        *input = rest;
        count as u64
    }
}

impl State {
    const CHUNK_LINE: Self = Self::ChunkLine { length: None, is_over: false };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_splits;

    fn read(status: u16, field: (&str, &str), stream: &[u8]) -> (String, bool) {
        let read = |parts: &[&[u8]]| {
            let fields = [(field.0, field.1.as_bytes())];
            let response = UpgradeResponse::from_fields(status, fields);
            let mut body = RefusalBody::of(&response);
            let is_whole = parts.iter().any(|part| body.read(&mut &**part));
            let is_whole = is_whole || body.read(&mut &[][..]);
            (String::from_utf8(body.into_bytes()).unwrap(), is_whole)
        };
        check_splits(stream, read);
        read(&[stream])
    }

    #[test]
    fn bodies_of_refusals() {
        let length = ("Content-Length", "5");
        let chunked = ("Transfer-Encoding", "chunked");
        for (status, field, stream, expected, is_whole) in [
            (403, length, &b"hello, and more"[..], "hello", true),
            (403, length, b"hel", "hel", false),
            (403, ("Content-Length", "0"), b"x", "", true),
            (403, ("Content-Length", "-1"), b"x", "x", false),
            (304, length, b"x", "", true),
            (500, ("X", ""), b"to the end", "to the end", false),
            (500, chunked, b"3\r\nhel\r\n2;x=0a\r\nlo\r\n0\r\n\r\nmore", "hello", true),
            (500, chunked, b"A\r\nhel", "hel", false),
            (500, chunked, b"<html>", "", false),
            (500, chunked, b"\r\n", "", true),
            (500, chunked, b"ffffffffffffffffffff\r\nx", "", true),
        ] {
            let (body, whole) = read(status, field, stream);
            assert_eq!((body.as_str(), whole), (expected, is_whole), "{}", stream.escape_ascii());
        }
    }

    #[test]
    fn a_body_is_bounded() {
        let long = "x".repeat(3 * MAX_REFUSAL_BODY);
        for field in [("X", ""), ("Content-Length", "99999")] {
            let (body, is_whole) = read(503, field, long.as_bytes());
            assert_eq!((body.len(), is_whole), (MAX_REFUSAL_BODY, true));
        }
        let chunks = format!("3000\r\n{long}");
        let chunked = ("Transfer-Encoding", "chunked");
        let (body, is_whole) = read(503, chunked, chunks.as_bytes());
        assert_eq!((body.len(), is_whole), (MAX_REFUSAL_BODY, true));
    }
}

//! The head of a request or a response, as it arrives.

use std::mem;

use super::HandshakeError;
use crate::field_syntax::{is_token_text, list};

/// Keeps a head until it is whole. Line ends are `\r\n` and nothing else (RFC 9112, 2.2).
#[derive(Clone, Debug)]
pub(super) struct HeadBuffer {
    bytes: Vec<u8>,
    pub(super) max_length: usize,
}

impl HeadBuffer {
    pub(super) const fn new(max_length: usize) -> Self {
        Self { bytes: Vec::new(), max_length }
    }

    /// Takes what belongs to the head out of the input. `true`: it is whole.
    pub(super) fn fill(&mut self, input: &mut &[u8]) -> Result<bool, HandshakeError> {
        while let Some((&byte, rest)) = input.split_first() {
            let is_after_return = self.bytes.last() == Some(&b'\r');
            let rule = match (is_after_return, byte) {
                (true, b'\n') | (false, 0x20..=0x7e | b'\t' | b'\r' | 0x80..) => None,
                (true, _) => Some("a carriage return is not followed by a line feed"),
                (false, b'\n') => Some("a line feed does not follow a carriage return"),
                (false, _) => Some("the head holds a control character"),
            };
            if let Some(rule) = rule {
                return Err(HandshakeError::Malformed { offset: self.bytes.len() as u64, rule });
            }
            if self.bytes.len() == self.max_length {
                return Err(HandshakeError::HeadTooLong { max_length: self.max_length });
            }
            self.bytes.push(byte);
            *input = rest;
            if byte == b'\n' && self.bytes.ends_with(b"\r\n\r\n") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes out what it holds.
    pub(super) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// What httparse finds wrong.
    pub(super) fn malformed(error: httparse::Error) -> HandshakeError {
        let rule = match error {
            httparse::Error::HeaderName => "the name of a header field is not a token",
            httparse::Error::HeaderValue => "the value of a header field has a wrong character",
            httparse::Error::NewLine => "a line does not end where it must",
            httparse::Error::Status => "the status is not three digits",
            httparse::Error::Token => "the method or the target has a wrong character",
            httparse::Error::TooManyHeaders => return HandshakeError::TooManyFields,
            httparse::Error::Version => return HandshakeError::HttpVersion,
        };
        HandshakeError::Malformed { offset: 0, rule }
    }
}

/// Whether a field of that name says what the handshake itself says, or would change where the head's message ends.
pub(super) fn is_own_name(name: &str) -> bool {
    let own = ["host", "upgrade", "connection", "content-length", "transfer-encoding"];
    let lower = name.to_ascii_lowercase();
    own.contains(&lower.as_str()) || lower.starts_with("sec-websocket-")
}

/// The elements of a list of tokens; `None` if one is none (RFC 9110, 5.6.1).
pub(super) fn tokens(value: &str) -> impl Iterator<Item = Option<&str>> {
    list(value.as_bytes()).map(|element| match is_token_text(element) {
        true => str::from_utf8(element).ok(),
        false => None,
    })
}

//! What the fields of HTTP are made of (RFC 9110, 5), which the opening of a WebSocket has as well.

use crate::words;

/// Whether `byte` may stand in a token: a method, a field's name (RFC 9110, 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Whether `byte` may stand in a field's value or a reason phrase (RFC 9110, 5.5): visible characters, spaces, tabs and
/// everything from 0x80 on.
pub(crate) const fn is_value(byte: u8) -> bool {
    CLASSES[byte as usize] & VALUE != 0
}

#[inline]
pub(crate) fn is_token_text(text: &[u8]) -> bool {
    !text.is_empty() && token_length(text) == text.len()
}

/// Whether `value` is a field's value without white space around it.
#[inline]
pub(crate) fn is_value_text(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    value_length(value) == value.len() && !blank(value.first()) && !blank(value.last())
}

/// How many bytes `text` begins with that may stand in a token.
#[inline]
pub(crate) fn token_length(text: &[u8]) -> usize {
    words::length(text, |word| !words::letters(word), is_token)
}

/// How many bytes `text` begins with that may stand in a field's value.
#[inline]
pub(crate) fn value_length(text: &[u8]) -> usize {
    words::length(text, |word| words::below(word, 0x20) | words::equal(word, 0x7f), is_value)
}

/// `text` without the spaces and tabs at its ends.
pub(crate) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list, empty ones left out (RFC 9110, 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trimmed).filter(|element| !element.is_empty())
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_visible = byte > 0x20 && byte < 0x7f;
        if is_visible || byte == 0x20 || byte == 0x09 || byte >= 0x80 {
            classes[byte] |= VALUE;
        }
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] |= TOKEN;
        }
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        classes[marks[at] as usize] |= TOKEN;
        at += 1;
    }
    classes
}

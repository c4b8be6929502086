//! Which bytes may stand in a target and in a host.

use crate::words;

/// Whether `byte` may stand in a request's target: visible ASCII, but no `#`, which begins what is never sent.
pub(super) const fn is_target(byte: u8) -> bool {
    CLASSES[byte as usize] & TARGET != 0
}

/// Whether `byte` may stand in the name of a host, or in an IPv4 address (RFC 3986, 3.2.2).
pub(super) const fn is_host(byte: u8) -> bool {
    CLASSES[byte as usize] & HOST != 0
}

/// How many bytes `text` begins with that may stand in a target.
#[inline]
pub(super) fn target_length(text: &[u8]) -> usize {
    let odd = |word| {
        word | words::below(word, 0x21) | words::equal(word, 0x7f) | words::equal(word, b'#')
    };
    words::length(text, odd, is_target)
}

/// How many bytes `text` begins with that may stand in the name of a host, or in an IPv4 address.
#[inline]
pub(super) fn host_length(text: &[u8]) -> usize {
    words::length(text, |word| !words::letters(word), is_host)
}

const TARGET: u8 = 1;
const HOST: u8 = 2;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte > 0x20 && byte < 0x7f && byte != b'#' as usize {
            classes[byte] |= TARGET;
        }
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] |= HOST;
        }
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=";
    let mut at = 0;
    while at < marks.len() {
        classes[marks[at] as usize] |= HOST;
        at += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_syntax::{is_token, is_value, token_length, value_length};

    /// The same as the table says, byte by byte, wherever what ends it stands.
    #[test]
    fn lengths() {
        let edges = [b"\0\x08\t\n\r\x1f !\"#$".as_slice(), b"-./09:;@AZ[_`az{|}~\x7f\x80\xff"];
        let edges = edges.concat();
        for (&first, &second) in edges.iter().flat_map(|a| edges.iter().map(move |b| (a, b))) {
            for (at, end) in (0..18).flat_map(|at| [(at, 19), (at, at + 2)]) {
                let mut text = [b'x'; 19];
                text[at..at + 2].copy_from_slice(&[first, second]);
                let text = &text[..end];
                let by_table = |is: fn(u8) -> bool| text.iter().take_while(|&&b| is(b)).count();
                assert_eq!(token_length(text), by_table(is_token), "{text:x?}");
                assert_eq!(value_length(text), by_table(is_value), "{text:x?}");
                assert_eq!(host_length(text), by_table(is_host), "{text:x?}");
                assert_eq!(target_length(text), by_table(is_target), "{text:x?}");
            }
        }
    }
}

//! Frames behind their length: [`LengthPrefixDecoder`] against what it promises and against a parser that takes the whole
//! stream at once, and [`LengthPrefixEncoder`] against the decoder.
//!
//! An input is a header and the stream:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | the prefix: one of `WIDTHS`, counted round, 0 for a varint; then 8 for little-endian, 16 for counting itself |
//! | 1 | maximum length of a payload |
//! | the rest | the stream |

use wharf_protocols::framing::{LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder};
use wharf_protocols::testing::{check_decoder, check_encoder};

const WIDTHS: [usize; 6] = [0, 1, 2, 3, 4, 8];

/// Decodes the stream in every way and checks that they agree. An input too short for the header tests nothing.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let [options, max_length, stream @ ..] = data else { return };
    let form = Form {
        width: WIDTHS[usize::from(options & 7) % WIDTHS.len()],
        is_little: options & 8 != 0,
        counts_itself: options & 16 != 0,
    };
    let (prefix, max_length) = (form.prefix(), usize::from(*max_length));
    let decoder = || LengthPrefixDecoder::new(prefix).max_length(max_length);

    let head = if form.width == 0 { 2 } else { form.width };
    // Of a varint that is refused up to ten bytes are looked at, and kept until then.
    let decoded =
        check_decoder(stream, (max_length + head).max(10), decoder, |payload| payload.to_vec());
    let error = decoded.iter().find_map(|payload| payload.as_ref().err());
    let payloads: Vec<_> = decoded.iter().flatten().cloned().collect();
    let (expected, is_sound) = form.reference(stream, max_length);
    assert_eq!(payloads, expected);
    assert_eq!(error.is_none(), is_sound, "{error:?}");

    let check = |payload: &[u8]| {
        let encoder = LengthPrefixEncoder::new(prefix).max_length(max_length);
        check_encoder(payload, encoder, decoder, |received| received == payload)
    };
    for payload in &payloads {
        assert!(check(payload));
    }
    // A length of one byte that counts itself leaves 254 for the payload.
    let most = if form.width == 1 && form.counts_itself { 254 } else { 255 };
    let is_allowed = stream.len() <= max_length.min(most);
    assert_eq!(check(stream), is_allowed);
}

struct Form {
    /// In bytes; 0 for a varint.
    width: usize,
    is_little: bool,
    counts_itself: bool,
}

impl Form {
    fn prefix(&self) -> LengthPrefix {
        let mut prefix = match self.width {
            1 => LengthPrefix::U8,
            2 => LengthPrefix::U16,
            3 => LengthPrefix::U24,
            4 => LengthPrefix::U32,
            8 => LengthPrefix::U64,
            _ => LengthPrefix::VARINT,
        };
        if self.is_little {
            prefix = prefix.little_endian();
        }
        if self.counts_itself {
            prefix = prefix.counting_itself();
        }
        prefix
    }

    /// The payloads of a stream, and whether it is nothing but frames.
    fn reference(&self, mut stream: &[u8], max_length: usize) -> (Vec<Vec<u8>>, bool) {
        let mut payloads = Vec::new();
        while !stream.is_empty() {
            let Some(payload) = self.first(&mut stream, max_length) else {
                return (payloads, false);
            };
            payloads.push(payload);
        }
        (payloads, true)
    }

    fn first(&self, stream: &mut &[u8], max_length: usize) -> Option<Vec<u8>> {
        let head = match self.width {
            0 => stream.iter().position(|&byte| byte < 0x80)? + 1,
            width => width,
        };
        let bytes = stream.get(..head)?;
        let number = if self.width == 0 {
            if head > 1 && bytes[head - 1] == 0 {
                return None;
            }
            bytes.iter().rev().try_fold(0_u128, |number, &byte| {
                number.checked_mul(128)?.checked_add(u128::from(byte & 0x7f))
            })?
        } else {
            let mut bytes = bytes.to_vec();
            if self.is_little {
                bytes.reverse();
            }
            bytes.iter().fold(0, |number, &byte| number * 256 + u128::from(byte))
        };
        let length = if self.counts_itself { number.checked_sub(head as u128)? } else { number };
        if length > max_length as u128 {
            return None;
        }
        let end = head + length as usize;
        let payload = stream.get(head..end)?.to_vec();
        *stream = &stream[end..];
        Some(payload)
    }
}

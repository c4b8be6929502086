//! Netstrings: [`NetstringDecoder`] against what it promises and against a parser that takes the whole stream at once,
//! and [`NetstringEncoder`] against the decoder.
//!
//! An input is a byte, the maximum length, and the stream.

use wharf_protocols::framing::{NetstringDecoder, NetstringEncoder};
use wharf_protocols::testing::{check_decoder, check_encoder};

/// Decodes the stream in every way and checks that they agree. An input without a byte tests nothing.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((&max_length, stream)) = data.split_first() else { return };
    let max_length = usize::from(max_length);
    let decoder = || NetstringDecoder::new().max_length(max_length);

    // Up to twenty digits are kept before a length is refused that has no colon.
    let limit = (max_length + "255:".len()).max(20);
    let decoded = check_decoder(stream, limit, decoder, |payload| payload.to_vec());
    let error = decoded.iter().find_map(|payload| payload.as_ref().err());
    let payloads: Vec<_> = decoded.iter().flatten().cloned().collect();
    let (expected, is_sound) = reference(stream, max_length);
    assert_eq!(payloads, expected);
    assert_eq!(error.is_none(), is_sound, "{error:?}");

    let check = |payload: &[u8]| {
        let encoder = NetstringEncoder::new().max_length(max_length);
        check_encoder(payload, encoder, decoder, |received| received == payload)
    };
    for payload in &payloads {
        assert!(check(payload));
    }
    let is_allowed = stream.len() <= max_length;
    assert_eq!(check(stream), is_allowed);
}

/// The payloads of a stream, and whether it is nothing but netstrings.
fn reference(mut stream: &[u8], max_length: usize) -> (Vec<Vec<u8>>, bool) {
    let mut payloads = Vec::new();
    while !stream.is_empty() {
        let Some(payload) = first(&mut stream, max_length) else { return (payloads, false) };
        payloads.push(payload);
    }
    (payloads, true)
}

fn first(stream: &mut &[u8], max_length: usize) -> Option<Vec<u8>> {
    let colon = stream.iter().position(|&byte| byte == b':')?;
    let text = std::str::from_utf8(&stream[..colon]).ok()?;
    let length: usize = text.parse().ok()?;
    // `parse` also takes a sign and zeros before the number.
    if length.to_string() != text || length > max_length {
        return None;
    }
    let payload = stream.get(colon + 1..colon + 1 + length)?;
    if stream.get(colon + 1 + length) != Some(&b',') {
        return None;
    }
    *stream = &stream[colon + length + 2..];
    Some(payload.to_vec())
}

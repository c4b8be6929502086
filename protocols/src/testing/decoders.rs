use std::fmt::Debug;

use super::check_splits;
use crate::codec::Decoder;

/// Checks what every [`Decoder`] promises, with one input, and returns what came out: frames, as `own` copies them, and the
/// texts of errors.
///
/// - Every split of the input gives the same frames and errors (see [`check_splits`]).
/// - At most `limit` bytes are kept of an unfinished frame. That is the largest frame with its head.
/// - Where more input is needed, all of it was taken. There is an end to the frames of an input: at most two for a byte, and 16.
/// - An error that ends the stream comes again.
/// - Stopped after any frame, what the decoder keeps and what is left of the input are what follows in the stream.
///
/// `decoder` makes a decoder, as at the start of a stream.
///
/// ```
/// use wharf_protocols::framing::{LengthPrefix, LengthPrefixDecoder};
/// use wharf_protocols::testing::check_decoder;
///
/// let decoder = || LengthPrefixDecoder::new(LengthPrefix::U8).max_length(9);
/// let frames = check_decoder(b"\x02ok\x00\x0a", 10, decoder, |frame| frame.to_vec());
/// let error = "byte 4: a frame of 10 bytes, where at most 9 are allowed".to_owned();
/// assert_eq!(frames, [Ok(b"ok".to_vec()), Ok(vec![]), Err(error)]);
/// ```
///
/// # Panics
/// If a promise does not hold.
pub fn check_decoder<D, T>(
    input: &[u8],
    limit: usize,
    mut decoder: impl FnMut() -> D,
    mut own: impl for<'a> FnMut(D::Frame<'a>) -> T,
) -> Vec<Result<T, String>>
where
    D: Decoder + 'static,
    T: Debug + PartialEq,
{
    let decoded = decode(&[input], limit, decoder(), &mut own);
    check_splits(input, |parts| {
        let split = decode(parts, limit, decoder(), &mut own);
        assert_eq!(split, decoded, "left: split into {parts:?}; right: not split");
    });
    let frames = decoded.iter().take_while(|frame| frame.is_ok()).count();
    for stop_after in [0, 1, frames / 2, frames] {
        check_stop(input, stop_after.min(frames), decoder());
    }
    decoded
}

/// Decodes all parts and the end of the stream, up to the error that ends it.
fn decode<D: Decoder + 'static, T>(
    parts: &[&[u8]],
    limit: usize,
    mut decoder: D,
    own: &mut impl for<'a> FnMut(D::Frame<'a>) -> T,
) -> Vec<Result<T, String>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut decoded = Vec::new();
    let mut earlier: Option<String> = None;
    for part in parts {
        let mut input = *part;
        loop {
            let before = input.len();
            let frame = match decoder.decode(&mut input) {
                Ok(Some(frame)) => Ok(own(frame)),
                Ok(None) => break,
                Err(error) => Err(error.to_string()),
            };
            let is_stuck = input.len() == before;
            if let (Err(text), Some(earlier), true) = (&frame, &earlier, is_stuck) {
                assert_eq!(text, earlier, "an error that ends the stream comes again");
                let end = decoder.finish().err().map(|error| error.to_string());
                assert_eq!(end.as_ref(), Some(text), "so it does at the end");
                return decoded;
            }
            earlier = frame.as_ref().err().cloned();
            decoded.push(frame);
            assert!(decoded.len() <= 2 * length + 16, "there is no end to the frames");
        }
        assert_eq!(input, b"", "where more is needed, all of the input was taken");
        let kept = decoder.buffered().len();
        assert!(kept <= limit, "{kept} bytes are kept, the limit is {limit}");
    }
    match decoder.finish() {
        Ok(Some(frame)) => decoded.push(Ok(own(frame))),
        Ok(None) => {}
        Err(error) => {
            let text = error.to_string();
            // The same error is not counted twice: the input may have ended right behind what was refused.
            if earlier.as_ref() != Some(&text) {
                decoded.push(Err(text));
            }
        }
    }
    decoded
}

/// After some frames, what is kept and what is left is the rest of the stream. Frames come in two inputs, so that some are kept.
fn check_stop<D: Decoder + 'static>(input: &[u8], frames: usize, mut decoder: D) {
    let (head, tail) = input.split_at(input.len() / 2);
    let mut taken = 0;
    for (mut part, rest) in [(head, tail), (tail, &b""[..])] {
        while taken < frames {
            match decoder.decode(&mut part) {
                Ok(Some(_)) => taken += 1,
                Ok(None) => break,
                Err(error) => panic!("split in two, the stream is refused earlier: {error}"),
            }
        }
        if taken == frames {
            let left = [&decoder.take_remainder()[..], part, rest].concat();
            assert!(input.ends_with(&left), "stopped after {frames} frames, {left:?} is left");
            assert_eq!(decoder.buffered(), b"", "what is kept was taken out");
            return;
        }
    }
}

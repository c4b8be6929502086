use std::fmt::Debug;
use std::io::IoSlice;

use super::check_splits;
use crate::codec::{Decoder, Encoder};

/// Checks that an encoder's frame is what its decoder takes out, and returns whether the encoder took it.
///
/// - The decoder gives one frame, for every split, that `is_same` says yes to; and the stream may end behind it.
/// - The frame is appended to what is there, and its slices make up the same.
/// - A frame that is refused leaves the output as it was, and has no slices.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineEncoder};
/// use wharf_protocols::testing::check_encoder;
///
/// let check = |sent: &[u8]| {
///     check_encoder(sent, LineEncoder::new(), LineDecoder::new, |received| received == sent)
/// };
/// assert!(check(b"SET k v"));
/// assert!(!check(b"SET k v\nDELETE k"), "it is refused");
/// ```
///
/// # Panics
/// If a promise does not hold.
pub fn check_encoder<F, E, D>(
    frame: &F,
    mut encoder: E,
    mut decoder: impl FnMut() -> D,
    mut is_same: impl for<'a> FnMut(D::Frame<'a>) -> bool,
) -> bool
where
    F: ?Sized + Debug,
    E: Encoder<F>,
    D: Decoder + 'static,
{
    let mut output = EARLIER.to_vec();
    let encoded = encoder.encode(frame, &mut output);
    let slices = encoder.encode_slices(frame, join);
    let Ok(()) = encoded else {
        assert_eq!(output, EARLIER, "a frame that is refused leaves the output as it was");
        assert!(slices.is_err(), "a frame that is refused has no slices");
        return false;
    };
    let encoded = output.strip_prefix(EARLIER).expect("a frame is appended");
    assert_eq!(slices.ok().as_deref(), Some(encoded), "its slices make it up");

    check_splits(encoded, |parts| {
        let mut decoder = decoder();
        let mut is_there = false;
        let mut check = |is_same: bool| {
            assert!(is_same, "{frame:?} was sent as {parts:?}, which is something else");
            assert!(!is_there, "{frame:?} was sent as {parts:?}, which are two frames");
            is_there = true;
        };
        for part in parts {
            let mut input = *part;
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(decoded)) => check(is_same(decoded)),
                    Ok(None) => break,
                    Err(error) => {
                        panic!("{frame:?} was sent as {parts:?}, which is refused: {error}")
                    }
                }
            }
        }
        match decoder.finish() {
            Ok(None) => {}
            Ok(Some(decoded)) => check(is_same(decoded)),
            Err(error) => panic!("{frame:?} was sent without its end, as {parts:?}: {error}"),
        }
        assert!(is_there, "{frame:?} was sent as {parts:?}, which is no frame");
    });
    true
}

/// What is in the output before.
const EARLIER: &[u8] = b"earlier";

fn join(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

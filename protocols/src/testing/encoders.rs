use std::borrow::Borrow;
use std::fmt::Debug;
use std::io::IoSlice;

use super::check_splits;
use crate::codec::{Decoder, Encoder};

/// Checks that an encoder's frame is what its decoder takes out, and returns whether the encoder took it.
///
/// - The decoder gives exactly this frame, as `own` copies it, for every split; and the stream may end behind it.
/// - The frame is appended to what is there, and its slices make up the same.
/// - A frame that is refused leaves the output as it was, and has no slices.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineEncoder};
/// use wharf_protocols::testing::check_encoder;
///
/// let own = |line: &[u8]| line.to_vec();
/// assert!(check_encoder(&b"SET k v"[..], LineEncoder::new(), LineDecoder::new, own));
/// assert!(!check_encoder(&b"SET k v\nDELETE k"[..], LineEncoder::new(), LineDecoder::new, own));
/// ```
///
/// # Panics
/// If a promise does not hold.
pub fn check_encoder<F, E, D>(
    frame: &F,
    mut encoder: E,
    mut decoder: impl FnMut() -> D,
    mut own: impl for<'a> FnMut(D::Frame<'a>) -> F::Owned,
) -> bool
where
    F: ToOwned + ?Sized + Debug + PartialEq,
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
        let mut take = |decoded: F::Owned| {
            assert_eq!(decoded.borrow(), frame, "split into {parts:?}");
            assert!(!is_there, "one frame is one, split into {parts:?}");
            is_there = true;
        };
        for part in parts {
            let mut input = *part;
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(decoded)) => take(own(decoded)),
                    Ok(None) => break,
                    Err(error) => {
                        panic!("{frame:?} was sent as {parts:?}, which is refused: {error}")
                    }
                }
            }
        }
        match decoder.finish() {
            Ok(None) => {}
            Ok(Some(decoded)) => take(own(decoded)),
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

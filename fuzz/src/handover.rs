//! The frames of a hot restart: [`FrameDecoder`] for any bytes and any splits, and [`Frame::encode`]
//! against it. An input is the stream.

use wharf_protocols::testing::check_splits;

use self::wire::{Frame, FrameDecoder, FrameError};

// The library's own file: its parser is no interface of the library.
#[allow(dead_code)]
#[path = "../../src/net/handover/wire.rs"]
mod wire;

/// Decodes the stream in every way and checks that they agree.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    check_splits(data, decode);
    let frames = decode(&[data]);
    let mut again = Vec::new();
    for frame in frames.iter().flatten() {
        frame.encode(&mut again);
    }
    assert!(data.starts_with(&again), "each frame has one encoding");
    let decoded: Vec<_> = frames.into_iter().filter(Result::is_ok).collect();
    assert_eq!(decode(&[&again]), decoded, "and is what it was");
}

/// All frames up to the first error, which ends the stream, and comes again when asked again.
fn decode(parts: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = FrameDecoder::default();
    let mut decoded = Vec::new();
    for part in parts {
        decoder.push(part);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => decoded.push(Ok(frame)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error));
                    decoded.push(Err(error));
                    return decoded;
                }
            }
        }
    }
    decoded
}

//! The format of what predecessor and successor say to each other.

use proptest::prelude::*;

use super::wire::{Frame, FrameDecoder, FrameError, MOST_CONTENT};

fn frames() -> impl Strategy<Value = Frame> {
    let server = "[a-zä]{1,60}";
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(lowest, highest)| Frame::Request { lowest, highest }),
        any::<u16>().prop_map(|version| Frame::Hello { version }),
        (server, any::<bool>())
            .prop_map(|(server, removes_path)| Frame::Listener { server, removes_path }),
        Just(Frame::Control),
        Just(Frame::End),
        Just(Frame::Serving),
        server.prop_map(|server| Frame::Connection { server }),
        Just(Frame::Released),
        ".{0,40}".prop_map(|reason| Frame::Refused { reason }),
    ]
}

/// Everything up to the first error, which is `Err`.
fn decode(stream: &[u8], cuts: &[usize]) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = FrameDecoder::default();
    let mut decoded = Vec::new();
    let mut rest = stream;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let (part, left) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
        decoder.push(part);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => decoded.push(Ok(frame)),
                Ok(None) => break,
                Err(error) => {
                    decoded.push(Err(error));
                    return decoded;
                }
            }
        }
        rest = left;
    }
    decoded
}

#[test]
fn what_is_no_frame_is_an_error() {
    let error = |stream: &[u8]| decode(stream, &[100]).pop().unwrap().unwrap_err().to_string();
    assert_eq!(error(b"GET / HTTP/1.1\r\n\r\n"), "there is no frame of kind 71");
    assert_eq!(error(&[0]), "there is no frame of kind 0");
    assert_eq!(error(&[9, 0xff, 0xff]), "a frame of 65535 bytes is too long");
    assert_eq!(error(&[4, 0, 1, 0]), "a frame of kind 4 is malformed");
    assert_eq!(error(&[7, 0, 0]), "a frame of kind 7 is malformed");
    assert_eq!(error(&[3, 0, 2, 2, b'a']), "a frame of kind 3 is malformed");
    assert_eq!(error(&[9, 0, 1, 0xff]), "a frame of kind 9 is malformed");
    assert_eq!(decode(&[1, 0], &[1]), []);
}

#[test]
fn a_long_reason_is_cut_between_two_characters() {
    let mut out = Vec::new();
    Frame::Refused { reason: "ä".repeat(MOST_CONTENT) + "x" }.encode(&mut out);
    assert_eq!(decode(&out, &[100]), [Ok(Frame::Refused { reason: "ä".repeat(MOST_CONTENT / 2) })]);
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_for_any_cuts(
        frames in prop::collection::vec(frames(), 0..12),
        cuts in prop::collection::vec(1usize..30, 1..20),
    ) {
        let mut stream = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut stream));
        let expected: Vec<_> = frames.into_iter().map(Ok).collect();
        prop_assert_eq!(decode(&stream, &cuts), expected);
    }

    #[test]
    fn any_bytes_mean_the_same_for_any_cuts(
        stream in prop::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..200),
        cuts in prop::collection::vec(1usize..30, 1..20),
    ) {
        prop_assert_eq!(decode(&stream, &cuts), decode(&stream, &[stream.len().max(1)]));
    }
}

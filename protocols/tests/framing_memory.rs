//! What framing allocates, counted by the allocator.
#![forbid(unsafe_code)]

use allocation_counter::measure;
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::framing::{
    LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder, NetstringDecoder, NetstringEncoder,
};

/// Feeds `input` in parts, and returns how many frames came.
fn decode<D: Decoder>(decoder: &mut D, input: &[u8], part: usize) -> usize {
    let mut frames = 0;
    for mut part in input.chunks(part) {
        while decoder.decode(&mut part).is_ok_and(|frame| frame.is_some()) {
            frames += 1;
        }
    }
    frames
}

#[test]
fn frames_that_are_whole_in_one_input_allocate_nothing() {
    let netstrings = b"5:hello,0:,3:abc,".repeat(1000);
    let prefixed = b"\x00\x05hello\x00\x00\x00\x03abc".repeat(1000);
    let counted = measure(|| {
        let mut decoder = NetstringDecoder::new();
        assert_eq!(decode(&mut decoder, &netstrings, netstrings.len()), 3000);
        let mut decoder = LengthPrefixDecoder::new(LengthPrefix::U16);
        assert_eq!(decode(&mut decoder, &prefixed, prefixed.len()), 3000);
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_length_that_is_claimed_allocates_nothing_before_it_arrives() {
    let max_length = 1 << 30;
    for (claim, sent) in [(1_u32 << 30, 10_usize), (1 << 30, 100_000), (100_000, 100_000)] {
        let mut stream = claim.to_be_bytes().to_vec();
        stream.resize(4 + sent, 0);
        for part in [1, 7, 1000, 65_536] {
            let counted = measure(|| {
                let mut decoder =
                    LengthPrefixDecoder::new(LengthPrefix::U32).max_length(max_length);
                decode(&mut decoder, &stream, part);
            });
            // While a buffer grows, the one before is there too.
            let allowed = 3 * stream.len() as u64 + 64;
            assert!(counted.bytes_max <= allowed, "{claim} {sent} {part}: {counted:?}");
            assert!(counted.count_total <= 20, "{claim} {sent} {part}: {counted:?}");
        }
    }
}

#[test]
fn a_frame_above_the_limit_allocates_nothing_but_its_head() {
    for part in [1, 4, 1000] {
        let mut stream = b"65537:".to_vec();
        stream.resize(70_000, b'x');
        let counted = measure(|| {
            decode(&mut NetstringDecoder::new(), &stream, part);
        });
        assert!(counted.bytes_max <= 64, "{part}: {counted:?}");
    }
}

#[test]
fn slices_are_sent_without_a_copy_of_the_payload() {
    let payload = vec![0; 60_000];
    let counted = measure(|| {
        let length = |slices: &[std::io::IoSlice<'_>]| slices.iter().map(|slice| slice.len()).sum();
        let prefixed = LengthPrefixEncoder::new(LengthPrefix::U32);
        assert_eq!({ prefixed }.encode_slices(&payload[..], length), Ok(60_004));
        assert_eq!(NetstringEncoder::new().encode_slices(&payload[..], length), Ok(60_007));
    });
    assert_eq!(counted.count_total, 0);
}

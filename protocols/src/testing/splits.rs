use std::fmt::Debug;

use super::random::Random;

/// Checks that a codec gives the same frames and errors however its input is split.
///
/// `decode` gets an input in parts, which make up `input` when joined; some may be empty. It starts
/// afresh, decodes them all, and returns everything that came out. It is called with the whole
/// input, byte by byte, with the input cut once at each place (for inputs up to 64 bytes), and with
/// cuts at random places. These depend only on the input, so that a failure repeats.
///
/// ```
/// use wharf_protocols::line::LineDecoder;
/// use wharf_protocols::testing::check_splits;
///
/// check_splits(b"one\r\ntwo\nthree", |parts| {
///     let mut decoder = LineDecoder::new();
///     let mut frames = Vec::new();
///     for part in parts {
///         let mut lines = decoder.feed(part);
///         while let Some(line) = lines.next() {
///             frames.push(line.map(<[u8]>::to_vec));
///         }
///     }
///     frames
/// });
/// ```
///
/// # Panics
/// If two splits give different results.
pub fn check_splits<T: Debug + PartialEq>(input: &[u8], mut decode: impl FnMut(&[&[u8]]) -> T) {
    let whole = decode(&[input]);
    let mut check = |parts: &[&[u8]]| {
        let split = decode(parts);
        assert_eq!(split, whole, "left: split into {parts:?}; right: not split");
    };

    check(&input.chunks(1).collect::<Vec<_>>());
    if input.len() <= EXHAUSTIVE_LENGTH {
        for at in 0..=input.len() {
            let (head, tail) = input.split_at(at);
            check(&[head, tail]);
        }
    }

    let mut random = Random::seeded(input);
    let mut longest = input.len();
    while longest > 1 {
        let mut parts = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(random.up_to(longest.min(rest.len())));
            parts.push(part);
            rest = after;
        }
        check(&parts);
        longest /= 2;
    }
}

/// Inputs up to this length are cut at every place.
const EXHAUSTIVE_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_input() {
        let input: Vec<u8> = (0..200).collect();
        let mut splits = 0;
        check_splits(&input, |parts| {
            splits += 1;
            parts.concat()
        });
        // Whole, byte by byte, and random parts of at most 200, 100, 50, 25, 12, 6 and 3 bytes.
        assert_eq!(splits, 9);
    }

    #[test]
    fn short_inputs_are_cut_everywhere() {
        let mut cuts = Vec::new();
        check_splits(b"abc", |parts| {
            if let [head, _] = parts {
                cuts.push(head.len());
            }
        });
        assert!((0..=3).all(|cut| cuts.contains(&cut)), "{cuts:?}");
    }

    #[test]
    #[should_panic(expected = "right: not split")]
    fn a_codec_that_depends_on_the_split_is_caught() {
        check_splits(b"ab", |parts| parts.len());
    }

    #[test]
    fn empty_input() {
        check_splits(b"", |parts| parts.concat());
    }
}

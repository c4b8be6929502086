use proptest::prelude::*;

use super::{collect_whole as collect, decode_whole as decode, *};
use crate::codec::{Decoder, Ready};
use crate::testing::check_splits;

/// What a decoder should give, the slow way.
fn reference(
    delimiter: &Delimiter,
    max_length: usize,
    refused: Refused,
    keep_bare_line_ends: bool,
    mut input: &[u8],
) -> Vec<Whole> {
    let end = delimiter.as_bytes();
    let has_bare_line_ends = *delimiter == Delimiter::NEWLINE || *delimiter == Delimiter::CRLF;
    let strict = has_bare_line_ends && !keep_bare_line_ends;
    let mut expected = Vec::new();
    let whole = input.len();
    while !input.is_empty() {
        let start = (whole - input.len()) as u64;
        let mut places = input.windows(end.len());
        let line = match places.position(|place| place == end) {
            Some(length) => {
                let mut line = &input[..length];
                if *delimiter == Delimiter::NEWLINE {
                    line = line.strip_suffix(b"\r").unwrap_or(line);
                }
                input = &input[length + end.len()..];
                line
            }
            None => {
                let mut line = std::mem::take(&mut input);
                if strict {
                    line = line.strip_suffix(b"\r").unwrap_or(line);
                    if line.is_empty() {
                        break;
                    }
                }
                line
            }
        };
        let bare = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        if line.len() > max_length {
            expected.push(Err(LineError::too_long(start, max_length)));
        } else if let Some(place) = bare.filter(|_| strict) {
            let offset = start + place as u64;
            expected.push(Err(LineError { offset, rule: LineRule::BareLineEnd }));
        } else {
            expected.push(Ok(line.to_vec()));
            continue;
        }
        if refused == Refused::Fail {
            break;
        }
    }
    expected
}

fn delimiter() -> impl Strategy<Value = Delimiter> {
    let byte_string = proptest::collection::vec(proptest::sample::select(&b"ab\r"[..]), 1..5);
    prop_oneof![
        Just(Delimiter::NEWLINE),
        Just(Delimiter::CRLF),
        Just(Delimiter::byte(b'\n')),
        byte_string.prop_map(|bytes| Delimiter::bytes(bytes).unwrap()),
    ]
}

fn refused() -> impl Strategy<Value = Refused> {
    prop_oneof![Just(Refused::Fail), Just(Refused::Discard)]
}

/// Few different bytes, so that delimiters and their beginnings abound.
fn text(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(&b"ab\r\r\n\n"[..]), 0..most)
}

proptest! {
    #[test]
    fn every_split_gives_the_reference(
        delimiter in delimiter(),
        max_length in 0_usize..12,
        refused in refused(),
        keep in any::<bool>(),
        input in text(100),
    ) {
        let expected = reference(&delimiter, max_length, refused, keep, &input);
        let decoder = LineDecoder::new()
            .delimiter(delimiter)
            .max_length(max_length)
            .refused(refused)
            .keep_bare_line_ends(keep);
        check_splits(&input, |parts| assert_eq!(decode(decoder.clone(), parts), expected));
    }

    #[test]
    fn asking_whether_a_line_is_there_changes_nothing(
        delimiter in delimiter(),
        max_length in 0_usize..12,
        refused in refused(),
        input in text(60),
    ) {
        let decoder = LineDecoder::new().delimiter(delimiter).max_length(max_length);
        let decoder = decoder.refused(refused);
        let expected = decode(decoder.clone(), &[&input]);
        check_splits(&input, |parts| {
            let mut decoder = decoder.clone();
            let mut collected = Vec::new();
            let own = |line: &[u8]| line.to_vec();
            'all: for part in parts {
                let mut input = *part;
                loop {
                    let line = match decoder.is_ready(&mut input) {
                        Ok(false) => break,
                        Ok(true) => decoder.decode(&mut input).map(|line| own(line.unwrap())),
                        Err(error) => Err(error),
                    };
                    let is_over = line.is_err() && refused == Refused::Fail;
                    collected.push(line);
                    if is_over {
                        break 'all;
                    }
                }
            }
            if refused == Refused::Discard || collected.iter().all(Result::is_ok) {
                let last = Decoder::finish(&mut decoder).map(|line| line.map(own)).transpose();
                collected.extend(last);
            }
            assert_eq!(collected, expected);
        });
    }

    #[test]
    fn stopping_between_lines_changes_nothing(
        delimiter in delimiter(),
        max_length in 0_usize..12,
        refused in refused(),
        keep in any::<bool>(),
        input in text(60),
        taken_at_once in 0_usize..3,
    ) {
        let expected = reference(&delimiter, max_length, refused, keep, &input);
        let decoder = LineDecoder::new()
            .delimiter(delimiter)
            .max_length(max_length)
            .refused(refused)
            .keep_bare_line_ends(keep);
        check_splits(&input, |parts| {
            let mut decoder = decoder.clone();
            let mut collected = Vec::new();
            for part in parts {
                let mut lines = decoder.feed(part);
                for _ in 0..taken_at_once {
                    collected.extend(lines.next().map(|line| line.map(<[u8]>::to_vec)));
                }
            }
            collected.append(&mut collect(decoder.finish()));
            assert_eq!(collected, expected);
        });
    }

    #[test]
    fn lines_and_remainder_make_up_the_input(
        delimiter in delimiter(),
        input in text(60),
        taken in 0_usize..6,
    ) {
        // With these delimiters what was received can be told from the line.
        prop_assume!(delimiter != Delimiter::NEWLINE);
        let end = delimiter.as_bytes().to_vec();
        let decoder = LineDecoder::new().delimiter(delimiter).keep_bare_line_ends(true);
        for at in 0..=input.len() {
            let (head, tail) = input.split_at(at);
            let mut decoder = decoder.clone();
            let mut received = Vec::new();
            for line in collect(decoder.feed(head)) {
                received.extend(line.unwrap());
                received.extend(&end);
            }
            let mut lines = decoder.feed(tail);
            for _ in 0..taken {
                if let Some(line) = lines.next() {
                    received.extend(line.unwrap());
                    received.extend(&end);
                }
            }
            received.extend_from_slice(&lines.into_remainder());
            prop_assert_eq!(&received, &input);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded(
        delimiter in delimiter(),
        keep in any::<bool>(),
        candidates in proptest::collection::vec(text(8), 0..10),
    ) {
        let encoder = LineEncoder::new().delimiter(delimiter.clone()).max_length(5);
        let encoder = encoder.keep_bare_line_ends(keep);
        let (mut encoded, mut sent) = (Vec::new(), Vec::new());
        for line in candidates {
            if encoder.encode(&line, &mut encoded).is_ok() {
                sent.push(Ok(line));
            }
        }
        let decoder = LineDecoder::new().delimiter(delimiter).max_length(5);
        let decoder = decoder.keep_bare_line_ends(keep);
        check_splits(&encoded, |parts| assert_eq!(decode(decoder.clone(), parts), sent));
    }

    #[test]
    fn what_is_decoded_can_be_encoded(
        delimiter in delimiter(),
        keep in any::<bool>(),
        input in text(60),
    ) {
        let encoder = LineEncoder::new().delimiter(delimiter.clone()).keep_bare_line_ends(keep);
        let decoder = LineDecoder::new().delimiter(delimiter).refused(Refused::Discard);
        let mut decoder = decoder.keep_bare_line_ends(keep);
        // The last line, which has no delimiter, may end with the beginning of one.
        for line in collect(decoder.feed(&input)).into_iter().flatten() {
            // Where it is kept, a `\r` at the end and the `\n` behind it would be one delimiter.
            let joins = keep && line.ends_with(b"\r");
            prop_assert!(joins || encoder.check(&line).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn only_what_would_not_come_back_is_refused(
        bytes in proptest::collection::vec(proptest::sample::select(&b"ab"[..]), 1..5),
        line in proptest::collection::vec(proptest::sample::select(&b"ab"[..]), 0..8),
    ) {
        let delimiter = Delimiter::bytes(bytes.clone()).unwrap();
        let sent = [&line[..], &bytes].concat();
        let decoded = decode(LineDecoder::new().delimiter(delimiter.clone()), &[&sent]);
        let accepted = LineEncoder::new().delimiter(delimiter).check(&line).is_ok();
        prop_assert_eq!(accepted, decoded == [Ok(line)]);
    }
}

use std::borrow::Cow;

use proptest::prelude::*;

use super::{DecodedLines, Delimiter, LineDecoder, LineEncoder, LineError, Refused};
use crate::codec::{Decoder, Ready};
use crate::testing::check_splits;

type Owned = Result<Vec<u8>, LineError>;

fn collect(mut lines: DecodedLines<'_, '_>) -> Vec<Owned> {
    let mut collected = Vec::new();
    while let Some(line) = lines.next() {
        collected.push(line.map(<[u8]>::to_vec));
    }
    collected
}

fn decode(mut decoder: LineDecoder, parts: &[&[u8]]) -> Vec<Owned> {
    let mut collected = Vec::new();
    for part in parts {
        collected.append(&mut collect(decoder.feed(part)));
    }
    collected.append(&mut collect(decoder.finish()));
    assert_eq!(decoder.buffer_capacity(), 0);
    collected
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<Owned> {
    lines.map(|line| Ok(line.as_bytes().to_vec())).into()
}

fn too_long(max_length: usize) -> Owned {
    Err(LineError::TooLong { max_length })
}

mod delimiters {
    use super::*;

    #[test]
    fn newline_takes_both_line_ends() {
        let decoder = LineDecoder::new().keep_bare_line_ends(true);
        let decoded = decode(decoder, &[b"one\ntwo\r\n\n\r\nth\rree\r\r\nlast"]);
        assert_eq!(decoded, lines(["one", "two", "", "", "th\rree\r", "last"]));
    }

    #[test]
    fn crlf_is_strict() {
        let decoder = LineDecoder::new().delimiter(Delimiter::CRLF).keep_bare_line_ends(true);
        let decoded = decode(decoder, &[b"one\ntwo\r\n\rthree\r\r\n\r\n"]);
        assert_eq!(decoded, lines(["one\ntwo", "\rthree\r", ""]));
    }

    #[test]
    fn byte_leaves_carriage_returns_alone() {
        let decoder = LineDecoder::new().delimiter(Delimiter::byte(0));
        assert_eq!(decode(decoder, &[b"one\r\0\0t\nwo\0"]), lines(["one\r", "", "t\nwo"]));
    }

    #[test]
    fn byte_strings_match_at_the_first_place() {
        let aab = LineDecoder::new().delimiter(Delimiter::bytes(b"aab").unwrap());
        assert_eq!(decode(aab, &[b"aaabxaabaa"]), lines(["a", "x", "aa"]));
        let aa = LineDecoder::new().delimiter(Delimiter::bytes(b"aa").unwrap());
        assert_eq!(decode(aa, &[b"aaaaa"]), lines(["", "", "a"]));
    }

    #[test]
    fn are_found_across_inputs() {
        let delimiter = Delimiter::bytes(b"\r\n.\r\n").unwrap();
        let decoder = LineDecoder::new().delimiter(delimiter);
        let parts = [&b"one\r\n"[..], b".", b"", b"\r", b"\ntwo\r\n.\r", b"\r\n.\r\n"];
        assert_eq!(decode(decoder, &parts), lines(["one", "two\r\n.\r"]));
        let decoder = LineDecoder::new().keep_bare_line_ends(true);
        assert_eq!(
            decode(decoder, &[b"one\r", b"\ntwo\r", b"three\n"]),
            lines(["one", "two\rthree"])
        );
    }

    #[test]
    fn bare_line_ends_are_refused() {
        let bare = || Err(LineError::BareLineEnd);
        let decoder = LineDecoder::new().refused(Refused::Discard);
        for (delimiter, input, refused) in [
            (Delimiter::NEWLINE, "a\rb\n", true),
            (Delimiter::NEWLINE, "a\r\r\n", true),
            (Delimiter::NEWLINE, "a\r\n", false),
            (Delimiter::CRLF, "a\rb\r\n", true),
            (Delimiter::CRLF, "a\nb\r\n", true),
            (Delimiter::CRLF, "a\r\r\n", true),
            (Delimiter::byte(0), "a\r\nb\0", false),
        ] {
            let decoder = decoder.clone().delimiter(delimiter.clone());
            let input = [input.as_bytes(), b"next", delimiter.as_bytes()].concat();
            check_splits(&input, |parts| {
                let decoded = decode(decoder.clone(), parts);
                assert_eq!(decoded.len(), 2, "{input:?}");
                assert_eq!(decoded[0] == bare(), refused, "{input:?}");
                assert_eq!(decoded[1], Ok(b"next".to_vec()), "{input:?}");
            });
        }
        assert_eq!(
            decode(LineDecoder::new(), &[b"one\na\rb\ntwo\n"]),
            [Ok(b"one".to_vec()), bare()]
        );
    }

    #[test]
    fn the_beginning_of_a_line_end_is_no_part_of_the_last_line() {
        for delimiter in [Delimiter::NEWLINE, Delimiter::CRLF] {
            let decoder = LineDecoder::new().delimiter(delimiter);
            assert_eq!(decode(decoder.clone(), &[b"one\r"]), lines(["one"]));
            assert_eq!(decode(decoder.clone(), &[b"\r"]), []);
            assert_eq!(decode(decoder, &[b"a\rb"]), [Err(LineError::BareLineEnd)]);
        }
    }
}

mod limits {
    use super::*;

    #[test]
    fn exclude_the_delimiter() {
        for (delimiter, input) in [
            (Delimiter::NEWLINE, &b"abc\r\nabc\n"[..]),
            (Delimiter::CRLF, b"abc\r\nabc\r\n"),
            (Delimiter::byte(b';'), b"abc;abc;"),
            (Delimiter::bytes(b"<br>").unwrap(), b"abc<br>abc<br>"),
        ] {
            let decoder = LineDecoder::new().delimiter(delimiter).max_length(3);
            check_splits(input, |parts| {
                assert_eq!(decode(decoder.clone(), parts), lines(["abc", "abc"]));
            });
            check_splits(input, |parts| {
                assert_eq!(decode(decoder.clone().max_length(2), parts), [too_long(2)]);
            });
        }
    }

    #[test]
    fn failing_ignores_what_follows() {
        let mut decoder = LineDecoder::new().max_length(3);
        assert_eq!(collect(decoder.feed(b"abc\nabcd\nabc\n")), [Ok(b"abc".to_vec()), too_long(3)]);
        assert_eq!(decoder.buffer_capacity(), 0);
        assert_eq!(collect(decoder.feed(b"abc\n")), []);
        assert_eq!(collect(decoder.finish()), []);
        assert_eq!(*decoder.feed(b"abc\n").into_remainder(), b""[..]);
    }

    #[test]
    fn the_trait_s_error_comes_again() {
        let mut decoder = LineDecoder::new().max_length(3);
        for _ in 0..2 {
            let error = LineError::TooLong { max_length: 3 };
            assert_eq!(decoder.decode(&mut &b"abcd\nabc\n"[..]), Err(error));
            assert_eq!(Decoder::finish(&mut decoder), Err(error));
        }
    }

    #[test]
    fn discarding_reports_once_and_goes_on() {
        let decoder = LineDecoder::new().max_length(3).refused(Refused::Discard);
        let input = b"abc\nabcdefghijk\r\nab\nabcde\n\nabcdef";
        check_splits(input, |parts| {
            let decoded = decode(decoder.clone(), parts);
            let [abc, ab, empty] = ["abc", "ab", ""].map(|line| Ok(line.into()));
            let expected = [abc, too_long(3), ab, too_long(3), empty, too_long(3)];
            assert_eq!(decoded, expected);
        });
    }

    #[test]
    fn discarding_finds_a_delimiter_that_begins_before_the_report() {
        let delimiter = Delimiter::bytes(b"ab").unwrap();
        let decoder = LineDecoder::new().delimiter(delimiter).refused(Refused::Discard);
        let mut decoder = decoder.max_length(1);
        assert_eq!(collect(decoder.feed(b"xxa")), [too_long(1)]);
        assert_eq!(collect(decoder.feed(b"bx")), []);
        assert_eq!(collect(decoder.feed(b"ab")), lines(["x"]));
    }

    #[test]
    fn discarding_does_not_look_into_the_line_before() {
        let decoder = LineDecoder::new().delimiter(Delimiter::bytes(b"aba").unwrap());
        let mut decoder = decoder.max_length(0).refused(Refused::Discard);
        drop(decoder.feed(b"abab"));
        assert_eq!(decoder.feed(b"").next(), Some(Ok(&b""[..])));
        assert_eq!(collect(decoder.feed(b"")), [too_long(0)]);
        // What came is "b", "a" and not the end of "aba", "b", "a".
        assert_eq!(collect(decoder.feed(b"a")), []);
        assert_eq!(collect(decoder.feed(b"ba")), []);
        assert_eq!(collect(decoder.feed(b"aba")), lines([""]));
    }

    #[test]
    fn are_reported_as_soon_as_they_are_sure() {
        let mut decoder = LineDecoder::new().max_length(3);
        assert_eq!(collect(decoder.feed(b"abc\r")), []);
        assert_eq!(collect(decoder.feed(b"\r")), [too_long(3)]);
        let mut decoder = LineDecoder::new().max_length(3);
        assert_eq!(collect(decoder.feed(b"abc")), []);
        assert_eq!(collect(decoder.feed(b"d")), [too_long(3)]);
    }

    #[test]
    fn hold_for_the_last_line() {
        let decoder = LineDecoder::new().max_length(3);
        assert_eq!(decode(decoder.clone(), &[b"abc"]), lines(["abc"]));
        assert_eq!(decode(decoder.clone(), &[b"abc\r"]), lines(["abc"]));
        assert_eq!(decode(decoder.clone(), &[b"abcd\r"]), [too_long(3)]);
        let decoder = decoder.keep_bare_line_ends(true);
        assert_eq!(decode(decoder.clone(), &[b"ab\r"]), lines(["ab\r"]));
        assert_eq!(decode(decoder, &[b"abc\r"]), [too_long(3)]);
    }

    #[test]
    fn may_be_zero_or_everything() {
        let decoder = LineDecoder::new().max_length(0).refused(Refused::Discard);
        assert_eq!(decode(decoder, &[b"\na\n\n"]), [Ok(vec![]), too_long(0), Ok(vec![])]);
        let decoder = LineDecoder::new().max_length(usize::MAX);
        assert_eq!(decode(decoder, &[b"on", b"e\n"]), lines(["one"]));
    }
}

mod leftovers {
    use super::*;

    #[test]
    fn lines_not_taken_come_first_next_time() {
        let mut decoder = LineDecoder::new();
        assert_eq!(decoder.feed(b"one\ntwo\nthree\nfo").next(), Some(Ok(&b"one"[..])));
        assert_eq!(decoder.buffered(), b"two\nthree\nfo");
        assert_eq!(decoder.feed(b"").next(), Some(Ok(&b"two"[..])));
        assert_eq!(collect(decoder.feed(b"ur\nfive")), lines(["three", "four"]));
        assert_eq!(decoder.buffered(), b"five");
        assert_eq!(collect(decoder.finish()), lines(["five"]));
        assert_eq!(decoder.buffer_capacity(), 0);
    }

    #[test]
    fn finish_can_be_interrupted() {
        let mut decoder = LineDecoder::new();
        drop(decoder.feed(b"one\ntwo\nthree"));
        assert_eq!(decoder.finish().next(), Some(Ok(&b"one"[..])));
        assert_eq!(collect(decoder.finish()), lines(["two", "three"]));
        assert_eq!(collect(decoder.finish()), []);
    }

    #[test]
    fn limits_hold_for_lines_not_taken() {
        for (refused, expected) in [
            (Refused::Fail, vec![too_long(3)]),
            (Refused::Discard, vec![too_long(3), Ok(b"two".to_vec()), too_long(3)]),
        ] {
            let mut decoder = LineDecoder::new().max_length(3).refused(refused);
            drop(decoder.feed(b"three\ntwo\nseven"));
            assert_eq!(collect(decoder.finish()), expected);
            assert_eq!(decoder.buffer_capacity(), 0);
        }
    }

    #[test]
    fn remainder_is_everything_after_the_last_line() {
        let mut decoder = LineDecoder::new();
        let mut lines = decoder.feed(b"one\nraw\nbytes");
        lines.next();
        assert!(matches!(lines.into_remainder(), Cow::Borrowed(b"raw\nbytes")));

        // The line was joined from two inputs; the rest still is in the second one.
        drop(decoder.feed(b"o"));
        let mut lines = decoder.feed(b"ne\nraw");
        assert_eq!(lines.next(), Some(Ok(&b"one"[..])));
        assert!(matches!(lines.into_remainder(), Cow::Borrowed(b"raw")));

        // Looked at already, and kept in part from the first input.
        drop(decoder.feed(b"one\nr"));
        let mut lines = decoder.feed(b"aw");
        assert_eq!(lines.next(), Some(Ok(&b"one"[..])));
        assert_eq!(*lines.into_remainder(), b"raw"[..]);

        let mut lines = decoder.feed(b"one\nraw");
        lines.next();
        assert_eq!(lines.next(), None);
        assert_eq!(*lines.into_remainder(), b"raw"[..]);
        assert_eq!(decoder.buffer_capacity(), 0);
    }

    #[test]
    fn remainder_can_be_taken_from_the_decoder() {
        let mut decoder = LineDecoder::new();
        decoder.feed(b"one\ntwo\nth").next();
        assert_eq!(decoder.take_remainder(), b"two\nth");
        assert_eq!(collect(decoder.feed(b"four\n")), lines(["four"]));
        assert_eq!(decoder.take_remainder(), b"");
    }

    #[test]
    fn remainder_has_nothing_of_a_discarded_line() {
        let decoder = LineDecoder::new().delimiter(Delimiter::CRLF).max_length(1);
        let mut decoder = decoder.refused(Refused::Discard);
        assert_eq!(collect(decoder.feed(b"abc\r")), [too_long(1)]);
        assert_eq!(*decoder.feed(b"new").into_remainder(), b"new"[..]);
        assert_eq!(collect(decoder.feed(b"a\r\n")), lines(["a"]));
    }
}

mod costs {
    use super::*;

    const MAX_LENGTH: usize = 10_000;

    fn decoder() -> LineDecoder {
        LineDecoder::new().max_length(MAX_LENGTH).refused(Refused::Discard)
    }

    #[test]
    fn whole_lines_are_lent_from_the_input() {
        let input = b"one\ntwo\n";
        let mut decoder = LineDecoder::new();
        let mut lines = decoder.feed(input);
        let first = lines.next().unwrap().unwrap();
        assert_eq!(first.as_ptr(), input.as_ptr());
        let second = lines.next().unwrap().unwrap();
        assert_eq!(second.as_ptr(), input[4..].as_ptr());
        drop(lines);
        assert_eq!(decoder.buffer_capacity(), 0);
    }

    #[test]
    fn every_byte_is_searched_once() {
        // Lines of all kinds: short, cut by inputs, too long.
        let mut input = Vec::new();
        for length in [0, 1, 50, MAX_LENGTH, 3 * MAX_LENGTH, 5] {
            input.resize(input.len() + length, b'x');
            input.extend_from_slice(b"\r\n");
        }
        for delimiter in [Delimiter::NEWLINE, Delimiter::CRLF] {
            for part in [1, 2, 7, 4096, input.len()] {
                let mut decoder = decoder().delimiter(delimiter.clone());
                for part in input.chunks(part) {
                    collect(decoder.feed(part));
                }
                assert_eq!(decoder.bytes_searched, input.len(), "in parts of {part}");
            }
        }
    }

    #[test]
    fn lines_not_taken_are_searched_once() {
        let input = b"line\n".repeat(1000);
        let mut decoder = decoder();
        drop(decoder.feed(&input));
        let mut taken = 0;
        while decoder.feed(b"").next().is_some() {
            taken += 1;
        }
        assert_eq!((taken, decoder.bytes_searched), (1000, input.len()));
    }

    #[test]
    fn a_kept_line_moves_a_logarithmic_number_of_times() {
        let mut decoder = decoder();
        let (mut moves, mut place) = (0, None);
        for _ in 0..MAX_LENGTH {
            assert_eq!(collect(decoder.feed(b"x")), []);
            let now = (decoder.buffered().as_ptr(), decoder.buffer_capacity());
            moves += usize::from(place.replace(now) != Some(now));
        }
        assert!(moves <= 15, "{moves}");
        assert!(decoder.buffer_capacity() <= MAX_LENGTH + 2, "{}", decoder.buffer_capacity());
    }

    #[test]
    fn lines_not_taken_move_a_logarithmic_number_of_times() {
        let mut decoder = decoder();
        let (mut moves, mut capacity) = (0, 0);
        for _ in 0..100_000 {
            drop(decoder.feed(b"\n"));
            moves += usize::from(decoder.buffer_capacity() != capacity);
            capacity = decoder.buffer_capacity();
        }
        assert!(moves <= 20, "{moves}");
        assert_eq!(collect(decoder.feed(b"")).len(), 100_000);
    }

    #[test]
    fn a_discarded_line_takes_no_memory() {
        let mut decoder = decoder();
        assert_eq!(collect(decoder.feed(&vec![b'x'; 1_000_000])), [too_long(MAX_LENGTH)]);
        for _ in 0..1000 {
            assert_eq!(collect(decoder.feed(b"x")), []);
            assert_eq!(decoder.buffer_capacity(), 0);
        }
        assert_eq!(collect(decoder.feed(b"\nline\n")), lines(["line"]));
    }

    #[test]
    fn a_line_that_must_be_too_long_is_not_joined() {
        let mut decoder = decoder();
        let mut input = vec![b'x'; 1_000_000];
        for ending in [&b""[..], b"\n"] {
            input.extend_from_slice(ending);
            assert_eq!(collect(decoder.feed(b"x")), []);
            let mut lines = decoder.feed(&input);
            assert_eq!(lines.next(), Some(Err(LineError::TooLong { max_length: MAX_LENGTH })));
            assert!(lines.decoder.buffer_capacity() <= 8);
            drop(lines);
            collect(decoder.feed(b"\n"));
        }
    }

    #[test]
    fn memory_is_given_back_when_a_line_ends() {
        let mut decoder = decoder();
        collect(decoder.feed(&[b'x'; 5000]));
        assert!(decoder.buffer_capacity() >= 5000);
        assert_eq!(collect(decoder.feed(b"\n")).len(), 1);
        assert_eq!(decoder.buffer_capacity(), 0);

        // Something is kept, but it does not need that much.
        collect(decoder.feed(&[b'x'; 5000]));
        assert_eq!(collect(decoder.feed(b"\nab")).len(), 1);
        assert!(decoder.buffer_capacity() <= 4096, "{}", decoder.buffer_capacity());

        // Lines that were not taken in the first place.
        let mut decoder = self::decoder();
        drop(decoder.feed(&b"line\n".repeat(1000)));
        assert_eq!(collect(decoder.feed(b"ab")).len(), 1000);
        assert!(decoder.buffer_capacity() <= 4096, "{}", decoder.buffer_capacity());
    }

    #[test]
    fn joining_reuses_a_small_buffer() {
        let mut decoder = LineDecoder::new();
        collect(decoder.feed(b"0123456789"));
        let place = decoder.buffered().as_ptr();
        for _ in 0..100 {
            assert_eq!(collect(decoder.feed(b"\n012345")), lines(["0123456789"])[..1].to_vec());
            assert_eq!(collect(decoder.feed(b"6789")), []);
        }
        assert_eq!(decoder.buffered().as_ptr(), place);
    }
}

mod properties {
    use super::*;

    /// What a decoder should give, the slow way.
    fn reference(
        delimiter: &Delimiter,
        max_length: usize,
        refused: Refused,
        keep_bare_line_ends: bool,
        mut input: &[u8],
    ) -> Vec<Owned> {
        let end = delimiter.as_bytes();
        let has_bare_line_ends = *delimiter == Delimiter::NEWLINE || *delimiter == Delimiter::CRLF;
        let strict = has_bare_line_ends && !keep_bare_line_ends;
        let mut expected = Vec::new();
        while !input.is_empty() {
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
            if line.len() > max_length {
                expected.push(too_long(max_length));
            } else if strict && (line.contains(&b'\r') || line.contains(&b'\n')) {
                expected.push(Err(LineError::BareLineEnd));
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
}

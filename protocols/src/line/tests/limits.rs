use super::*;
use crate::codec::Decoder;
use crate::testing::check_splits;

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
        let error = LineError::too_long(0, 3);
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

#[test]
fn errors_name_their_byte_in_the_stream() {
    let decoder = LineDecoder::new().max_length(3).refused(Refused::Discard);
    let input = b"abc\nabcdefghijk\r\nab\n\rb\r\nabcdef";
    check_splits(input, |parts| {
        let errors: Vec<_> =
            decode_whole(decoder.clone(), parts).into_iter().filter_map(Result::err).collect();
        let bare = LineError::new(20, LineRule::BareLineEnd);
        assert_eq!(errors, [LineError::too_long(4, 3), bare, LineError::too_long(24, 3)]);
        assert_eq!(errors[0].offset, 7);
        assert_eq!(errors[1].to_string(), "byte 20: a line contains a bare line end");
    });
}

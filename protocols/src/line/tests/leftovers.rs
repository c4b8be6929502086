use std::borrow::Cow;

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

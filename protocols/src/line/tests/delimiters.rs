use super::*;
use crate::testing::check_splits;

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
    assert_eq!(decode(decoder, &[b"one\r", b"\ntwo\r", b"three\n"]), lines(["one", "two\rthree"]));
}

#[test]
fn bare_line_ends_are_refused() {
    let bare = || Err(LineRule::BareLineEnd);
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
    assert_eq!(decode(LineDecoder::new(), &[b"one\na\rb\ntwo\n"]), [Ok(b"one".to_vec()), bare()]);
}

#[test]
fn the_beginning_of_a_line_end_is_no_part_of_the_last_line() {
    for delimiter in [Delimiter::NEWLINE, Delimiter::CRLF] {
        let decoder = LineDecoder::new().delimiter(delimiter);
        assert_eq!(decode(decoder.clone(), &[b"one\r"]), lines(["one"]));
        assert_eq!(decode(decoder.clone(), &[b"\r"]), []);
        assert_eq!(decode(decoder, &[b"a\rb"]), [Err(LineRule::BareLineEnd)]);
    }
}

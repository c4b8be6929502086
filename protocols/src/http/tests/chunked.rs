use super::*;
use crate::testing::check_splits;

fn decode(limits: Limits, text: &[u8]) -> Result<(Vec<u8>, usize), (Rule, u64)> {
    let mut result = None;
    check_splits(text, |parts| {
        let mut decoder = ChunkedDecoder::new().limits(limits);
        let (mut data, mut ends) = (Vec::new(), 0);
        for mut part in parts.iter().copied() {
            loop {
                match decoder.decode(&mut part) {
                    Ok(Some(ChunkedEvent::Data(some))) => data.extend_from_slice(some),
                    Ok(Some(ChunkedEvent::Trailers(_))) => {}
                    Ok(Some(ChunkedEvent::End)) => ends += 1,
                    Ok(None) => break,
                    Err(error) => {
                        assert!(decoder.buffer_capacity() <= limits.max_trailers);
                        result = Some(Err((error.rule, error.offset.unwrap())));
                        return (data, result.clone());
                    }
                }
            }
        }
        result = Some(Ok((data.clone(), ends)));
        (data, None)
    });
    result.unwrap()
}

fn error(text: &str) -> Option<(Rule, u64)> {
    decode(Limits::default(), text.as_bytes()).err()
}

#[test]
fn the_syntax_is_exact() {
    let good = [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("A;x\r\n0123456789\r\n00;y=z\r\n\r\n", "0123456789"),
    ];
    for (text, data) in good {
        assert_eq!(decode(Limits::default(), text.as_bytes()), Ok((data.as_bytes().to_vec(), 1)));
    }
    let extended = "1 ; a = b ;c=\"d \\\"; \u{e9}\"\r\nx\r\n0\r\n\r\n";
    assert_eq!(decode(Limits::default(), extended.as_bytes()), Ok((b"x".to_vec(), 1)));

    let bad = [
        ("\r\n", Rule::ChunkSize, 0),
        (" 5\r\n", Rule::ChunkSize, 0),
        ("+5\r\n", Rule::ChunkSize, 0),
        ("0x5\r\n", Rule::ChunkSize, 1),
        ("5_0\r\n", Rule::ChunkSize, 1),
        ("g\r\n", Rule::ChunkSize, 0),
        ("5\n", Rule::ChunkSize, 1),
        ("5\r5", Rule::BareCarriageReturn, 2),
        ("5 \r\n", Rule::ChunkExtension, 2),
        ("5;\r\n", Rule::ChunkExtension, 2),
        ("5;a\n", Rule::ChunkExtension, 3),
        ("5;a=\r\n", Rule::ChunkExtension, 4),
        ("5;a b\r\n", Rule::ChunkExtension, 4),
        ("5;a \r\n", Rule::ChunkExtension, 4),
        ("5;a=\"b\r\n", Rule::ChunkExtension, 6),
        ("5;a=\"b\"c\r\n", Rule::ChunkExtension, 7),
        ("00000000000000001\r\n", Rule::ChunkSize, 16),
        ("10000000000000000\r\n", Rule::ChunkSize, 16),
        ("ffffffffffffffff\r\n", Rule::ContentTooLarge, 17),
        ("5\r\nhelloX\n", Rule::ChunkEnd, 8),
        ("5\r\nhello\n", Rule::ChunkEnd, 8),
        ("5\r\nhello\rX", Rule::ChunkEnd, 9),
        ("0\r\n\n", Rule::BareLineFeed, 3),
        ("0\r\nA: b\n\r\n", Rule::BareLineFeed, 7),
        ("0\r\nA : b\r\n\r\n", Rule::FieldName, 4),
        ("0\r\n A: b\r\n\r\n", Rule::ObsoleteFold, 3),
        ("0\r\nA: b\r\nContent-Length: 1\r\n\r\n", Rule::TrailerNotAllowed, 9),
        ("0\r\ntransfer-encoding: x\r\n\r\n", Rule::TrailerNotAllowed, 3),
    ];
    for (text, rule, offset) in bad {
        assert_eq!(error(text), Some((rule, offset)), "{text:?}");
    }
}

#[test]
fn extensions_are_bounded_all_together() {
    let limits = Limits { max_chunk_extensions: 10, ..Limits::default() };
    let text = "1;abc\r\nx\r\n1;abc\r\ny\r\n1;abc\r\n";
    assert_eq!(decode(limits, text.as_bytes()), Err((Rule::ChunkExtensionsTooLarge, 23)));
}

#[test]
fn content_is_bounded_all_together() {
    let limits = Limits { max_content: 10, ..Limits::default() };
    let text = "6\r\nabcdef\r\n5\r\n";
    assert_eq!(decode(limits, text.as_bytes()), Err((Rule::ContentTooLarge, 13)));
}

#[test]
fn trailers_are_bounded() {
    let limits = Limits { max_trailers: 10, max_fields: 2, ..Limits::default() };
    assert_eq!(decode(limits, b"0\r\nA: b\r\n\r\n"), Ok((vec![], 1)));
    let text = b"0\r\nA: b\r\nC: d\r\n\r\n";
    assert_eq!(decode(limits, text), Err((Rule::TrailersTooLarge, 13)));
    let limits = Limits { max_fields: 2, ..Limits::default() };
    let text = b"0\r\na:\r\nb:\r\nc:\r\n\r\n";
    assert_eq!(decode(limits, text), Err((Rule::TooManyFields, 3)));
}

#[test]
fn contents_follow_each_other() {
    let text = b"1\r\nx\r\n0\r\n\r\n1\r\ny\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(decode(Limits::default(), text), Ok((b"xy".to_vec(), 2)));
}

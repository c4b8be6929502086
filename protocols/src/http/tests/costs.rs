//! What decoding costs: copies, memory, steps.

use super::*;

/// The dribble of a head is put into a buffer that moves a logarithmic number of times, and never exceeds the limit.
#[test]
fn a_head_that_comes_byte_by_byte() {
    let limits = Limits { max_head: 10_000, ..Limits::default() };
    let mut decoder = RequestDecoder::new().limits(limits);
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(9_000));
    let (mut moves, mut capacity) = (0, 0);
    for byte in text.as_bytes().chunks(1) {
        let mut input = byte;
        if decoder.decode(&mut input).unwrap().is_some() {
            break;
        }
        moves += usize::from(decoder.buffer_capacity() != capacity);
        capacity = decoder.buffer_capacity();
        assert!(capacity <= 10_000, "{capacity}");
    }
    assert!(moves < 12, "{moves}");
    assert_eq!(decoder.decode(&mut &b""[..]), Ok(Some(RequestEvent::End)));
    assert_eq!(decoder.decode(&mut &b""[..]), Ok(None));
    assert_eq!(decoder.buffer_capacity(), 0);
}

#[test]
fn a_refused_head_holds_no_more_than_the_limit() {
    let limits = Limits { max_head: 1000, ..Limits::default() };
    for part in [1, 7, 100, 5000] {
        let mut decoder = RequestDecoder::new().limits(limits);
        let text = vec![b'a'; 10_000];
        let failed = text.chunks(part).find_map(|mut part| decoder.decode(&mut part).err());
        assert_eq!(failed.unwrap().rule, Rule::TargetTooLong);
        assert!(decoder.buffer_capacity() <= 1000);
    }
}

#[test]
fn the_rest_of_a_head_does_not_take_the_content_along() {
    let mut decoder = RequestDecoder::new();
    let text = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    assert_eq!(decoder.decode(&mut &text[..10]).unwrap(), None);
    let mut rest = text[10..].to_vec();
    rest.resize(rest.len() + 100_000, b'x');
    let mut input = &rest[..];
    assert!(matches!(decoder.decode(&mut input), Ok(Some(RequestEvent::Head(_)))));
    let Ok(Some(RequestEvent::Data(data))) = decoder.decode(&mut input) else { panic!() };
    assert_eq!((data.len(), data.as_ptr()), (100_000, rest[rest.len() - 100_000..].as_ptr()));
    assert_eq!(decoder.buffer_capacity(), 0);
}

#[test]
fn every_byte_of_a_section_is_searched_once() {
    use super::super::scan::Scan;
    let text = b"a: b\r\n".repeat(1000);
    let mut scan = Scan::new();
    for length in 0..text.len() {
        assert_eq!(scan.find_end(&text[..length]), Ok(None));
        // What was looked at is not looked at again: the next call begins behind it.
        assert_eq!(scan.searched(), length);
    }
}

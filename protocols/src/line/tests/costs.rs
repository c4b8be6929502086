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
        assert!(lines.next().unwrap().is_err());
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

use proptest::prelude::*;

use super::*;
use crate::codec::{Decoder, Encoder, Ready};
use crate::testing::check_splits;

type Owned = Result<Vec<u8>, FramingError>;

/// All payloads, up to an error or the end.
fn decode<D>(mut decoder: D, parts: &[&[u8]]) -> Vec<Owned>
where
    D: Ready<Error = FramingError> + for<'a> Decoder<Frame<'a> = &'a [u8]> + 'static,
{
    let mut decoded = Vec::new();
    for part in parts {
        let mut input = *part;
        loop {
            let is_ready = decoder.is_ready(&mut input);
            let frame = decoder.decode(&mut input).map(|frame| frame.map(<[u8]>::to_vec));
            assert_eq!(is_ready, frame.as_ref().map(Option::is_some).map_err(|error| *error));
            match frame {
                Ok(Some(frame)) => decoded.push(Ok(frame)),
                Ok(None) => break,
                Err(error) => {
                    decoded.push(Err(error));
                    assert_eq!(decoder.decode(&mut &b"0:,"[..]), Err(error), "it comes again");
                    assert_eq!(decoder.finish(), Err(error));
                    assert_eq!(decoder.buffered(), b"");
                    return decoded;
                }
            }
        }
        assert_eq!(input, b"", "it was taken whole");
    }
    let end = decoder.finish().map(|frame| assert_eq!(frame, None));
    decoded.extend(end.err().map(Err));
    decoded
}

/// Checks what a stream is taken apart into, for every split.
fn check<D>(decoder: &D, stream: &[u8], expected: &[Owned])
where
    D: Ready<Error = FramingError> + for<'a> Decoder<Frame<'a> = &'a [u8]> + Clone + 'static,
{
    check_splits(stream, |parts| {
        assert_eq!(decode(decoder.clone(), parts), expected, "{stream:?}");
    });
}

fn payloads<const N: usize>(payloads: [&str; N]) -> Vec<Owned> {
    payloads.map(|payload| Ok(payload.as_bytes().to_vec())).into()
}

fn error(offset: u64, rule: FramingRule) -> Owned {
    Err(FramingError::new(offset, rule))
}

#[test]
fn netstrings_are_strict() {
    let decoder = NetstringDecoder::new().max_length(12);
    check(&decoder, b"0:,12:hello world!,1:,,", &payloads(["", "hello world!", ","]));
    let not_a_digit = |offset, byte| error(offset, FramingRule::NotADigit { byte });
    let too_long = |length| error(0, FramingRule::TooLong { length, max_length: 12 });
    for (stream, refused) in [
        (&b":,"[..], not_a_digit(0, b':')),
        (b"+1:a,", not_a_digit(0, b'+')),
        (b"-1:a,", not_a_digit(0, b'-')),
        (b" 1:a,", not_a_digit(0, b' ')),
        (b"1 :a,", not_a_digit(1, b' ')),
        (b"1a:a,", not_a_digit(1, b'a')),
        (b"1\n", not_a_digit(1, b'\n')),
        (b"1;a,", not_a_digit(1, b';')),
        (b"1:a;", error(3, FramingRule::NoComma { byte: b';' })),
        (b"1:ab", error(3, FramingRule::NoComma { byte: b'b' })),
        (b"00:,", error(0, FramingRule::LeadingZero)),
        (b"01:a,", error(0, FramingRule::LeadingZero)),
        (b"13:", too_long(13)),
        (b"18446744073709551615:", too_long(u64::MAX)),
        (b"18446744073709551616:", too_long(u64::MAX)),
        (b"99999999999999999999:", too_long(u64::MAX)),
        (b"111111111111111111111", too_long(11_111_111_111_111_111_111)),
        (b"1", error(1, FramingRule::Unfinished { start: 0 })),
        (b"1:", error(2, FramingRule::Unfinished { start: 0 })),
        (b"1:a", error(3, FramingRule::Unfinished { start: 0 })),
    ] {
        check(&decoder, stream, &[refused]);
    }
    let unfinished = error(7, FramingRule::Unfinished { start: 4 });
    check(&decoder, b"1:a,2:b", &[Ok(b"a".to_vec()), unfinished]);
}

#[test]
fn prefixes_have_all_widths_and_both_orders() {
    for (prefix, stream) in [
        (LengthPrefix::U8, &b"\x03abc"[..]),
        (LengthPrefix::U8.little_endian(), b"\x03abc"),
        (LengthPrefix::U16, b"\0\x03abc"),
        (LengthPrefix::U16.little_endian(), b"\x03\0abc"),
        (LengthPrefix::U24, b"\0\0\x03abc"),
        (LengthPrefix::U24.little_endian(), b"\x03\0\0abc"),
        (LengthPrefix::U32, b"\0\0\0\x03abc"),
        (LengthPrefix::U32.little_endian(), b"\x03\0\0\0abc"),
        (LengthPrefix::U64, b"\0\0\0\0\0\0\0\x03abc"),
        (LengthPrefix::U64.little_endian(), b"\x03\0\0\0\0\0\0\0abc"),
        (LengthPrefix::VARINT, b"\x03abc"),
        (LengthPrefix::VARINT.little_endian(), b"\x03abc"),
        (LengthPrefix::U8.counting_itself(), b"\x04abc"),
        (LengthPrefix::U16.counting_itself(), b"\0\x05abc"),
        (LengthPrefix::U32.counting_itself().little_endian(), b"\x07\0\0\0abc"),
        (LengthPrefix::VARINT.counting_itself(), b"\x04abc"),
    ] {
        check(&LengthPrefixDecoder::new(prefix), stream, &payloads(["abc"]));
        let mut output = Vec::new();
        LengthPrefixEncoder::new(prefix).encode(b"abc", &mut output).unwrap();
        assert_eq!(output, stream, "{prefix:?}");
    }
}

#[test]
fn lengths_are_refused_where_they_are_known() {
    let too_long = |length| error(0, FramingRule::TooLong { length, max_length: 9 });
    let decoder = |prefix| LengthPrefixDecoder::new(prefix).max_length(9);
    check(&decoder(LengthPrefix::U8), b"\x0a", &[too_long(10)]);
    check(&decoder(LengthPrefix::U32), b"\xff\xff\xff\xff", &[too_long(0xffff_ffff)]);
    check(&decoder(LengthPrefix::U64), &[0xff; 8], &[too_long(u64::MAX)]);
    check(&decoder(LengthPrefix::VARINT), b"\xff\xff\x03", &[too_long(0xffff)]);
    check(&decoder(LengthPrefix::U16.counting_itself()), b"\0\x0c", &[too_long(10)]);
    let less = error(0, FramingRule::LessThanHead { length: 1 });
    check(&decoder(LengthPrefix::U16.counting_itself()), b"\0\x01", &[less]);
    check(&decoder(LengthPrefix::U16.counting_itself()), b"\0\x02", &payloads([""]));
    let unlimited = LengthPrefixDecoder::new(LengthPrefix::U64).max_length(usize::MAX);
    let max_length = usize::MAX;
    let refused = error(0, FramingRule::TooLong { length: u64::MAX, max_length });
    check(&unlimited, &[0xff; 8], &[refused]);
}

#[test]
fn varints_have_one_form() {
    let decoder = LengthPrefixDecoder::new(LengthPrefix::VARINT).max_length(usize::MAX);
    check(&decoder, b"\x80\x00", &[error(1, FramingRule::VarintNotShortest)]);
    check(&decoder, b"\x83\x80\x00", &[error(2, FramingRule::VarintNotShortest)]);
    let overflow = [error(9, FramingRule::VarintOverflow)];
    check(&decoder, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", &overflow);
    check(&decoder, &[0xff; 11], &overflow);
    let too_long = FramingRule::TooLong { length: u64::MAX, max_length: usize::MAX };
    check(&decoder, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &[error(0, too_long)]);
    let unfinished = error(2, FramingRule::Unfinished { start: 0 });
    check(&decoder, b"\xff\xff", &[unfinished]);
}

#[test]
fn encoders_refuse_what_no_prefix_can_say() {
    for (prefix, most) in [
        (LengthPrefix::U8, 255),
        (LengthPrefix::U8.counting_itself(), 254),
        (LengthPrefix::U16, 65_535),
        (LengthPrefix::U16.counting_itself(), 65_533),
    ] {
        let mut encoder = LengthPrefixEncoder::new(prefix).max_length(usize::MAX);
        let mut output = b"before".to_vec();
        let refused = PayloadError::TooLong { length: most + 1, max_length: most };
        assert_eq!(encoder.encode(&vec![0; most + 1], &mut output), Err(refused));
        assert_eq!(output, b"before");
        assert_eq!(encoder.encode(&vec![0; most], &mut output), Ok(()));
    }
    let mut encoder = LengthPrefixEncoder::new(LengthPrefix::U64).max_length(3);
    let refused = PayloadError::TooLong { length: 4, max_length: 3 };
    assert_eq!(encoder.encode(b"four", &mut Vec::new()), Err(refused));
}

#[test]
fn frames_of_a_fixed_size() {
    check_splits(b"abcdefgh", |parts| {
        let mut decoder = FixedSizeDecoder::<3>::new();
        let mut frames = Vec::new();
        for part in parts {
            let mut input = *part;
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                frames.push(*frame);
            }
        }
        assert_eq!(frames, [*b"abc", *b"def"]);
        assert_eq!(decoder.buffered(), b"gh");
        let unfinished = FramingError::new(8, FramingRule::Unfinished { start: 6 });
        assert_eq!(decoder.finish(), Err(unfinished));
    });
    let mut output = Vec::new();
    let Ok(()) = FixedSizeEncoder.encode(b"abc", &mut output);
    assert_eq!(output, b"abc");
}

#[test]
fn what_is_whole_in_one_input_is_lent() {
    let stream = b"3:abc,2:de,";
    let mut decoder = NetstringDecoder::new();
    let mut input = &stream[..];
    let first = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(first.as_ptr(), stream[2..].as_ptr());
    let second = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(second.as_ptr(), stream[8..].as_ptr());
    assert_eq!(decoder.decode(&mut input), Ok(None));
}

#[test]
fn a_decoder_is_stopped_between_two_frames() {
    let mut decoder = NetstringDecoder::new();
    assert_eq!(decoder.decode(&mut &b"3:a"[..]), Ok(None));
    assert_eq!(decoder.buffered(), b"3:a");
    let mut input = &b"bc,TEXT"[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(&b"abc"[..])));
    assert_eq!((decoder.buffered(), input), (&b""[..], &b"TEXT"[..]));
    assert_eq!(decoder.take_remainder(), b"");
    assert_eq!(decoder.decode(&mut &b"9:xy"[..]), Ok(None));
    assert_eq!(decoder.take_remainder(), b"9:xy");
    assert_eq!(decoder.decode(&mut &b"1:z,"[..]), Ok(Some(&b"z"[..])));
}

#[test]
fn a_collector_takes_what_is_asked_for() {
    check_splits(b"abcdefghi", |parts| {
        let mut collector = Collector::new();
        let (mut counts, mut taken) = ([3, 0, 1, 4].iter(), Vec::new());
        let mut count = counts.next();
        for part in parts {
            let mut input = *part;
            while let Some(&wanted) = count
                && let Some(bytes) = collector.expect(wanted, &mut input)
            {
                taken.push(bytes.to_vec());
                count = counts.next();
            }
        }
        assert_eq!(taken, [&b"abc"[..], b"", b"d", b"efgh"]);
        assert_eq!(collector.offset(), 8);
    });
}

#[test]
fn a_collector_changes_its_mind() {
    let mut collector = Collector::new();
    let mut input = &b"abcde"[..];
    assert_eq!(collector.expect(100, &mut input), None);
    assert_eq!(collector.expect(2, &mut input), Some(&b"ab"[..]));
    assert_eq!(collector.expect_any(&mut input), Some(&b"cde"[..]));
    assert_eq!(collector.expect_any(&mut input), None);
    let mut input = &b"fg"[..];
    assert_eq!(collector.expect_any(&mut input), Some(&b"fg"[..]));
    assert_eq!(collector.expect(1, &mut &b""[..]), None);
    assert_eq!(collector.take_remainder(), b"");
}

/// Frames with a head of text: a number, a newline, and so many bytes.
fn text_head(start: &[u8], _: u64) -> Result<Extent<usize>, &'static str> {
    let Some(end) = memchr::memchr(b'\n', &start[..start.len().min(8)]) else {
        return if start.len() < 8 {
            Ok(Extent::Through { byte: b'\n', within: 8 })
        } else {
            Err("the head is too long")
        };
    };
    let text = str::from_utf8(&start[..end]).map_err(|_| "the head is no text")?;
    let length: usize = text.parse().map_err(|_| "the head is no number")?;
    if length > 100 {
        return Err("too long");
    }
    Ok(Extent::Exactly { length: end + 1 + length, head: end + 1 })
}

#[test]
fn a_head_of_text_ends_with_a_byte() {
    for (stream, expected) in [
        (
            &b"3\nabc0\n12\n0123456789xy"[..],
            vec![Ok("abc"), Ok(""), Ok("0123456789xy"), Err("end")],
        ),
        (b"3\nab", vec![Err("end")]),
        (b"0000003\nabc1", vec![Ok("abc"), Err("end")]),
        (b"00000003\nabc", vec![Err("the head is too long")]),
        (b"101\n", vec![Err("too long")]),
    ] {
        check_splits(stream, |parts| {
            let mut frames = PartialFrame::new();
            let mut taken = Vec::new();
            'all: for part in parts {
                let mut input = *part;
                loop {
                    match frames.take(&mut input, text_head) {
                        Ok(None) => break,
                        Ok(Some((head, frame))) => {
                            taken.push(Ok(String::from_utf8_lossy(&frame[head..]).into_owned()));
                        }
                        Err(_) => break 'all,
                    }
                }
            }
            taken.push(frames.finish(|_| "end").map(|()| String::new()));
            let taken: Vec<_> =
                taken.iter().map(|frame| frame.as_deref().map_err(|e| *e)).collect();
            let expected: Vec<_> =
                expected.iter().cloned().filter(|frame| *frame != Err("end")).collect();
            assert_eq!(&taken[..expected.len()], expected);
        });
    }
}

/// The work of measuring and copying is proportional to the input, however it comes.
#[test]
fn steps_are_linear() {
    let steps = |length: usize, part: usize| {
        let mut stream = format!("{length}:").into_bytes();
        stream.resize(stream.len() + length, b'x');
        stream.push(b',');
        let (mut frames, mut measured, mut moves, mut place) =
            (PartialFrame::<usize, FramingError>::new(), 0, 0, None);
        for part in stream.chunks(part) {
            let mut input = part;
            let measure = |start: &[u8], offset| {
                measured += 1;
                super::netstring::measure(start, offset, usize::MAX)
            };
            frames.take(&mut input, measure).unwrap();
            let now = (frames.buffered().as_ptr(), frames.buffer_capacity());
            moves += usize::from(place.replace(now) != Some(now));
        }
        (measured, moves)
    };
    for length in [10_000, 20_000, 40_000, 80_000] {
        let (measured, moves) = steps(length, 1);
        assert!(measured <= 8 && moves <= 20, "{length}: {measured}, {moves}");
        let (measured, moves) = steps(length, 1000);
        assert!(measured <= 3 && moves <= 20, "{length}: {measured}, {moves}");
    }
}

#[test]
fn memory_follows_what_has_arrived_and_is_given_back() {
    let mut decoder = PartialFrame::<usize, FramingError>::new();
    let prefix = LengthPrefix::U32;
    let mut take = |input: &[u8]| {
        let mut input = input;
        let measure = |start: &[u8], offset: u64| prefix.measure(start, offset, usize::MAX);
        let is_frame = decoder.take(&mut input, measure).unwrap().is_some();
        (is_frame, decoder.buffered().len(), decoder.buffer_capacity())
    };
    // A gigabyte is claimed.
    let (_, kept, capacity) = take(&[0x40, 0, 0, 0, 1, 2, 3]);
    assert!(kept == 7 && capacity <= 32, "{capacity}");
    for _ in 0..100 {
        let (is_frame, kept, capacity) = take(&[0; 1000]);
        assert!(!is_frame && capacity <= 2 * kept, "{capacity}");
    }

    let mut decoder = PartialFrame::<usize, FramingError>::new();
    let mut take = |input: &[u8]| {
        let mut input = input;
        let measure = |start: &[u8], offset: u64| prefix.measure(start, offset, usize::MAX);
        let is_frame = decoder.take(&mut input, measure).unwrap().is_some();
        (is_frame, decoder.buffer_capacity())
    };
    assert!(!take(&[0, 1]).0);
    assert!(take(&[&[0, 0][..], &[0; 65_000]].concat()).1 <= 65_540);
    assert_eq!(take(&[0; 536]), (true, 65_540), "never more than the frame");
    assert_eq!(take(&[]), (false, 0));
}

fn prefix() -> impl Strategy<Value = LengthPrefix> {
    let form = prop_oneof![
        Just(LengthPrefix::U8),
        Just(LengthPrefix::U16),
        Just(LengthPrefix::U24),
        Just(LengthPrefix::U32),
        Just(LengthPrefix::U64),
        Just(LengthPrefix::VARINT),
    ];
    (form, any::<bool>(), any::<bool>()).prop_map(|(mut prefix, little, counts)| {
        if little {
            prefix = prefix.little_endian();
        }
        if counts {
            prefix = prefix.counting_itself();
        }
        prefix
    })
}

fn sent() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![0_usize..10, 120_usize..140, 250_usize..260];
    let payload = length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    proptest::collection::vec(payload, 0..6)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(prefix in prefix(), payloads in sent()) {
        let mut encoders = (NetstringEncoder::new(), LengthPrefixEncoder::new(prefix));
        let (mut netstrings, mut prefixed, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for payload in &payloads {
            encoders.0.encode(payload, &mut netstrings).unwrap();
            let before = prefixed.len();
            if encoders.1.encode(payload, &mut prefixed).is_ok() {
                taken.push(Ok(payload.clone()));
                let join = |slices: &[std::io::IoSlice<'_>]| {
                    slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>()
                };
                prop_assert_eq!(encoders.1.encode_slices(payload, join).unwrap(), &prefixed[before..]);
                let whole = NetstringEncoder::new().encode_slices(payload, join).unwrap();
                prop_assert!(netstrings.ends_with(&whole));
            }
        }
        let payloads: Vec<_> = payloads.into_iter().map(Ok).collect();
        check(&NetstringDecoder::new(), &netstrings, &payloads);
        check(&LengthPrefixDecoder::new(prefix), &prefixed, &taken);
    }

    #[test]
    fn any_split_of_anything_is_the_same(
        prefix in prefix(),
        max_length in prop_oneof![0_usize..20, Just(usize::MAX)],
        stream in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(2), Just(0x80), Just(0xff), any::<u8>()], 0..40),
        text in "[0-3]{0,3}[:;]?[0-9a,:]{0,20}",
    ) {
        let decoder = LengthPrefixDecoder::new(prefix).max_length(max_length);
        check(&decoder, &stream, &decode(decoder.clone(), &[&stream]));
        let decoder = NetstringDecoder::new().max_length(max_length);
        check(&decoder, text.as_bytes(), &decode(decoder.clone(), &[text.as_bytes()]));
    }
}

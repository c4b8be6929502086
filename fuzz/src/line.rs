//! Line framing: [`LineDecoder`] against what it promises, and [`LineEncoder`] against the decoder.
//!
//! An input is a header and the stream to decode:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | delimiter: one of `DELIMITERS`, counted round |
//! | 1 | maximum length of a line |
//! | 1 | odd: discard lines above it |
//! | 1 | how many cuts there are, up to 15 |
//! | 1 each | a cut: the length of the next part (six bits), and how many lines to take from it before stopping (two bits) |
//! | the rest | the stream |

use arbitrary::Unstructured;
use wharf_protocols::line::{
    DecodedLines, Delimiter, LineDecoder, LineEncoder, LineError, LineRule, Refused,
};
use wharf_protocols::testing::check_splits;

/// One line or error, out of the decoder's hands.
type Line = Result<Vec<u8>, LineError>;

/// The delimiters to choose from; the empty string stands for [`Delimiter::NEWLINE`], and `\r\n`
/// for [`Delimiter::CRLF`].
const DELIMITERS: [&[u8]; 7] = [b"", b"\r\n", b"\n", b"\0", b"aa", b"aba", b"\r\n.\r\n"];

/// Decodes the stream in every way and checks that they agree. An input too short for the header
/// tests nothing.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    if let Ok(case) = Case::parse(&mut Unstructured::new(data)) {
        case.splits_agree();
        case.limits_only_replace_lines();
        case.refusing_bare_line_ends_only_replaces_lines();
        case.lines_make_up_the_stream();
        case.stopping_changes_nothing();
        case.remainder_completes_the_stream();
        case.encoded_lines_come_back();
    }
}

struct Case<'a> {
    delimiter: Delimiter,
    max_length: usize,
    refused: Refused,
    cuts: Vec<Cut>,
    stream: &'a [u8],
}

#[derive(Clone, Copy)]
struct Cut {
    length: usize,
    taken: usize,
}

impl<'a> Case<'a> {
    fn parse(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let delimiter = match DELIMITERS[usize::from(input.arbitrary::<u8>()?) % DELIMITERS.len()] {
            b"" => Delimiter::NEWLINE,
            b"\r\n" => Delimiter::CRLF,
            &[byte] => Delimiter::byte(byte),
            bytes => Delimiter::bytes(bytes).expect("it is not empty"),
        };
        let max_length = usize::from(input.arbitrary::<u8>()?);
        let discard = input.arbitrary::<u8>()? % 2 == 1;
        let refused = if discard { Refused::Discard } else { Refused::Fail };
        let cut = |input: &mut Unstructured<'a>| {
            let byte = usize::from(input.arbitrary::<u8>()?);
            Ok(Cut { length: byte & 63, taken: byte >> 6 })
        };
        let cuts = input.arbitrary::<u8>()? & 15;
        let cuts = (0..cuts).map(|_| cut(input)).collect::<arbitrary::Result<_>>()?;
        let stream = input.peek_bytes(input.len()).unwrap_or_default();
        Ok(Self { delimiter, max_length, refused, cuts, stream })
    }

    fn splits_agree(&self) {
        check_splits(self.stream, |parts| self.decode_limited(parts));
    }

    /// With a limit, lines above it become errors, and nothing else changes.
    fn limits_only_replace_lines(&self) {
        let mut expected = Vec::new();
        for line in self.all_lines() {
            if line.len() <= self.max_length {
                expected.push(Some(line));
            } else {
                expected.push(None);
                if self.refused == Refused::Fail {
                    break;
                }
            }
        }
        let limited = self.decode_limited(&[self.stream]);
        let limited: Vec<_> = limited.into_iter().map(Result::ok).collect();
        assert_eq!(limited, expected);
    }

    /// Unless they are kept, lines with a bare line end become errors, and nothing else changes but for the last
    /// line, which loses the beginning of a line end.
    fn refusing_bare_line_ends_only_replaces_lines(&self) {
        let mut decoder = self.unlimited().keep_bare_line_ends(false).refused(Refused::Discard);
        let mut strict = Vec::new();
        collect(&mut decoder.feed(self.stream), &mut strict, usize::MAX);
        let mut kept = Vec::new();
        collect(&mut self.unlimited().feed(self.stream), &mut kept, usize::MAX);
        assert_eq!(strict.len(), kept.len());
        let encoder = LineEncoder::new().delimiter(self.delimiter.clone()).max_length(usize::MAX);
        for (strict, kept) in strict.into_iter().zip(kept) {
            match strict {
                Ok(line) => {
                    encoder.check(&line).expect("what is decoded can be encoded");
                    assert_eq!(Ok(line), kept);
                }
                Err(error) => {
                    assert_eq!(error.rule, LineRule::BareLineEnd);
                    assert!(matches!(self.stream[error.offset as usize], b'\r' | b'\n'));
                    assert!(encoder.check(&kept.expect("there is no limit")).is_err());
                }
            }
        }
    }

    /// Without a limit no byte is lost, added or moved, and lines end at the first delimiter.
    fn lines_make_up_the_stream(&self) {
        let lines = self.all_lines();
        let end = self.delimiter.as_bytes();
        let mut joined = lines.join(end);
        let stream = self.normalized(self.stream);
        let terminated = joined.len() < stream.len();
        if terminated {
            joined.extend_from_slice(end);
        }
        assert_eq!(joined, stream);

        let encoder = LineEncoder::new().delimiter(self.delimiter.clone()).max_length(usize::MAX);
        let complete = if terminated { lines.len() } else { lines.len().saturating_sub(1) };
        for line in &lines[..complete] {
            let allowed =
                !self.forbids_line_ends() || !line.contains(&b'\r') && !line.contains(&b'\n');
            assert_eq!(encoder.check(line).is_ok(), allowed, "{line:?}");
        }
    }

    /// Taking only some lines of each part gives the same lines in the end.
    fn stopping_changes_nothing(&self) {
        let mut decoder = self.limited();
        let mut collected = Vec::new();
        for (part, taken) in self.parts() {
            let mut lines = decoder.feed(part);
            collect(&mut lines, &mut collected, taken);
            drop(lines);
            check_memory(&decoder);
        }
        collect(&mut decoder.finish(), &mut collected, usize::MAX);
        assert_eq!(collected, self.decode_limited(&[self.stream]));
    }

    /// At any point, the lines so far and the remainder are what was received.
    fn remainder_completes_the_stream(&self) {
        let mut decoder = self.unlimited();
        let (mut collected, mut received) = (Vec::new(), 0);
        for (part, taken) in self.parts() {
            received += part.len();
            let mut copy = decoder.clone();
            let mut lines = copy.feed(part);
            let mut until_here = collected.clone();
            collect(&mut lines, &mut until_here, taken);
            let mut joined = Vec::new();
            for line in until_here {
                joined.extend(line.expect("there is no limit"));
                joined.extend_from_slice(self.delimiter.as_bytes());
            }
            joined.extend(self.normalized(&lines.into_remainder()));
            assert_eq!(joined, self.normalized(&self.stream[..received]));
            assert_eq!(copy.buffer_capacity(), 0);

            collect(&mut decoder.feed(part), &mut collected, usize::MAX);
        }
    }

    fn encoded_lines_come_back(&self) {
        let encoder =
            LineEncoder::new().delimiter(self.delimiter.clone()).max_length(self.max_length);
        let (mut encoded, mut sent) = (Vec::new(), Vec::new());
        // Pieces of the stream, so that they hold delimiters and their beginnings.
        for (part, _) in self.parts() {
            let before = encoded.len();
            match encoder.encode(part, &mut encoded) {
                Ok(()) => sent.push(Ok(part.to_vec())),
                Err(error) => {
                    let too_long = matches!(error.rule, LineRule::TooLong { .. });
                    assert_eq!(too_long, part.len() > self.max_length);
                    assert_eq!(encoded.len(), before);
                }
            }
        }
        assert_eq!(self.decode_limited(&[&encoded]), sent);
    }

    fn limited(&self) -> LineDecoder {
        self.unlimited().max_length(self.max_length).refused(self.refused)
    }

    fn unlimited(&self) -> LineDecoder {
        LineDecoder::new()
            .delimiter(self.delimiter.clone())
            .max_length(usize::MAX)
            .keep_bare_line_ends(true)
    }

    fn decode_limited(&self, parts: &[&[u8]]) -> Vec<Line> {
        let longest_delimiter = self.delimiter.as_bytes().len().max(2);
        decode(self.limited(), parts, self.max_length + longest_delimiter)
    }

    fn all_lines(&self) -> Vec<Vec<u8>> {
        let lines = decode(self.unlimited(), &[self.stream], self.stream.len());
        lines.into_iter().map(|line| line.expect("there is no limit")).collect()
    }

    /// The stream cut as the input says; the last part is what the cuts leave.
    fn parts(&self) -> Vec<(&'a [u8], usize)> {
        let mut rest = self.stream;
        let mut parts = Vec::new();
        for cut in &self.cuts {
            let (part, after) = rest.split_at(cut.length.min(rest.len()));
            parts.push((part, cut.taken));
            rest = after;
        }
        parts.push((rest, 1));
        parts
    }

    /// What was received, with one of the line ends that the delimiter takes for the same.
    fn normalized(&self, received: &[u8]) -> Vec<u8> {
        let mut normalized = Vec::new();
        for (at, &byte) in received.iter().enumerate() {
            let is_skipped = byte == b'\r' && received.get(at + 1) == Some(&b'\n');
            if !is_skipped || self.delimiter != Delimiter::NEWLINE {
                normalized.push(byte);
            }
        }
        normalized
    }

    fn forbids_line_ends(&self) -> bool {
        self.delimiter == Delimiter::NEWLINE || self.delimiter == Delimiter::CRLF
    }
}

/// Decodes the parts one after the other, with an eye on memory.
fn decode(mut decoder: LineDecoder, parts: &[&[u8]], most_kept: usize) -> Vec<Line> {
    let mut collected = Vec::new();
    for part in parts {
        collect(&mut decoder.feed(part), &mut collected, usize::MAX);
        check_memory(&decoder);
        assert!(decoder.buffered().len() <= most_kept);
    }
    collect(&mut decoder.finish(), &mut collected, usize::MAX);
    assert_eq!(decoder.buffer_capacity(), 0);
    collected
}

fn collect(lines: &mut DecodedLines<'_, '_>, collected: &mut Vec<Line>, most: usize) {
    for _ in 0..most {
        match lines.next() {
            Some(line) => collected.push(line.map(<[u8]>::to_vec)),
            None => break,
        }
    }
}

fn check_memory(decoder: &LineDecoder) {
    let kept = decoder.buffered().len();
    let most = if kept == 0 { 0 } else { (4 * kept).max(4096) };
    assert!(decoder.buffer_capacity() <= most, "{} for {kept}", decoder.buffer_capacity());
}

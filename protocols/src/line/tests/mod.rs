use super::{DecodedLines, Delimiter, LineDecoder, LineEncoder, LineError, LineRule, Refused};

mod costs;
mod delimiters;
mod leftovers;
mod limits;
mod properties;

/// A line, or the rule that it breaks.
type Owned = Result<Vec<u8>, LineRule>;

fn collect(lines: DecodedLines<'_, '_>) -> Vec<Owned> {
    collect_whole(lines).into_iter().map(|line| line.map_err(|error| error.rule)).collect()
}

fn decode(decoder: LineDecoder, parts: &[&[u8]]) -> Vec<Owned> {
    let decoded = decode_whole(decoder, parts);
    decoded.into_iter().map(|line| line.map_err(|error| error.rule)).collect()
}

/// A line, or the whole error.
type Whole = Result<Vec<u8>, LineError>;

fn collect_whole(mut lines: DecodedLines<'_, '_>) -> Vec<Whole> {
    let mut collected = Vec::new();
    while let Some(line) = lines.next() {
        collected.push(line.map(<[u8]>::to_vec));
    }
    collected
}

fn decode_whole(mut decoder: LineDecoder, parts: &[&[u8]]) -> Vec<Whole> {
    let mut collected = Vec::new();
    for part in parts {
        collected.append(&mut collect_whole(decoder.feed(part)));
    }
    collected.append(&mut collect_whole(decoder.finish()));
    assert_eq!(decoder.buffer_capacity(), 0);
    collected
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<Owned> {
    lines.map(|line| Ok(line.as_bytes().to_vec())).into()
}

fn too_long(max_length: usize) -> Owned {
    Err(LineRule::TooLong { max_length })
}

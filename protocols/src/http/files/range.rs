/// What a Range field asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// From the first to the last byte.
    Part(u64, u64),
    /// What is not there.
    Nothing,
    /// Something else than one range of bytes, which may be left out of account (RFC 9110, 14.2).
    All,
}

/// The part of `length` bytes that `field` asks for (RFC 9110, 14.1.2).
pub(super) fn parse(field: &[u8], length: u64) -> Asked {
    match parsed(field) {
        // Of nothing no part can be named; many clients ask for one in each request.
        _ if length == 0 => Asked::All,
        None => Asked::All,
        Some((Some(first), last)) => {
            let last = last.unwrap_or(u64::MAX).min(length.saturating_sub(1));
            if first < length { Asked::Part(first, last) } else { Asked::Nothing }
        }
        // The last so many.
        Some((None, count)) => match count.unwrap_or(0).min(length) {
            0 => Asked::Nothing,
            count => Asked::Part(length - count, length - 1),
        },
    }
}

fn parsed(field: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let field = std::str::from_utf8(field).ok()?;
    let (unit, range) = field.split_once('=')?;
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") || first.is_empty() && last.is_empty() {
        return None;
    }
    let number = |text: &str| match text {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    match (first, last) {
        (Some(first), Some(last)) if first > last => None,
        range => Some(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes() {
        let cases = [
            ("bytes=0-0", Asked::Part(0, 0)),
            ("bytes=0-", Asked::Part(0, 9)),
            ("Bytes= 2-3 ", Asked::Part(2, 3)),
            ("bytes=5-100", Asked::Part(5, 9)),
            ("bytes=-3", Asked::Part(7, 9)),
            ("bytes=-100", Asked::Part(0, 9)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-11", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=3-2", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=99999999999999999999-", Asked::All),
            ("pages=0-1", Asked::All),
            ("", Asked::All),
        ];
        for (field, asked) in cases {
            assert_eq!(parse(field.as_bytes(), 10), asked, "{field}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Asked::All);
        assert_eq!(parse(b"bytes=-1", 0), Asked::All);
    }
}

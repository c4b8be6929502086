use std::time::SystemTime;

use super::super::Headers;
use crate::field_syntax::trimmed;

/// What the conditions of a request say about a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    NotModified,
    Failed,
}

/// Evaluates the conditions of a GET or HEAD in their order (RFC 9110, 13.2.2).
pub(super) fn check(headers: Headers<'_>, tag: &str, modified: u64) -> Verdict {
    if headers.get("if-match").is_some() {
        // By the strong comparison: a weak tag matches nothing.
        if !headers.get_all("if-match").any(|tags| has_tag(tags, tag, false)) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(headers, "if-unmodified-since")
        && modified > since
    {
        return Verdict::Failed;
    }
    if headers.get("if-none-match").is_some() {
        if headers.get_all("if-none-match").any(|tags| has_tag(tags, tag, true)) {
            return Verdict::NotModified;
        }
    } else if let Some(since) = date(headers, "if-modified-since")
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether a range is still of what the client has a part of already (RFC 9110, 13.1.5).
pub(super) fn is_range_valid(headers: Headers<'_>, tag: &str, modified: u64) -> bool {
    if headers.get("if-range").is_none() {
        return true;
    }
    match only(headers, "if-range") {
        None => false,
        Some(condition) if condition.contains(&b'"') => trimmed(condition) == tag.as_bytes(),
        Some(_) => date(headers, "if-range") == Some(modified),
    }
}

/// The value of a field that may be there once; `None` for one that is there twice, whose values others could take for
/// another one.
pub(super) fn only<'a>(headers: Headers<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Whether a list of entity tags has `tag` in it, which is strong.
fn has_tag(mut list: &[u8], tag: &str, weak: bool) -> bool {
    if trimmed(list) == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let (is_weak, opaque) = match list {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        // A tag may have commas in it.
        let Some(end) = opaque.get(1..).and_then(|rest| memchr::memchr(b'"', rest)) else {
            return false;
        };
        let (found, rest) = opaque.split_at(end + 2);
        if found == tag.as_bytes() && (weak || !is_weak) {
            return true;
        }
        list = rest;
    }
}

/// A date in seconds; `None` for what is none, which is left out of account.
fn date(headers: Headers<'_>, name: &str) -> Option<u64> {
    let text = std::str::from_utf8(only(headers, name)?).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const SECOND: u64 = 784_111_777;

    fn verdict(fields: &[(&str, &[u8])], modified: u64) -> Verdict {
        check(Headers::new(fields).unwrap(), "\"a\"", modified)
    }

    #[test]
    fn conditions_in_their_order() {
        type Fields<'a> = &'a [(&'a str, &'a [u8])];
        let cases: [(Fields<'_>, u64, Verdict); 17] = [
            (&[], 0, Verdict::Send),
            (&[("If-Match", b"*")], 0, Verdict::Send),
            (&[("If-Match", b"\"b\", \"a\"")], 0, Verdict::Send),
            (&[("If-Match", b"\"b\""), ("If-Match", b"\"a\"")], 0, Verdict::Send),
            (&[("If-Match", b"W/\"a\"")], 0, Verdict::Failed),
            (&[("If-Match", b"\"b\"")], 0, Verdict::Failed),
            (&[("If-None-Match", b"\"a\"")], 0, Verdict::NotModified),
            (&[("If-None-Match", b"\"x,\", W/\"a\"")], 0, Verdict::NotModified),
            (&[("If-None-Match", b"*")], 0, Verdict::NotModified),
            (&[("If-None-Match", b"\"b\"")], 0, Verdict::Send),
            (&[("If-None-Match", b"nonsense")], 0, Verdict::Send),
            (&[("If-Modified-Since", THEN)], SECOND, Verdict::NotModified),
            (&[("If-Modified-Since", THEN)], SECOND + 1, Verdict::Send),
            (&[("If-Modified-Since", THEN), ("If-None-Match", b"\"b\"")], SECOND, Verdict::Send),
            (&[("If-Unmodified-Since", THEN)], SECOND + 1, Verdict::Failed),
            (&[("If-Unmodified-Since", b"yesterday")], SECOND + 1, Verdict::Send),
            // Twice is not at all (RFC 9110, 13.1.3).
            (&[("If-Modified-Since", THEN), ("If-Modified-Since", THEN)], SECOND, Verdict::Send),
        ];
        for (fields, modified, expected) in cases {
            assert_eq!(verdict(fields, modified), expected, "{fields:?}");
        }
    }

    #[test]
    fn ranges_of_what_has_changed_are_not_sent() {
        let valid = |condition: &[u8]| {
            is_range_valid(Headers::new(&[("If-Range", condition)]).unwrap(), "\"a\"", SECOND)
        };
        assert!(valid(b"\"a\"") && valid(THEN));
        assert!(
            !valid(b"\"b\"")
                && !valid(b"W/\"a\"")
                && !valid(b"Sun, 06 Nov 1994 08:49:38 GMT")
                && !valid(b"x")
        );
    }
}

use std::fmt;

use wharf::bytes::Bytes;

use super::{HttpError, Rule};
use crate::field_syntax::{is_token_text, is_value_text, list, trimmed};

/// The fields of a head or a trailer section, in order, lent.
///
/// Of a message that was received they are the bytes themselves, checked; nothing is copied and nothing allocated. So a
/// search looks at each line: whoever needs many fields goes over them once.
///
/// ```
/// use wharf_protocols::http::Headers;
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let headers = Headers::new(&[("Accept", b"text/html"), ("accept", b"text/plain")])?;
/// assert_eq!(headers.get("ACCEPT"), Some(&b"text/html"[..]));
/// assert_eq!(headers.get_all("accept").count(), 2);
/// assert!(Headers::new(&[("X", b"a\r\nY: b")]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'a>(Fields<'a>);

#[derive(Clone, Copy)]
enum Fields<'a> {
    /// Lines that were checked, without the empty one that ends them.
    Lines(&'a [u8]),
    Pairs(&'a [(&'a str, &'a [u8])]),
    /// What the `http` crate holds; its types hold nothing that cannot be sent.
    Map(&'a http::HeaderMap),
}

impl<'a> Headers<'a> {
    /// No fields.
    pub const EMPTY: Headers<'static> = Headers(Fields::Lines(&[]));

    /// Fields to send.
    ///
    /// # Errors
    /// [`Rule::FieldName`], [`Rule::FieldValue`]: what could not be sent as it is. White space around a value counts as
    /// such.
    #[inline]
    pub fn new(fields: &'a [(&'a str, &'a [u8])]) -> Result<Self, HttpError> {
        for (name, value) in fields {
            if !is_token_text(name.as_bytes()) {
                return Err(HttpError::of(Rule::FieldName));
            }
            if !is_value_text(value) {
                return Err(HttpError::of(Rule::FieldValue));
            }
        }
        Ok(Self(Fields::Pairs(fields)))
    }

    /// The fields of a map.
    ///
    /// # Errors
    /// [`Rule::FieldValue`] for a value with white space around it, which a peer would not see.
    pub fn from_map(map: &'a http::HeaderMap) -> Result<Self, HttpError> {
        match map.values().all(|value| is_value_text(value.as_bytes())) {
            true => Ok(Self(Fields::Map(map))),
            false => Err(HttpError::of(Rule::FieldValue)),
        }
    }

    pub(super) const fn lines(lines: &'a [u8]) -> Self {
        Self(Fields::Lines(lines))
    }

    /// The fields, names as they were sent.
    #[inline]
    pub fn iter(self) -> HeadersIter<'a> {
        HeadersIter(match self.0 {
            Fields::Lines(lines) => Rest::Lines(lines),
            Fields::Pairs(pairs) => Rest::Pairs(pairs.iter()),
            Fields::Map(map) => Rest::Map(map.iter()),
        })
    }

    /// The value of the first field of that name; capitals make no difference.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        if let Fields::Map(map) = self.0 {
            return map.get(name).map(|value| value.as_bytes());
        }
        self.get_all(name).next()
    }

    /// The values of all fields of that name, in order.
    pub fn get_all<'n>(self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let is_asked = |&(found, _): &(&str, &[u8])| found.eq_ignore_ascii_case(name);
        self.iter().filter(move |field| is_asked(field)).map(|(_, value)| value)
    }

    /// Whether a field of that name is a comma-separated list with `element` in it; capitals make no difference.
    pub fn has_element(self, name: &str, element: &str) -> bool {
        let element = element.as_bytes();
        self.get_all(name).any(|value| list(value).any(|each| each.eq_ignore_ascii_case(element)))
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The fields as a map of the `http` crate. Those of a message that was received are copied together: a value that is
    /// kept keeps all of them.
    pub fn to_map(self) -> http::HeaderMap {
        match self.0 {
            Fields::Lines(lines) => map_of(Bytes::copy_from_slice(lines)),
            Fields::Map(map) => map.clone(),
            Fields::Pairs(_) => {
                let mut lines = Vec::new();
                self.write_to(&mut lines);
                map_of(lines.into())
            }
        }
    }

    /// The lines of a message that was received; no others have any.
    pub(super) const fn as_lines(self) -> &'a [u8] {
        match self.0 {
            Fields::Lines(lines) => lines,
            Fields::Pairs(_) | Fields::Map(_) => &[],
        }
    }

    pub(super) fn write_to(self, output: &mut Vec<u8>) {
        if let Fields::Lines(lines) = self.0 {
            output.extend_from_slice(lines);
            return;
        }
        for (name, value) in self {
            output.extend_from_slice(name.as_bytes());
            output.extend_from_slice(b": ");
            output.extend_from_slice(value);
            output.extend_from_slice(b"\r\n");
        }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = HeadersIter<'a>;

    #[inline]
    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// The same fields in the same order; capitals in names make a difference.
impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

/// The fields of [`Headers`], as names and values.
pub struct HeadersIter<'a>(Rest<'a>);

enum Rest<'a> {
    Lines(&'a [u8]),
    Pairs(std::slice::Iter<'a, (&'a str, &'a [u8])>),
    Map(http::header::Iter<'a, http::HeaderValue>),
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a str, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rest::Pairs(pairs) => pairs.next().copied(),
            Rest::Lines(lines) => next_line(lines),
            Rest::Map(map) => next_entry(map),
        }
    }
}

/// Out of line, so that the other kinds are short.
#[inline(never)]
fn next_entry<'a>(
    map: &mut http::header::Iter<'a, http::HeaderValue>,
) -> Option<(&'a str, &'a [u8])> {
    map.next().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// The fields of lines that were checked, as parts of these.
pub(super) fn map_of(lines: Bytes) -> http::HeaderMap {
    let count = memchr::memchr_iter(b'\n', &lines).count();
    let mut map = http::HeaderMap::with_capacity(count);
    let mut rest = &*lines;
    while let Some((name, value)) = next_line(&mut rest) {
        // Neither can fail: both were checked by the same rules. A map has room for 32,768 fields.
        let name = http::HeaderName::from_bytes(name.as_bytes());
        let value = http::HeaderValue::from_maybe_shared(lines.slice_ref(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Takes a field off lines that were checked.
#[inline(never)]
fn next_line<'a>(lines: &mut &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    let end = memchr::memchr(b'\n', lines)?;
    let (line, rest) = lines.split_at(end + 1);
    *lines = rest;
    let colon = memchr::memchr(b':', line)?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((name, trimmed(&line[colon + 1..end - 1])))
}

impl fmt::Debug for HeadersIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadersIter").finish_non_exhaustive()
    }
}

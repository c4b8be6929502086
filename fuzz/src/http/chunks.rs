//! Another parser of chunked contents, which has the whole stream at once.

/// The data of chunked contents, one after the other, and whether nothing in them is wrong; they may be cut off.
pub(super) fn decoded(mut stream: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    while !stream.is_empty() {
        match content(stream, &mut data) {
            Some(Some(rest)) => stream = rest,
            // Cut off.
            Some(None) => return (data, true),
            None => return (data, false),
        }
    }
    (data, true)
}

/// What follows one content; `Some(None)` if it is cut off, `None` if it is wrong.
fn content<'a>(mut stream: &'a [u8], data: &mut Vec<u8>) -> Option<Option<&'a [u8]>> {
    loop {
        if stream.is_empty() {
            return Some(None);
        }
        let Some(end) = stream.windows(2).position(|end| end == b"\r\n") else {
            return is_size_line_begun(stream).then_some(None);
        };
        let size = size_line(&stream[..end])?;
        stream = &stream[end + 2..];
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= 1 << 40)?;
        data.extend_from_slice(&stream[..size.min(stream.len())]);
        if stream.len() <= size {
            return Some(None);
        }
        match &stream[size..] {
            [b'\r', b'\n', rest @ ..] => stream = rest,
            [b'\r'] => return Some(None),
            _ => return None,
        }
    }
    trailers(stream)
}

fn trailers(mut stream: &[u8]) -> Option<Option<&[u8]>> {
    // A section is looked at when it is whole, but for its line ends and its first byte.
    let mut lines = Vec::new();
    let is_whole = loop {
        let Some(end) = stream.iter().position(|&byte| byte == b'\n') else { break false };
        let line = stream[..end].strip_suffix(b"\r")?;
        stream = &stream[end + 1..];
        if line.is_empty() {
            break true;
        }
        lines.push(line);
    };
    if !is_whole {
        // A CR that begins the section can only be its end.
        let is_bare = match lines.first() {
            Some(first) => first.starts_with(b"\r"),
            None => stream.len() > 1 && stream[0] == b'\r',
        };
        return (!is_bare).then_some(None);
    }
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let is_framing = [
            "transfer-encoding",
            "content-length",
            "host",
            "connection",
            "upgrade",
            "expect",
            "trailer",
            "te",
            "content-encoding",
            "content-type",
            "content-range",
            "authorization",
        ]
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field.as_bytes()));
        if name.is_empty()
            || !name.iter().copied().all(is_token)
            || !value.iter().copied().all(is_text)
            || is_framing
        {
            return None;
        }
    }
    Some(Some(stream))
}

/// The size in a line without its end.
fn size_line(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 16 || !are_extensions(&line[digits..]) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

/// `*( BWS ";" BWS name [ BWS "=" BWS value ] )`
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(rest) = text.trim_ascii_start_blanks().strip_prefix(b";") else { return false };
        let Some(rest) = token(rest.trim_ascii_start_blanks()) else { return false };
        text = rest;
        if let Some(rest) = rest.trim_ascii_start_blanks().strip_prefix(b"=") {
            let rest = rest.trim_ascii_start_blanks();
            let rest = if rest.starts_with(b"\"") { quoted(&rest[1..]) } else { token(rest) };
            let Some(rest) = rest else { return false };
            text = rest;
        }
    }
    true
}

fn token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|&&byte| is_token(byte)).count();
    (length > 0).then(|| &text[length..])
}

fn quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..]
                if is_text(*byte) && *byte != b'\\' || text[0] == b'\\' =>
            {
                if !is_text(*byte) {
                    return None;
                }
                text = rest;
            }
            _ => return None,
        }
    }
}

/// Whether a line without an end can still become a size.
fn is_size_line_begun(line: &[u8]) -> bool {
    // The line must be whole before a CR.
    if let Some(line) = line.strip_suffix(b"\r") {
        return size_line(line).is_some();
    }
    if line.is_empty() {
        return false;
    }
    // Completed by what closes it, whatever is open.
    [&b""[..], b"0", b"a", b";a", b"\"", b"a\"", b"=a"]
        .iter()
        .any(|end| size_line(&[line, end].concat()).is_some())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

trait Blanks {
    fn trim_ascii_start_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_start_blanks(&self) -> &[u8] {
        let blanks = self.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        &self[blanks..]
    }
}

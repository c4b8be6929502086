use std::path::{Path, PathBuf};

/// The place below `root` that the path of a request names; `None` for one that names none.
///
/// It is put together of names that are checked when they are decoded, so there is nothing to be resolved.
pub(super) fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let mut place = root.to_owned();
    let names = path.strip_prefix('/')?;
    let names = names.strip_suffix('/').unwrap_or(names);
    if names.is_empty() {
        // "//" would be another host's, when it comes back as a location.
        return (path == "/").then_some(place);
    }
    for name in names.split('/') {
        let name = decoded(name)?;
        // Also those of dots alone, and hidden files.
        let is_plain = !name.is_empty()
            && !name.starts_with('.')
            && !name.chars().any(|each| matches!(each, '/' | '\\' | ':') || each.is_control());
        if !is_plain {
            return None;
        }
        place.push(name);
    }
    Some(place)
}

/// A name without its percent encoding.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let mut decoded = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

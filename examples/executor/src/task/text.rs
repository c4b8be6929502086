//! Texts that have a limit.

/// The longest error of a task that is kept, in bytes.
const MOST_ERROR: usize = 16 * 1024;

/// The error of a task as it is kept.
pub(crate) fn kept_error(error: &str) -> &str {
    beginning(error, MOST_ERROR)
}

/// The beginning of a text: at most so many bytes, and no half character.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A text in parts of at most so many bytes, which are at least four.
pub(crate) fn parts(mut text: &str, most: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let part = beginning(text, most);
        text = &text[part.len()..];
        (!part.is_empty()).then_some(part)
    })
}

//! Errors as text: one message, or the whole chain in one line.

use std::error::Error as StdError;
use std::fmt::{self, Write};

use super::Error;

/// `{error}` is the message of this error alone, `{error:#}` the whole chain.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if formatter.alternate() { write_chain(self, formatter) } else { self.message(formatter) }
    }
}

/// The whole chain in one line.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(self, formatter)
    }
}

impl Error {
    fn message(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let mut line = OneLine(formatter);
        match (&inner.context, &inner.source) {
            (Some(context), _) => line.write_str(context),
            (None, Some(source)) => write!(line, "{source}"),
            (None, None) => line.write_str(inner.kind.text()),
        }
    }
}

/// How many causes of an error are written. The sources of a user's error may lead back to itself.
const MOST_CAUSES: usize = 100;

/// Writes the message of `error` and of each of its causes, between colons.
///
/// Errors of other crates often contain the text of their source, which then is not written again.
pub(super) fn write_chain(
    error: &(dyn StdError + 'static),
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut line = OneLine(formatter);
    let mut written = message_of(error);
    line.write_str(&written)?;
    let mut next = error.source();
    for _ in 0..MOST_CAUSES {
        let Some(cause) = next else { return Ok(()) };
        let text = message_of(cause);
        if !written.ends_with(&text) {
            write!(line, ": {text}")?;
            written = text;
        }
        next = cause.source();
    }
    if next.is_some() { line.write_str(": …") } else { Ok(()) }
}

/// The message; of one whose `Display` fails, what it wrote before. (`to_string` would panic.)
fn message_of(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let _ = write!(text, "{error}");
    text
}

/// The whole chain of an error that may be the user's, whose `Display` may panic.
#[cfg(feature = "tls-core")]
pub(crate) fn text_of(error: &Error) -> String {
    crate::fence::run(|| format!("{error:#}")).unwrap_or_else(|panic| {
        format!("an error whose text cannot be had: {}", panic.into_error())
    })
}

/// Whether a character, which can be in a name from outside, would break a line or turn it around.
pub(crate) fn breaks_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes what [would break a line](breaks_a_line) as escapes.
pub(crate) struct OneLine<'a, 'b>(pub(crate) &'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(breaks_a_line) {
            let (plain, from) = rest.split_at(place);
            self.0.write_str(plain)?;
            let mut chars = from.chars();
            if let Some(breaking) = chars.next() {
                write!(self.0, "{}", breaking.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

//! Errors as text: one message, or the whole chain in one line.

use std::error::Error as StdError;
use std::fmt::{self, Write};

use super::Error;
use crate::fence;

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

/// Writes the message of `error` and of each of its causes, between colons.
///
/// Errors of other crates often contain the text of their source, which then is not written again.
pub(super) fn write_chain(
    error: &(dyn StdError + 'static),
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut line = OneLine(formatter);
    let mut written = error.to_string();
    line.write_str(&written)?;
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !written.ends_with(&text) {
            write!(line, ": {text}")?;
            written = text;
        }
        next = cause.source();
    }
    Ok(())
}

/// The whole chain of an error that may be the user's, whose `Display` may panic.
pub(crate) fn text_of(error: &Error) -> String {
    fence::run(|| format!("{error:#}")).unwrap_or_else(|panic| {
        format!("an error whose text cannot be had: {}", panic.into_error())
    })
}

/// Writes control characters, which can be in names from outside, as escapes.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(char::is_control) {
            let (plain, from) = rest.split_at(place);
            self.0.write_str(plain)?;
            let mut chars = from.chars();
            if let Some(control) = chars.next() {
                write!(self.0, "{}", control.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

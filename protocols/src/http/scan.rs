use super::{HttpError, Rule};

/// Looks for the empty line at which a section of lines ends: each byte is looked at once, however the section comes.
///
/// A line feed without a carriage return is refused here, so that a section which somebody else would take for ended is
/// not waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Where the section begins: behind an empty line that was left out.
    pub(super) start: usize,
    line_start: usize,
    searched: usize,
    pub(super) lines: usize,
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self { start: 0, line_start: 0, searched: 0, lines: 0 }
    }

    /// The length of the section with the empty line, if `bytes` holds all of it. `bytes` is what the section begins with,
    /// more each time.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let at = self.searched + found;
            if at == self.line_start || bytes[at - 1] != b'\r' {
                return Err(HttpError::at(Rule::BareLineFeed, at as u64));
            }
            let is_empty = at == self.line_start + 1;
            self.searched = at + 1;
            self.line_start = at + 1;
            if is_empty {
                return Ok(Some(at + 1));
            }
            self.lines += 1;
        }
        self.searched = bytes.len();
        Ok(None)
    }

    #[cfg(test)]
    pub(super) fn searched(&self) -> usize {
        self.searched
    }

    /// Begins the section anew behind an empty line, which was the first.
    pub(super) fn skip_empty_line(&mut self) {
        self.start = self.line_start;
    }
}

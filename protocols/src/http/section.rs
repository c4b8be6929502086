use super::scan::Scan;
use super::{HttpError, Rule};

/// A section of lines up to an empty one: a head, or trailers. It is lent from the input if it lies whole in it, and else
/// put together here.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// The beginning of a section whose end has not come; or one that was lent, until the next call.
    buffer: Vec<u8>,
    is_lent: bool,
    scan: Scan,
}

/// What to look out for in a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionRules {
    pub(super) max_length: usize,
    /// What a section that is longer breaks, first in its first line and then in others.
    pub(super) too_long: [Rule; 2],
    /// What its first byte may be, if that is not its empty line's.
    pub(super) first: fn(u8) -> Result<(), Rule>,
    pub(super) empty_lines_before: usize,
    /// Whether a section may have no lines.
    pub(super) may_be_empty: bool,
}

impl Section {
    pub(super) const fn new() -> Self {
        Self { buffer: Vec::new(), is_lent: false, scan: Scan::new() }
    }

    /// Takes a section out of `input`, and lends it with what came before it (empty lines) cut off. The number is of the
    /// bytes cut off. Offsets in errors count from the beginning of the section.
    pub(super) fn take<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        rules: &SectionRules,
    ) -> Result<Option<(&'a [u8], usize)>, HttpError> {
        self.release();
        let kept = self.buffer.len();
        if kept == 0 {
            let visible = &input[..input.len().min(rules.max_length)];
            if let Some(end) = self.find_end(visible, rules)? {
                let (section, rest) = input.split_at(end);
                *input = rest;
                let start = std::mem::take(&mut self.scan).start;
                return Ok(Some((&section[start..], start)));
            }
        } else {
            // Copies more than the section's rest, but no more than the limit, and once per section.
            let visible = &input[..input.len().min(rules.max_length.saturating_sub(kept))];
            self.keep(visible, rules.max_length);
            let buffer = std::mem::take(&mut self.buffer);
            let found = self.find_end(&buffer, rules);
            self.buffer = buffer;
            if let Some(end) = found? {
                *input = &input[end - kept..];
                let start = std::mem::take(&mut self.scan).start;
                self.is_lent = true;
                return Ok(Some((&self.buffer[start..end], start)));
            }
            *input = &[];
            return Ok(None);
        }
        self.keep(input, rules.max_length);
        *input = &[];
        Ok(None)
    }

    /// Gives back the memory of a section that was lent.
    #[inline]
    pub(super) fn release(&mut self) {
        if self.is_lent {
            self.is_lent = false;
            self.buffer = Vec::new();
        }
    }

    /// Whether something of a section has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.buffered().is_empty()
    }

    pub(super) fn buffered(&self) -> &[u8] {
        if self.is_lent { &[] } else { &self.buffer }
    }

    /// The memory held, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    pub(super) fn take_buffered(&mut self) -> Vec<u8> {
        let taken = std::mem::take(self);
        if taken.is_lent { Vec::new() } else { taken.buffer }
    }

    /// The length of the section that `bytes` begins with; `bytes` is no longer than the limit.
    fn find_end(&mut self, bytes: &[u8], rules: &SectionRules) -> Result<Option<usize>, HttpError> {
        let mut skipped = 0;
        loop {
            self.check_first(bytes, rules)?;
            let Some(end) = self.scan.find_end(bytes)? else {
                if bytes.len() < rules.max_length {
                    return Ok(None);
                }
                let rule = rules.too_long[self.scan.lines.min(1)];
                return Err(HttpError::at(rule, rules.max_length as u64));
            };
            if self.scan.lines > 0 || rules.may_be_empty {
                return Ok(Some(end));
            }
            skipped += 1;
            if end > 2 * rules.empty_lines_before || skipped > rules.empty_lines_before {
                return Err(HttpError::at(Rule::EmptyLine, (end - 2) as u64));
            }
            self.scan.skip_empty_line();
        }
    }

    /// Refuses at once what cannot become a section, instead of waiting for an end that may never come.
    fn check_first(&self, bytes: &[u8], rules: &SectionRules) -> Result<(), HttpError> {
        let at = self.scan.start;
        match *bytes.get(at..).unwrap_or_default() {
            [] | [b'\r'] | [b'\r', b'\n', ..] => Ok(()),
            [b'\r', ..] => Err(HttpError::at(Rule::BareCarriageReturn, at as u64)),
            [b'\n', ..] => Err(HttpError::at(Rule::BareLineFeed, at as u64)),
            [first, ..] => (rules.first)(first).map_err(|rule| HttpError::at(rule, at as u64)),
        }
    }

    fn keep(&mut self, bytes: &[u8], most: usize) {
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            let capacity = needed.max(2 * self.buffer.capacity()).max(64).min(most.max(needed));
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }
}

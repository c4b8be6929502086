//! The arguments of a control line.

use super::limits::Limits;
use super::{CodecError, Rule};

/// The operation and its arguments, as they stand in a line.
pub(super) struct Line<'a> {
    line: &'a [u8],
    /// The name of the operation, in any case.
    pub(super) name: &'a [u8],
}

impl<'a> Line<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        let end = line.iter().position(|&byte| is_blank(byte)).unwrap_or(line.len());
        Self { line, name: &line[..end] }
    }

    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// What stands behind the name, without the blanks in between.
    pub(super) fn rest(&self) -> &'a [u8] {
        let rest = &self.line[self.name.len()..];
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        &rest[blanks..]
    }

    /// From `LEAST` to `MOST` arguments, and how many there are.
    pub(super) fn arguments<const LEAST: usize, const MOST: usize>(
        &self,
    ) -> Result<([&'a [u8]; MOST], usize), CodecError> {
        let mut arguments: [&[u8]; MOST] = [&[]; MOST];
        let mut count = 0;
        let mut at = self.name.len();
        while at < self.line.len() {
            if is_blank(self.line[at]) {
                at += 1;
                continue;
            }
            let rest = &self.line[at..];
            let length = rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len());
            if count == MOST {
                return Err(CodecError::new(at, Rule::Arguments));
            }
            arguments[count] = &rest[..length];
            count += 1;
            at += length;
        }
        if count < LEAST {
            return Err(CodecError::new(self.line.len(), Rule::Arguments));
        }
        Ok((arguments, count))
    }

    pub(super) fn number(&self, digits: &[u8]) -> Result<u64, CodecError> {
        let refused = || CodecError::new(self.position(digits), Rule::Number);
        let mut number = 0_u64;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return Err(refused());
            }
            let next =
                number.checked_mul(10).and_then(|ten| ten.checked_add(u64::from(digit - b'0')));
            number = next.ok_or_else(refused)?;
        }
        if digits.is_empty() { Err(refused()) } else { Ok(number) }
    }

    /// A size within the limit for payloads.
    pub(super) fn size(&self, digits: &[u8], limits: &Limits) -> Result<usize, CodecError> {
        let max = limits.payload;
        let size = usize::try_from(self.number(digits)?).ok().filter(|&size| size <= max);
        size.ok_or_else(|| CodecError::new(self.position(digits), Rule::PayloadLength { max }))
    }

    /// The size of the headers, and that of headers and payload together.
    pub(super) fn sizes(
        &self,
        headers: &[u8],
        total: &[u8],
        limits: &Limits,
    ) -> Result<(usize, usize), CodecError> {
        let total = self.size(total, limits)?;
        let max = limits.headers.min(total);
        let size = usize::try_from(self.number(headers)?).ok().filter(|&size| size <= max);
        let refused = || {
            let max = limits.headers;
            CodecError::new(self.position(headers), Rule::HeadersLength { max })
        };
        Ok((size.ok_or_else(refused)?, total))
    }

    /// Where a part of the line begins.
    fn position(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.line.as_ptr().addr()
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

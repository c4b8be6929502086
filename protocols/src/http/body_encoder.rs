use super::facts::is_forbidden_trailer;
use super::{ContentLength, Headers, HttpError, Rule};

/// Where a message that is being sent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEncoder {
    /// Before a head.
    Idle,
    Exact(u64),
    Chunked,
    /// Chunked, and the trailers are sent: only the end is left.
    Ended,
    UntilClose,
    /// Nothing more can be sent as HTTP.
    Closed,
}

impl BodyEncoder {
    pub(super) const fn of(length: ContentLength) -> Self {
        match length {
            ContentLength::Exact(length) => Self::Exact(length),
            ContentLength::Chunked => Self::Chunked,
            ContentLength::UntilClose => Self::UntilClose,
        }
    }

    pub(super) fn data(&mut self, data: &[u8], output: &mut Vec<u8>) -> Result<(), HttpError> {
        match self {
            Self::Exact(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(HttpError::of(Rule::LengthMismatch))?;
                output.extend_from_slice(data);
            }
            Self::UntilClose => output.extend_from_slice(data),
            // A chunk of no bytes would be the end.
            Self::Chunked if data.is_empty() => {}
            Self::Chunked => {
                write_chunk_size(data.len() as u64, output);
                output.extend_from_slice(data);
                output.extend_from_slice(b"\r\n");
            }
            Self::Idle | Self::Ended | Self::Closed => return Err(HttpError::of(Rule::Order)),
        }
        Ok(())
    }

    pub(super) fn trailers(
        &mut self,
        trailers: Headers<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), HttpError> {
        if *self != Self::Chunked {
            return Err(HttpError::of(Rule::Order));
        }
        if trailers.iter().any(|(name, _)| is_forbidden_trailer(name.as_bytes())) {
            return Err(HttpError::of(Rule::TrailerNotAllowed));
        }
        *self = Self::Ended;
        output.extend_from_slice(b"0\r\n");
        trailers.write_to(output);
        output.extend_from_slice(b"\r\n");
        Ok(())
    }

    pub(super) fn end(&mut self, output: &mut Vec<u8>) -> Result<(), HttpError> {
        *self = match self {
            Self::Exact(0) | Self::Ended => Self::Idle,
            Self::Exact(_) => return Err(HttpError::of(Rule::LengthMismatch)),
            Self::Chunked => {
                output.extend_from_slice(b"0\r\n\r\n");
                Self::Idle
            }
            Self::UntilClose => Self::Closed,
            Self::Idle | Self::Closed => return Err(HttpError::of(Rule::Order)),
        };
        Ok(())
    }
}

/// Writes the size of a chunk and its line end.
pub(super) fn write_chunk_size(size: u64, output: &mut Vec<u8>) {
    let digits = (16 - size.leading_zeros() as usize / 4).max(1);
    for digit in (0..digits).rev() {
        output.push(b"0123456789abcdef"[(size >> (4 * digit)) as usize & 15]);
    }
    output.extend_from_slice(b"\r\n");
}

//! How much waits to be sent before writing pauses.

use crate::error::Error;

/// The water marks of a write buffer, in bytes: writing pauses above `high`, and resumes at or below
/// `low`.
///
/// asyncio's `high` and `low` of `set_write_buffer_limits`. A `low` above `high` is refused
/// where the marks are set.
///
/// ```
/// use wharf::WaterMarks;
///
/// assert_eq!(WaterMarks::default(), WaterMarks { low: 16 * 1024, high: 64 * 1024 });
/// assert_eq!(WaterMarks::from_high(1000), WaterMarks { low: 250, high: 1000 });
/// assert_eq!(WaterMarks::from_low(1000), WaterMarks { low: 1000, high: 4000 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaterMarks {
    /// At or below it, writing resumes.
    pub low: usize,
    /// Above it, writing pauses.
    pub high: usize,
}

impl WaterMarks {
    /// `high`, and a `low` of a quarter of it.
    pub const fn from_high(high: usize) -> Self {
        Self { low: high / 4, high }
    }

    /// `low`, and a `high` of four times as much.
    pub const fn from_low(low: usize) -> Self {
        Self { low, high: low.saturating_mul(4) }
    }

    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when `low` is above `high`.
    pub(crate) fn check(self) -> Result<(), Error> {
        let Self { low, high } = self;
        if low <= high {
            return Ok(());
        }
        let text = format!("the low-water mark ({low}) is above the high-water mark ({high})");
        Err(Error::invalid(text))
    }
}

impl Default for WaterMarks {
    /// 16 KiB and 64 KiB.
    fn default() -> Self {
        Self::from_high(64 * 1024)
    }
}

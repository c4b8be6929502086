//! Tasks that are submitted again and again, by a calendar or a clock.
//!
//! What is due when is decided here, and by the [coordinator](crate::coordinator), which is told what time it is.

mod name;
mod record;
#[cfg(test)]
mod tests;
mod timing;

pub use name::{InvalidScheduleName, ScheduleName};
pub use record::{Missed, Overlap, Schedule, ScheduleRecord, When};
pub use timing::{InvalidTiming, Timing};

//! Tasks that are submitted again and again, by a calendar or a clock.
//!
//! What is due when is decided here, with no clock: the [coordinator](crate::coordinator), or workers on NATS, say what time
//! it is.

mod decide;
mod name;
mod record;
#[cfg(test)]
mod tests;
mod timing;

pub(crate) use decide::SET_BACK;
pub use decide::ScheduleRefused;
pub use name::{InvalidScheduleName, ScheduleName};
pub use record::{Missed, Overlap, Schedule, ScheduleRecord, When};
pub use timing::{InvalidTiming, Timing};

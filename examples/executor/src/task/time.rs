//! The two clocks of an executor.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment that outlives a restart: milliseconds since 1970 by the coordinator's wall clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// That of a system's clock; 1970 if it is before.
    pub fn from_system_time(time: SystemTime) -> Self {
        Self::default().after(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// So much later; the end of time at most.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What time it is, by both clocks.
///
/// What must survive a restart is told by the wall clock, which may jump: delays, deadlines, the end of results. Leases
/// are told by the loop's clock, which does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// By the loop's clock, since it began.
    pub elapsed: Duration,
    /// By the wall clock.
    pub wall: Timestamp,
}

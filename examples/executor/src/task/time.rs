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
    /// What time it is by this machine's clock. Whatever decides is told the time, and does not ask for it.
    pub fn now() -> Self {
        Self::from_system_time(SystemTime::now())
    }

    /// That of a system's clock; 1970 if it is before.
    pub fn from_system_time(time: SystemTime) -> Self {
        Self::default().after(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// How long it is until another moment; nothing if that is over.
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// So much later; the end of time at most.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(wait)))
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

/// A duration as tasks have it; the longest there is at most.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! Durations as JetStream writes them: whole nanoseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let nanoseconds = Option::<i64>::deserialize(deserializer)?.unwrap_or_default();
    Ok(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default()))
}

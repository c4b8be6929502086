//! Values of options.

use std::time::Duration;

use chrono::DateTime;

use crate::schedule::{InvalidScheduleName, ScheduleName};
use crate::task::{Backoff, InvalidName, Kind, Priority, TaskId, Timestamp, milliseconds};

pub(super) fn kind(text: &str) -> Result<Kind, InvalidName> {
    Kind::new(text)
}

pub(super) fn id(text: &str) -> Result<TaskId, InvalidName> {
    TaskId::new(text)
}

pub(super) fn schedule(text: &str) -> Result<ScheduleName, InvalidScheduleName> {
    ScheduleName::new(text)
}

pub(super) fn priority(text: &str) -> Result<Priority, String> {
    let level: u8 = text.parse().map_err(|error| format!("{error}"))?;
    Priority::try_from(level).map_err(str::to_owned)
}

/// `10s`, `1m30s`, `2h`, `1day`; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration is 10s, 1m30s, 2h or 1day"))
}

/// As in RFC 3339, or in milliseconds since 1970.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(milliseconds) = text.parse() {
        return Ok(Timestamp(milliseconds));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
        format!("{error}; a time is 2030-01-31T12:00:00Z, or milliseconds since 1970")
    })?;
    let milliseconds = u64::try_from(time.timestamp_millis());
    milliseconds.map(Timestamp).map_err(|_| "that was before 1970".to_owned())
}

/// A duration from now, or a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    In(Duration),
    At(Timestamp),
}

impl Moment {
    pub(super) fn timestamp(self) -> Timestamp {
        match self {
            Self::In(wait) => Timestamp::now().after(wait),
            Self::At(time) => time,
        }
    }
}

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    // A large number alone is a time.
    if text.parse::<f64>().is_err()
        && let Ok(wait) = humantime::parse_duration(text)
    {
        return Ok(Moment::In(wait));
    }
    time(text).map(Moment::At).map_err(|error| format!("{error}, or a duration from now: 1h"))
}

/// `FIRST` or `FIRST..LONGEST`, which are durations.
pub(super) fn backoff(text: &str) -> Result<Backoff, String> {
    let wait = |text: &str| duration(text).map(milliseconds);
    let (first, longest) = match text.split_once("..") {
        Some((first, longest)) => (wait(first)?, wait(longest)?),
        None => {
            let first = wait(text)?;
            (first, first.max(Backoff::default().longest))
        }
    };
    if first > longest {
        return Err("the first wait is not above the longest".to_owned());
    }
    Ok(Backoff { initial: first, longest })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Moment, backoff, duration, moment, time};
    use crate::task::Timestamp;

    #[test]
    fn durations_and_times_are_what_people_write() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1_500)));
        assert!(duration("soon").unwrap_err().contains("1m30s"));
        assert!(duration("-1").is_err());
        assert_eq!(time("1893456000000"), Ok(Timestamp(1_893_456_000_000)));
        assert_eq!(time("2030-01-01T01:00:00+01:00"), Ok(Timestamp(1_893_456_000_000)));
        assert!(time("1960-01-01T00:00:00Z").is_err());
        assert!(time("tomorrow").unwrap_err().contains("2030-01-31T12:00:00Z"));
        assert!(matches!(moment("1h"), Ok(Moment::In(wait)) if wait == Duration::from_secs(3_600)));
        assert!(matches!(moment("1893456000000"), Ok(Moment::At(Timestamp(1_893_456_000_000)))));
        assert!(moment("never").is_err());
    }

    #[test]
    fn a_backoff_is_the_first_wait_and_the_longest() {
        let told = |text| backoff(text).map(|backoff| (backoff.initial, backoff.longest));
        assert_eq!(told("2s"), Ok((2_000, 600_000)));
        assert_eq!(told("1h"), Ok((3_600_000, 3_600_000)));
        assert_eq!(told("2s..1m"), Ok((2_000, 60_000)));
        assert!(told("2m..1m").is_err());
    }
}

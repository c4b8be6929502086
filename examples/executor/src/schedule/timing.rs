//! When a schedule is due.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::Cron;

use super::When;
use crate::task::Timestamp;

/// The shortest interval, in milliseconds.
const SHORTEST: u64 = 1_000;

/// No zone skips more hours, with what is left of the day before.
const LONGEST_GAP: u64 = 48;

/// The times of a schedule.
#[derive(Clone, Debug)]
pub struct Timing(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Cron(Box<Cron>, Tz),
    Every { period: u64, from: u64 },
}

/// An expression or a time zone that is none, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTiming(Box<str>);

impl Timing {
    /// The times of `when`; intervals are counted from `added`.
    ///
    /// # Errors
    /// It is no cron expression, no time zone, or too short an interval.
    pub fn new(when: &When, added: Timestamp) -> Result<Self, InvalidTiming> {
        match when {
            When::Cron { expression, zone } => {
                let cron = Cron::from_str(expression).map_err(|error| {
                    InvalidTiming(format!("{expression:?} is no cron expression: {error}").into())
                })?;
                let zone = Tz::from_str(zone)
                    .map_err(|_| InvalidTiming(format!("there is no time zone {zone:?}").into()))?;
                Ok(Self(Kind::Cron(Box::new(cron), zone)))
            }
            When::Every(period) if *period < SHORTEST => {
                Err(InvalidTiming("an interval is one second at least".into()))
            }
            // It goes on when the clock is set back before that.
            When::Every(period) => {
                Ok(Self(Kind::Every { period: *period, from: added.0 % *period }))
            }
        }
    }

    /// The first time after another; `None`: there is none.
    ///
    /// A time of the day that the zone skips in spring is the first after the gap; one that it has twice in autumn is the
    /// first of both. Of times that are not the same each day (`*/10`) those in the gap are left out, and those in the
    /// hour that comes twice come twice.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Cron(cron, zone) => {
                let next = |begin: Timestamp| {
                    let next = cron.find_next_occurrence(&moment(*zone, begin)?, false).ok()?;
                    timestamp(&next).filter(|next| *next > time)
                };
                let later = |hours: u64| time.after(Duration::from_secs(hours * 3_600));
                if let Some(next) = next(time) {
                    return Some(next);
                }
                // A day that a zone skips as a whole is an error: it is looked behind it, if there is something.
                next(later(LONGEST_GAP))?;
                (1..=LONGEST_GAP).find_map(|hours| next(later(hours)))
            }
            Kind::Every { period, from } => {
                let passed = time.0.checked_sub(*from).map_or(0, |passed| passed / period + 1);
                passed.checked_mul(*period)?.checked_add(*from).map(Timestamp)
            }
        }
    }

    /// The last time until another, which may be that; `None`: there is none.
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Cron(cron, zone) => {
                let last = cron.find_previous_occurrence(&moment(*zone, time)?, true).ok()?;
                timestamp(&last).filter(|last| *last <= time)
            }
            Kind::Every { period, from } => {
                let passed = time.0.checked_sub(*from)? / period;
                Some(Timestamp(from + passed * period))
            }
        }
    }
}

impl fmt::Display for InvalidTiming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTiming {}

fn moment(zone: Tz, time: Timestamp) -> Option<DateTime<Tz>> {
    zone.timestamp_millis_opt(i64::try_from(time.0).ok()?).single()
}

fn timestamp(moment: &DateTime<Tz>) -> Option<Timestamp> {
    u64::try_from(moment.timestamp_millis()).ok().map(Timestamp)
}

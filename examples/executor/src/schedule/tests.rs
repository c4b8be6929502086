use chrono::DateTime;

use super::{ScheduleName, Timing, When};
use crate::task::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis() as u64)
}

fn cron(expression: &str, zone: &str) -> Timing {
    let when = When::Cron { expression: expression.into(), zone: zone.into() };
    Timing::new(&when, at("2026-01-01T00:00:00Z")).unwrap()
}

/// The times after another, until they are over.
fn times(timing: &Timing, mut time: Timestamp, until: &str) -> Vec<String> {
    let mut times = Vec::new();
    while let Some(next) = timing.next_after(time).filter(|next| *next <= at(until)) {
        assert_eq!(timing.last_until(next), Some(next));
        times.push(ScheduleName::new("x").unwrap().task_id(next).as_str()[2..].to_owned());
        time = next;
    }
    times
}

#[test]
fn cron_expressions_have_minutes_and_may_have_seconds() {
    let begin = at("2026-01-01T00:00:00Z");
    let daily = times(&cron("30 2 * * *", "UTC"), begin, "2026-01-03T00:00:00Z");
    assert_eq!(daily, ["2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"]);
    let seconds = times(&cron("*/20 * * * * *", "UTC"), begin, "2026-01-01T00:00:45Z");
    assert_eq!(seconds, ["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"]);
    let working = times(&cron("0 9 * * MON-FRI", "Asia/Kolkata"), begin, "2026-01-05T23:00:00Z");
    assert_eq!(working, ["2026-01-01T03:30:00Z", "2026-01-02T03:30:00Z", "2026-01-05T03:30:00Z"]);
    assert_eq!(times(&cron("@daily", "UTC"), begin, "2026-01-02T12:00:00Z").len(), 1);
    assert_eq!(cron("0 0 30 2 *", "UTC").next_after(begin), None);
}

#[test]
fn a_time_that_summer_time_skips_is_the_first_after_the_gap_and_one_that_comes_twice_comes_once() {
    let daily = cron("30 2 * * *", "Europe/Paris");
    let spring = times(&daily, at("2026-03-28T12:00:00Z"), "2026-03-30T12:00:00Z");
    assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let autumn = times(&daily, at("2026-10-24T12:00:00Z"), "2026-10-26T12:00:00Z");
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // Each half an hour is each half an hour, whatever it is called.
    let often = cron("*/30 * * * *", "Europe/Paris");
    for (from, until) in [
        ("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"),
        ("2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z"),
    ] {
        assert_eq!(times(&often, at(from), until).len(), 6, "{from}");
    }
}

#[test]
fn intervals_are_counted_from_when_it_was_added() {
    let begin = at("2026-01-01T00:00:07Z");
    let timing = Timing::new(&When::Every(10_000), begin).unwrap();
    assert_eq!(timing.next_after(begin), Some(at("2026-01-01T00:00:17Z")));
    assert_eq!(timing.next_after(at("2026-01-01T00:00:16.999Z")), Some(at("2026-01-01T00:00:17Z")));
    assert_eq!(timing.last_until(at("2026-01-01T00:00:36Z")), Some(at("2026-01-01T00:00:27Z")));
    // The clock was set back before it.
    let before = at("2025-12-31T23:59:59Z");
    assert_eq!(timing.next_after(before), Some(at("2026-01-01T00:00:07Z")));
    assert_eq!(timing.next_after(Timestamp(before.0 - 10_000)), Some(at("2025-12-31T23:59:57Z")));
    assert_eq!(timing.last_until(Timestamp(5)), None);
    assert_eq!(timing.next_after(Timestamp(u64::MAX)), None);
}

#[test]
fn what_is_no_expression_and_no_zone_is_an_error_that_says_which() {
    let invalid = |expression: &str, zone: &str| {
        let when = When::Cron { expression: expression.into(), zone: zone.into() };
        Timing::new(&when, Timestamp(0)).unwrap_err().to_string()
    };
    assert!(invalid("61 * * * *", "UTC").starts_with("\"61 * * * *\" is no cron expression: "));
    assert!(invalid("soon", "UTC").contains("is no cron expression"));
    assert_eq!(invalid("@daily", "Paris"), "there is no time zone \"Paris\"");
    let short = Timing::new(&When::Every(999), Timestamp(0)).unwrap_err();
    assert_eq!(short.to_string(), "an interval is one second at least");
}

#[test]
fn the_id_of_a_task_is_the_name_and_the_time() {
    let name = ScheduleName::new(&"x".repeat(32)).unwrap();
    let id = |time| name.task_id(time).as_str()[33..].to_owned();
    assert_eq!(id(at("2030-01-31T12:00:00Z")), "2030-01-31T12:00:00Z");
    assert_eq!(id(at("2030-01-31T12:00:00.007Z")), "2030-01-31T12:00:00.007Z");
    assert_eq!(id(Timestamp(u64::MAX)), u64::MAX.to_string());
    assert_eq!(
        id(at("9999-12-31T23:59:59.999Z").after(std::time::Duration::from_secs(1))),
        "10000-01-01T00:00:00.999Z"
    );
    for wrong in ["", "a b", &"x".repeat(33)] {
        assert!(ScheduleName::new(wrong).is_err());
    }
}

/// Wherever and whenever clocks are changed: by an hour, by half of one, at midnight.
#[test]
fn no_change_of_the_clocks_stops_a_schedule_or_lets_it_go_backwards() {
    const HOUR: u64 = 3_600_000;
    for (zone, change) in [
        ("Europe/Vienna", "2025-10-26T01:00:00Z"),
        ("Europe/Vienna", "2026-03-29T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("America/Santiago", "2026-04-05T03:00:00Z"),
        ("America/Santiago", "2026-09-06T04:00:00Z"),
        ("Pacific/Chatham", "2026-04-04T14:00:00Z"),
        ("Pacific/Chatham", "2026-09-26T14:00:00Z"),
        ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
        ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
        ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ] {
        let change = at(change);
        for expression in [
            "* * * * * *",
            "*/10 * * * *",
            "15 * * * *",
            "0 */2 * * *",
            "30 2 * * *",
            "0 0 * * *",
            "45 3 * * *",
            "15,45 0-3 * * *",
            "0 3 * * SUN",
        ] {
            let timing = cron(expression, zone);
            for minutes in (0..240).step_by(39) {
                let mut time = Timestamp(change.0 - 2 * HOUR + minutes * 60_000 + 1);
                for _ in 0..3 {
                    let Some(next) = timing.next_after(time) else {
                        panic!("{expression} in {zone}: nothing comes after {}", time.0)
                    };
                    let most = match expression {
                        "* * * * * *" => 1_001,
                        "*/10 * * * *" => 600_001,
                        "15 * * * *" => 90 * 60_000,
                        _ => 9 * 24 * HOUR,
                    };
                    let wait = next.0 - time.0;
                    assert!(wait <= most, "{expression} in {zone}: {wait} ms after {}", time.0);
                    assert_eq!(timing.last_until(next), Some(next), "{expression} in {zone}");
                    time = next;
                }
            }
        }
    }
}

#[test]
fn a_day_that_a_zone_skips_stops_no_schedule() {
    const DAY: u64 = 24 * 3_600_000;
    // After 29 December 2011 came the 31st.
    for expression in ["30 2 * * *", "*/10 * * * *"] {
        let timing = cron(expression, "Pacific/Apia");
        for hours in [0, 20, 24, 27] {
            let time = Timestamp(at("2011-12-29T08:00:00.001Z").0 + hours * 3_600_000);
            let next = timing.next_after(time).map(|next| next.0 - time.0);
            assert!(next.is_some_and(|wait| wait <= 2 * DAY), "{expression} {hours}: {next:?}");
        }
    }
}

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
    assert_eq!(timing.next_after(Timestamp(5)), Some(begin));
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

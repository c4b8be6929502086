use serde::Serialize;
use serde::de::DeserializeOwned;
use wharf_executor::nats::QueuedTask;
use wharf_executor::schedule::{Schedule, ScheduleRecord, Timing, When};
use wharf_executor::task::{Record, Spec, Timestamp};

/// What the executor reads besides messages: what others have written to a server of NATS, and schedules. Text that is
/// taken is written again as what is read as the same; the times of a schedule go forward, and both ways to look for one
/// agree.
///
/// | first byte | what the rest is |
/// |---|---|
/// | `t` | a task that is asked for, as JSON |
/// | `q` | one that waits |
/// | `r` | what became of one |
/// | `s`, `S` | a schedule, and what became of it |
/// | `c` | a cron expression, a time zone and a time in milliseconds, a line each |
/// | `e` | an interval, when it was added, and a time, in milliseconds, a line each |
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((what, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match what {
        b't' => drop(stays_the_same::<Spec>(text).map(|spec| spec.check())),
        b'q' => drop(stays_the_same::<QueuedTask>(text)),
        b'r' => drop(stays_the_same::<Record>(text).map(|record| record.outcome())),
        b's' => drop(stays_the_same::<Schedule>(text)),
        b'S' => {
            let Some(record) = stays_the_same::<ScheduleRecord>(text) else { return };
            times(&record.schedule.when, record.added, record.next.unwrap_or(record.added));
        }
        b'c' => {
            let mut lines = text.splitn(3, '\n').map(Box::from);
            let (Some(expression), Some(zone)) = (lines.next(), lines.next()) else { return };
            let time = Timestamp(number(lines.next()));
            times(&When::Cron { expression, zone }, time, time);
        }
        b'e' => {
            let mut lines = text.splitn(3, '\n').map(Box::from);
            let mut next = || number(lines.next());
            times(&When::Every(next()), Timestamp(next()), Timestamp(next()));
        }
        _ => {}
    }
}

fn number(text: Option<Box<str>>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The value of a text, which is that of its own text, too.
fn stays_the_same<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&value).unwrap();
    let again: T = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("{text} became {written}: {error}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    Some(value)
}

fn times(when: &When, added: Timestamp, time: Timestamp) {
    let Ok(timing) = Timing::new(when, added) else { return };
    let mut last = time;
    for _ in 0..3 {
        let Some(next) = timing.next_after(last) else { return };
        assert!(next > last, "{when:?}: {next:?} comes after {last:?}");
        assert_eq!(timing.last_until(next), Some(next), "{when:?}: {next:?} after {last:?}");
        last = next;
    }
    if let Some(before) = timing.last_until(time) {
        assert!(before <= time);
    }
}

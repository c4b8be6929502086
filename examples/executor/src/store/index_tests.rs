use super::{Found, Index, Key};
use crate::task::{Kind, Outcome, Phase, Record, Spec, State, TaskId, Timestamp};

fn record(kind: &str, state: State) -> Record {
    let args = serde_json::value::RawValue::NULL.to_owned();
    let spec = Spec::new(Kind::new(kind).unwrap(), args);
    let record = Record::new(TaskId::new("x").unwrap(), spec, Timestamp(0));
    Record { state, ..record }
}

fn queued(kind: &str) -> Record {
    record(kind, State::Queued { since: Timestamp(0) })
}

fn failed() -> Record {
    record("a", State::Ended { outcome: Outcome::Failed, at: Timestamp(0) })
}

#[test]
fn a_failed_task_is_found_among_a_million_in_a_call_or_two() {
    let mut index = Index::default();
    let (waits, fails) = (queued("a"), failed());
    for key in 1..=1_000_000 {
        index.put(Key(key), &waits);
    }
    index.put(Key(7), &fails);
    index.put(Key(700_000), &fails);
    let found = index.find(Some(Phase::Failed), None, None, 100);
    assert_eq!(found, Found { keys: vec![Key(700_000), Key(7)], before: None });
    // What is not counted by chunk is searched a part at a time.
    index.put(Key(3), &queued("b"));
    let rare = Kind::new("b").unwrap();
    let (mut before, mut calls) = (None, 0);
    let found = loop {
        calls += 1;
        let found = index.find(None, Some(&rare), before, 100);
        if !found.keys.is_empty() {
            break found;
        }
        before = Some(found.before.unwrap());
    };
    assert_eq!((found.keys, calls), (vec![Key(3)], 4));
}

#[test]
fn what_is_forgotten_takes_no_room() {
    let mut index = Index::default();
    for key in 1..=100_000 {
        index.put(Key(key), &queued("a"));
        if key > 10 {
            index.remove(Key(key - 10));
        }
    }
    assert_eq!((index.counts().sum(), index.chunks.len()), (10, 1));
    index.remove(Key(5));
    assert_eq!(index.counts().of(Phase::Queued), 10);
    assert_eq!(index.changes().submitted, 100_000);
}

#[test]
fn very_many_kinds_are_found_by_reading() {
    let mut index = Index::default();
    for key in 0..20_000 {
        index.put(Key(key), &queued(&format!("k{key}")));
    }
    let find = |kind: &str| index.find(None, Some(&Kind::new(kind).unwrap()), None, 1).keys;
    assert_eq!(find("k9999"), [Key(9_999)]);
    // Any of those that are not told from each other.
    assert_eq!(find("k15000"), [Key(19_999)]);
    assert_eq!(index.kinds().count(), 10_000);
    assert_eq!(index.counts().sum(), 20_000);
}

#[test]
fn ends_are_counted_once_each() {
    let mut index = Index::default();
    index.add(Key(1), &failed());
    index.put(Key(2), &queued("a"));
    index.put(Key(2), &failed());
    index.put(Key(2), &failed());
    index.put(Key(2), &queued("a"));
    index.put(Key(2), &failed());
    let changes = index.changes();
    assert_eq!((changes.submitted, changes.ended.of(Phase::Failed)), (1, 2));
    assert_eq!(index.counts().of(Phase::Failed), 2);
}

mod output;

use std::rc::Rc;

use serde_json::value::RawValue;

use super::{Batch, Change, DiskStore, EncodedBatch, Journal, Key, MemoryStore, Store as _};
use crate::schedule::{Missed, Overlap, Schedule, ScheduleName, ScheduleRecord, When};
use crate::task::{Kind, Outcome, Record, Spec, State, TaskId, Timestamp};

fn record(id: &str) -> Record {
    let args = RawValue::from_string(r#"{"path": ["a", 1.50]}"#.into()).unwrap();
    let spec = Spec::new(Kind::new("wordcount").unwrap(), args);
    Record::new(TaskId::new(id).unwrap(), spec, Timestamp(7))
}

fn batch(number: u64, changes: impl IntoIterator<Item = (u64, Change)>) -> Batch {
    let changes = changes.into_iter().map(|(key, change)| (Key(key), change)).collect();
    Batch { number, changes, output: Vec::new(), schedules: Vec::new() }
}

fn commit(store: &DiskStore, batch: &Batch) {
    store.writer().commit(&[EncodedBatch::new(batch).unwrap()]).unwrap();
}

#[test]
fn what_is_committed_is_there_when_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks");
    let states = [
        State::Blocked { parents: 2 },
        State::Delayed { until: Timestamp(9) },
        State::Queued { since: Timestamp(8) },
        State::Running { worker: "w".into(), fence: 5, since: Timestamp(8), cancelled: true },
        State::Ended { outcome: Outcome::Succeeded, at: Timestamp(8) },
    ];
    let store = DiskStore::open(&path).unwrap();
    assert_eq!(store.epoch(), 1);
    let put = |(key, state): (usize, &State)| {
        let mut record = Record { state: state.clone(), ..record(&format!("t{key}")) };
        record.result = Some(Rc::from(RawValue::from_string("[1.50]".into()).unwrap()));
        (key as u64, Change::New(Rc::new(record)))
    };
    commit(&store, &batch(1, states.iter().enumerate().map(put)));
    drop(store);
    let store = DiskStore::open(&path).unwrap();
    assert_eq!(store.epoch(), 2);
    let mut found = Vec::new();
    store
        .for_each(&mut |key, record| {
            assert_eq!(store.key_of(&record.id)?, Some(key));
            assert_eq!(record.spec.args.get(), r#"{"path": ["a", 1.50]}"#);
            assert_eq!(record.result.unwrap().get(), "[1.50]");
            found.push(format!("{:?}", record.state));
            Ok(())
        })
        .unwrap();
    assert_eq!(found, states.map(|state| format!("{state:?}")));
}

#[test]
fn a_removed_task_leaves_its_id_to_a_newer_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&directory.path().join("tasks")).unwrap();
    let mut memory = MemoryStore::new();
    let old = record("x");
    let id = old.id.clone();
    let batches = [
        batch(1, [(1, Change::New(Rc::new(old)))]),
        batch(2, [(2, Change::New(Rc::new(record("x")))), (1, Change::Remove(id.clone()))]),
    ];
    for batch in &batches {
        commit(&store, batch);
        memory.apply(batch);
    }
    for store in [&store as &dyn super::Store, &memory] {
        assert_eq!(store.key_of(&id).unwrap(), Some(Key(2)));
        assert!(store.record(Key(1)).unwrap().is_none());
    }
    commit(&store, &batch(3, [(2, Change::Remove(id.clone()))]));
    assert_eq!(store.key_of(&id).unwrap(), None);
}

#[test]
fn a_store_is_copied_while_it_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let store = DiskStore::open(&path("tasks")).unwrap();
    commit(
        &store,
        &batch(1, (0..1_000).map(|key| (key, Change::New(Rc::new(record(&format!("t{key}"))))))),
    );
    store.writer().back_up(&path("copy")).unwrap();
    commit(&store, &batch(2, [(0, Change::Remove(TaskId::new("t0").unwrap()))]));
    let copy = DiskStore::open(&path("copy")).unwrap();
    let mut count = 0;
    copy.for_each(&mut |_, _| {
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!((count, copy.epoch()), (1_000, 2 + (1 << 16)));
    // A part of it is none, wherever it ends.
    drop(copy);
    let whole = std::fs::read(path("copy")).unwrap();
    for length in (1..8).map(|part| whole.len() * part / 8).chain([1, 100, 4096, whole.len() - 1]) {
        std::fs::write(path("part"), &whole[..length]).unwrap();
        if let Ok(store) = DiskStore::open(&path("part")) {
            let mut count = 0;
            let read = store.for_each(&mut |_, _| {
                count += 1;
                Ok(())
            });
            assert!(read.is_err() || count == 1_000, "{length} of {} bytes", whole.len());
        }
    }
    assert!(
        store
            .writer()
            .back_up(&path("copy"))
            .unwrap_err()
            .to_string()
            .ends_with("is there already")
    );
}

#[test]
fn a_store_has_one_owner_and_must_be_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks");
    let _store = DiskStore::open(&path).unwrap();
    assert!(DiskStore::open(&path).is_err());
    let other = directory.path().join("other");
    std::fs::write(&other, "no store").unwrap();
    assert!(DiskStore::open(&other).is_err());
    assert_eq!(std::fs::read(&other).unwrap(), b"no store");
}

#[test]
fn a_journal_is_read_as_if_all_were_durable() {
    let mut journal = Journal::new(MemoryStore::new());
    let id = record("x").id;
    journal.put(Key(1), Rc::new(record("x")));
    let first = journal.take_batch().unwrap();
    journal.remove(Key(1), id.clone());
    assert_eq!(journal.key_of(&id).unwrap(), None);
    journal.store().apply(&first);
    journal.committed(&first);
    assert_eq!(journal.key_of(&id).unwrap(), None, "removed, which is not durable yet");
    journal.put(Key(2), Rc::new(record("x")));
    let second = journal.take_batch().unwrap();
    assert_eq!((second.number, second.changes.len()), (2, 2));
    assert!(journal.take_batch().is_none());
    journal.store().apply(&second);
    journal.committed(&second);
    assert_eq!(journal.key_of(&id).unwrap(), Some(Key(2)));
    assert!(journal.record(Key(1)).unwrap().is_none());
}

#[test]
fn schedules_are_kept_copied_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let names = ["a", "b"].map(|name| ScheduleName::new(name).unwrap());
    let task = Spec::clone(&record("x").spec);
    let put = |name: &ScheduleName, missed| {
        let when = When::Every(60_000);
        let (name, overlap) = (name.clone(), Overlap::Skip);
        let kept = Schedule {
            name: name.clone(),
            when,
            task: task.clone(),
            deadline: Some(7),
            missed,
            overlap,
        };
        let record = ScheduleRecord {
            schedule: Rc::new(kept),
            added: Timestamp(1),
            next: Some(Timestamp(2)),
            paused: false,
            last_time: None,
            last_task: Some(TaskId::new("x").unwrap()),
            runs: 3,
            skipped: 4,
            error: None,
        };
        (name, Some(Rc::new(record)))
    };
    let store = DiskStore::open(&path("tasks")).unwrap();
    let mut memory = MemoryStore::new();
    let batches = [
        vec![put(&names[0], Missed::Skip), put(&names[1], Missed::Skip)],
        vec![put(&names[1], Missed::All)],
        vec![(names[0].clone(), None)],
    ];
    for (number, schedules) in (1..).zip(batches) {
        let batch = Batch { schedules, ..batch(number, []) };
        commit(&store, &batch);
        memory.apply(&batch);
    }
    store.writer().back_up(&path("copy")).unwrap();
    drop(store);
    let (store, copy) =
        (DiskStore::open(&path("tasks")).unwrap(), DiskStore::open(&path("copy")).unwrap());
    for store in [&store as &dyn super::Store, &copy, &memory] {
        let [kept] = store.schedules().unwrap().try_into().unwrap();
        assert_eq!(
            (&kept.schedule.name, kept.schedule.missed, kept.runs),
            (&names[1], Missed::All, 3)
        );
    }
}

#[test]
fn a_task_is_new_in_one_batch_and_is_kept_at_hand_until_it_ends() {
    let mut journal = Journal::new(MemoryStore::new());
    let mut running = record("x");
    running.state =
        State::Running { worker: "w".into(), fence: 5, since: Timestamp(8), cancelled: false };
    journal.put(Key(1), Rc::new(record("x")));
    journal.put(Key(1), Rc::new(running.clone()));
    let first = journal.take_batch().unwrap();
    assert!(matches!(&first.changes[..], [(Key(1), Change::New(record))] if record.attempts == 0
        && matches!(record.state, State::Running { .. })));
    running.attempts = 1;
    journal.put(Key(1), Rc::new(running.clone()));
    let second = journal.take_batch().unwrap();
    assert!(matches!(&second.changes[..], [(Key(1), Change::Put(record))] if record.attempts == 1));
    // The store has neither: what is read comes from the journal.
    journal.committed(&first);
    journal.committed(&second);
    assert_eq!(journal.record(Key(1)).unwrap().unwrap().attempts, 1);
    running.state = State::Ended { outcome: Outcome::Succeeded, at: Timestamp(9) };
    journal.put(Key(1), Rc::new(running));
    let third = journal.take_batch().unwrap();
    journal.committed(&third);
    assert!(journal.record(Key(1)).unwrap().is_none());
}

#[test]
fn a_file_of_which_a_sync_has_failed_is_written_again_and_the_note_of_that_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks");
    let store = DiskStore::open(&path).unwrap();
    commit(&store, &batch(1, [(1, Change::New(Rc::new(record("x"))))]));
    drop(store);
    let note = directory.path().join("tasks.unsynced");
    std::fs::write(&note, "").unwrap();
    let store = DiskStore::open(&path).unwrap();
    assert!(!note.exists());
    assert_eq!(store.record(Key(1)).unwrap().unwrap().id.as_str(), "x");
}

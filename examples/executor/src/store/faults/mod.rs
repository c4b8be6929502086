//! A store on a disk that fails, and one that is damaged.

mod disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde_json::value::RawValue;

pub(crate) use disk::{Call, FaultyDisk};

use super::{Batch, Change, DiskStore, EncodedBatch, Key, Store, StoreError};
use crate::scale::times;
use crate::task::{Kind, Record, Spec, TaskId, Timestamp};

/// What should be in a store: the arguments of tasks.
type Model = BTreeMap<Key, String>;

fn batch(number: u64, random: &mut fastrand::Rng) -> Batch {
    let count = random.usize(1..12);
    let change = |_| {
        let key = Key(random.u64(0..60));
        let id = TaskId::new(&format!("t{}", key.0)).unwrap();
        if random.u8(0..4) == 0 {
            return (key, Change::Remove(id));
        }
        let args = format!("[{number}, \"{}\"]", "x".repeat(random.usize(0..3_000)));
        let spec = Spec::new(Kind::new("a").unwrap(), RawValue::from_string(args).unwrap());
        (key, Change::New(Rc::new(Record::new(id, spec, Timestamp(7)))))
    };
    let changes: BTreeMap<_, _> = (0..count).map(change).collect();
    Batch {
        number,
        changes: changes.into_iter().collect(),
        output: Vec::new(),
        schedules: Vec::new(),
    }
}

fn commit(store: &DiskStore, batch: &Batch) -> Result<(), StoreError> {
    store.writer().commit(&[EncodedBatch::new(batch).unwrap()])
}

fn apply(batch: &Batch, model: &mut Model) {
    for (key, change) in &batch.changes {
        match change {
            Change::New(record) | Change::Put(record) => {
                model.insert(*key, record.spec.args.get().to_owned())
            }
            Change::Remove(_) => model.remove(key),
        };
    }
}

fn content(store: &DiskStore) -> Result<Model, StoreError> {
    let mut model = Model::new();
    store.for_each(&mut |key, record| {
        assert_eq!(store.key_of(&record.id)?, Some(key));
        model.insert(key, record.spec.args.get().to_owned());
        Ok(())
    })?;
    Ok(model)
}

/// A store with something in it.
fn filled(random: &mut fastrand::Rng) -> (FaultyDisk, DiskStore, Model) {
    let disk = FaultyDisk::default();
    let store = DiskStore::open_in(disk.clone()).unwrap();
    let mut model = Model::new();
    for number in 1..6 {
        let batch = batch(number, random);
        commit(&store, &batch).unwrap();
        apply(&batch, &mut model);
    }
    (disk, store, model)
}

#[test]
fn a_full_disk_takes_nothing_and_gives_what_it_has_and_goes_on_when_there_is_room() {
    for room in (0..40).step_by(7) {
        let mut random = fastrand::Rng::with_seed(room);
        let (disk, store, mut model) = filled(&mut random);
        disk.leave(Some(room as usize));
        let (error, refused) = (6..)
            .find_map(|number| {
                let batch = batch(number, &mut random);
                let error = commit(&store, &batch).err();
                if error.is_none() {
                    apply(&batch, &mut model);
                }
                error.map(|error| (error, batch))
            })
            .unwrap();
        assert!(error.to_string().contains("no storage space"), "{error}");
        assert_eq!(content(&store).unwrap(), model, "room for {room}");
        assert!(commit(&store, &refused).is_err());
        assert_eq!(content(&store).unwrap(), model, "room for {room}");
        disk.leave(None);
        commit(&store, &refused).unwrap();
        apply(&refused, &mut model);
        assert_eq!(content(&store).unwrap(), model, "room for {room}");
        let store = DiskStore::open_in(disk.lose_power(&mut random)).unwrap();
        assert_eq!(content(&store).unwrap(), model, "room for {room}");
    }
}

#[test]
fn whichever_call_fails_what_was_committed_is_there_and_the_batch_can_be_committed_again() {
    for call in [Call::Read, Call::Write, Call::ShortWrite, Call::Sync, Call::SetLength] {
        let mut failures = 0;
        for calls in 0..times(5) {
            let mut random = fastrand::Rng::with_seed(u64::from(calls));
            let (disk, store, mut model) = filled(&mut random);
            disk.fail_after(calls, call);
            for number in 6..14 {
                let batch = batch(number, &mut random);
                if let Err(error) = commit(&store, &batch) {
                    assert!(!error.to_string().contains("damaged"), "{call:?} {calls}: {error}");
                    // Nobody knows whether it is there, until it is committed again.
                    failures += u32::from(disk.heal());
                    commit(&store, &batch).unwrap();
                }
                apply(&batch, &mut model);
                let found = content(&store);
                if found.is_err() {
                    failures += u32::from(disk.heal());
                }
                let found = found.or_else(|_| content(&store));
                assert_eq!(found.unwrap(), model, "{call:?} {calls}");
            }
            let store = DiskStore::open_in(disk.lose_power(&mut random)).unwrap();
            assert_eq!(content(&store).unwrap(), model, "{call:?} {calls}");
        }
        assert!(
            failures > 0 || call == Call::Read || call == Call::SetLength,
            "{call:?} never failed"
        );
    }
}

#[test]
fn a_disk_that_fails_when_the_store_is_opened_is_an_error_and_harms_nothing() {
    for call in [Call::Read, Call::Write, Call::ShortWrite, Call::Sync, Call::SetLength] {
        for calls in 0..times(3) {
            let mut random = fastrand::Rng::with_seed(u64::from(calls));
            let (disk, store, model) = filled(&mut random);
            // As after kill -9.
            let disk = FaultyDisk::with(disk.bytes());
            drop(store);
            disk.fail_after(calls, call);
            let opened = DiskStore::open_in(disk.clone());
            let has_failed = disk.heal();
            assert!(opened.is_ok() || has_failed, "{call:?} {calls}");
            drop(opened);
            let store = DiskStore::open_in(disk.lose_power(&mut random)).unwrap();
            assert_eq!(content(&store).unwrap(), model, "{call:?} {calls}");
        }
    }
}

#[test]
fn a_store_that_loses_power_at_any_moment_has_all_or_nothing_of_each_batch() {
    for seed in 0..u64::from(times(15)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (disk, store, mut model) = filled(&mut random);
        let last = batch(6, &mut random);
        // The power fails somewhere within a commit.
        disk.fail_after(random.u32(0..12), Call::Write);
        let is_committed = commit(&store, &last).is_ok();
        let disk = disk.lose_power(&mut random);
        let store = DiskStore::open_in(disk).unwrap();
        let found = content(&store).unwrap();
        if is_committed || found != model {
            apply(&last, &mut model);
        }
        assert_eq!(found, model, "seed {seed}");
    }
}

/// A store that was closed.
struct Whole {
    bytes: Vec<u8>,
    model: Model,
}

impl Whole {
    fn new() -> Self {
        let (disk, store, model) = filled(&mut fastrand::Rng::with_seed(1));
        drop(store);
        Self { bytes: disk.bytes(), model }
    }

    /// Whether it is a store after `harm`. If it is, it has everything.
    fn survives(&self, harm: impl FnOnce(&mut Vec<u8>), what: &str) -> bool {
        let mut bytes = self.bytes.clone();
        harm(&mut bytes);
        let Ok(store) = DiskStore::open_in(FaultyDisk::with(bytes)) else { return false };
        assert_eq!(content(&store).unwrap(), self.model, "{what}");
        true
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused_or_has_everything() {
    let mut random = fastrand::Rng::with_seed(1);
    let whole = Whole::new();
    let length = whole.bytes.len();
    let at_random: Vec<_> = (0..times(20)).map(|_| random.usize(1..length)).collect();
    let mut refused = 0;
    for end in (4096..length).step_by(4096).chain(at_random) {
        refused +=
            u32::from(!whole.survives(|bytes| bytes.truncate(end), &format!("cut at {end}")));
    }
    assert!(refused > 0, "no cut was seen");
}

#[test]
fn a_file_with_changed_bytes_is_refused_or_has_everything() {
    let mut refused = 0;
    let whole = Whole::new();
    for seed in 0..u64::from(times(50)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let harm = |bytes: &mut Vec<u8>| {
            for _ in 0..random.usize(1..4) {
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                let at = if random.bool() { random.usize(0..=used) } else { random.usize(0..512) };
                bytes[at] ^= 1 << random.u8(0..8);
            }
        };
        refused += u32::from(!whole.survives(harm, &format!("seed {seed}")));
    }
    assert!(refused > 0, "no harm was seen");
}

#[test]
fn a_store_of_another_format_is_refused_and_left_alone() {
    for format in [0, 2, u64::MAX] {
        let disk = FaultyDisk::default();
        drop(DiskStore::open_in(disk.clone()).unwrap());
        super::disk::set_format(disk.clone(), format);
        let error = DiskStore::open_in(disk.clone()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the store: its format is {format}, and this program knows 1 only")
        );
        super::disk::set_format(disk.clone(), 1);
        assert_eq!(DiskStore::open_in(disk).unwrap().epoch(), 2);
    }
}

#[test]
fn two_coordinators_have_no_store_in_common() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks");
    let store = DiskStore::open(&path).unwrap();
    let error = |path: &Path| DiskStore::open(path).unwrap_err().to_string();
    assert!(error(&path).ends_with("is in use by another process"), "{}", error(&path));
    drop(store);
    DiskStore::open(&path).unwrap();
}

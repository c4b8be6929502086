//! Which tasks are where: a few bytes for each, so that they are counted and found without the store.

use std::collections::{BTreeMap, HashMap};

use super::Key;
use crate::task::{Kind, Phase, Record};

/// How many keys are side by side. A forgotten chunk costs nothing; one with a single task in it, 4 KiB.
const CHUNK: u64 = 1024;
/// How many kinds are told from each other. What comes after is found by reading tasks.
const MOST_KINDS: usize = 10_000;
/// The kind of those that come after.
const OTHER: u16 = u16::MAX;
/// How many keys one search looks at.
const MOST_SEARCHED: u64 = 256 * CHUNK;

/// How many tasks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Phase::ALL.len()]);

/// What has happened since the coordinator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New tasks.
    pub submitted: u64,
    /// Tasks that ended, by how: what is counted of the other phases means nothing.
    pub ended: Counts,
}

/// Where each task is.
#[derive(Debug, Default)]
pub struct Index {
    pub(super) chunks: BTreeMap<u64, Chunk>,
    kinds: Vec<(Kind, Counts)>,
    numbers: HashMap<Kind, u16>,
    counts: Counts,
    changes: Changes,
}

#[derive(Debug)]
pub(super) struct Chunk {
    places: Box<[Place]>,
    counts: [u16; Phase::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Place {
    phase: Option<Phase>,
    kind: u16,
}

/// Some tasks, the newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Which. Their kind is yet to be compared if there are very many kinds.
    pub keys: Vec<Key>,
    /// Where the search goes on: with those that are older than this one. `None`: there are no more.
    pub before: Option<Key>,
}

impl Index {
    /// A task that was there before the coordinator began.
    pub(super) fn add(&mut self, key: Key, record: &Record) {
        self.set(key, record);
    }

    /// A task is so from now on. Returns whether it is a new one.
    pub(super) fn put(&mut self, key: Key, record: &Record) -> bool {
        let phase = Phase::from(&record.state);
        let former = self.set(key, record);
        if former.is_none() {
            self.changes.submitted += 1;
        }
        if former != Some(phase) && record.outcome().is_some() {
            self.changes.ended.0[phase as usize] += 1;
        }
        former.is_none()
    }

    /// A task is forgotten.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(chunk) = self.chunks.get_mut(&(key.0 / CHUNK)) else { return };
        let place = &mut chunk.places[(key.0 % CHUNK) as usize];
        let (Some(phase), kind) = (place.phase.take(), place.kind) else { return };
        chunk.counts[phase as usize] -= 1;
        if chunk.counts.iter().all(|count| *count == 0) {
            self.chunks.remove(&(key.0 / CHUNK));
        }
        self.count(phase, kind, u64::wrapping_sub);
    }

    /// Where a task is; `None`: there is none.
    pub fn phase(&self, key: Key) -> Option<Phase> {
        self.chunks.get(&(key.0 / CHUNK))?.places[(key.0 % CHUNK) as usize].phase
    }

    /// How many tasks are where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The same, for each kind; those that came first, first.
    pub fn kinds(&self) -> impl Iterator<Item = (&Kind, Counts)> {
        self.kinds.iter().map(|(kind, counts)| (kind, *counts))
    }

    /// What has happened since the coordinator began.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// At most `most` tasks in a phase and of a kind, if these are given, that are older than `before`. It looks at a
    /// part of all tasks, and may find less than there are: see [`Found::before`].
    pub fn find(
        &self,
        phase: Option<Phase>,
        kind: Option<&Kind>,
        before: Option<Key>,
        most: usize,
    ) -> Found {
        let before = before.map_or(u64::MAX, |key| key.0);
        let kind = match kind {
            None => None,
            Some(kind) => match self.numbers.get(kind) {
                Some(number) => Some(*number),
                None if self.kinds.len() < MOST_KINDS => return Found::default(),
                None => Some(OTHER),
            },
        };
        let is_wanted = |place: &Place| {
            place.phase.is_some()
                && phase.is_none_or(|phase| place.phase == Some(phase))
                && kind.is_none_or(|kind| place.kind == kind)
        };
        let (mut keys, mut searched) = (Vec::new(), 0);
        for (number, chunk) in self.chunks.range(..=before / CHUNK).rev() {
            let begin = number * CHUNK;
            if searched >= MOST_SEARCHED {
                return Found { keys, before: Some(Key(before.min(begin + CHUNK))) };
            }
            searched += 1;
            if phase.is_some_and(|phase| chunk.counts[phase as usize] == 0) {
                continue;
            }
            searched += CHUNK;
            let end = before.saturating_sub(begin).min(CHUNK);
            for index in (0..end).rev() {
                if !is_wanted(&chunk.places[index as usize]) {
                    continue;
                }
                if keys.len() == most {
                    return Found { before: keys.last().copied(), keys };
                }
                keys.push(Key(begin + index));
            }
        }
        Found { keys, before: None }
    }

    fn set(&mut self, key: Key, record: &Record) -> Option<Phase> {
        let (phase, kind) = (Phase::from(&record.state), self.number_of(&record.spec.kind));
        let chunk = self.chunks.entry(key.0 / CHUNK).or_insert_with(Chunk::new);
        let place = &mut chunk.places[(key.0 % CHUNK) as usize];
        let former = place.phase.replace(phase);
        let former_kind = std::mem::replace(&mut place.kind, kind);
        chunk.counts[phase as usize] += 1;
        if let Some(former) = former {
            chunk.counts[former as usize] -= 1;
            self.count(former, former_kind, u64::wrapping_sub);
        }
        self.count(phase, kind, u64::wrapping_add);
        former
    }

    fn count(&mut self, phase: Phase, kind: u16, change: fn(u64, u64) -> u64) {
        let kind = self.kinds.get_mut(usize::from(kind)).map(|(_, counts)| counts);
        for counts in kind.into_iter().chain([&mut self.counts]) {
            counts.0[phase as usize] = change(counts.0[phase as usize], 1);
        }
    }

    fn number_of(&mut self, kind: &Kind) -> u16 {
        if let Some(number) = self.numbers.get(kind) {
            return *number;
        }
        if self.kinds.len() >= MOST_KINDS {
            return OTHER;
        }
        let number = self.kinds.len() as u16;
        self.kinds.push((kind.clone(), Counts::default()));
        self.numbers.insert(kind.clone(), number);
        number
    }
}

impl Counts {
    /// How many are there.
    pub fn of(&self, phase: Phase) -> u64 {
        self.0[phase as usize]
    }

    /// How many there are at all.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Chunk {
    fn new() -> Self {
        let nobody = Place { phase: None, kind: OTHER };
        Self { places: vec![nobody; CHUNK as usize].into(), counts: [0; Phase::ALL.len()] }
    }
}

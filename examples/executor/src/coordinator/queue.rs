//! Tasks that wait for a worker.

use std::collections::{BTreeSet, HashMap};

use crate::store::Key;
use crate::task::{Kind, Priority, Record, State, Timestamp};

/// What one level of priority is worth, in milliseconds of waiting.
const LEVEL: u64 = 60_000;

/// Tasks that wait for a worker, by kind, since a worker knows some kinds only.
#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: HashMap<Kind, BTreeSet<(Turn, Key)>>,
    length: usize,
}

/// When it is a task's turn: the lowest is next. Since it does not change while a task waits, a low priority is made up
/// for by waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn(u64);

impl Turn {
    fn of(priority: Priority, since: Timestamp) -> Self {
        Self(since.0.saturating_add(u64::from(9 - priority.level()) * LEVEL))
    }

    /// That of a task that waits for a worker.
    pub(super) fn of_queued(record: &Record) -> Option<Self> {
        match record.state {
            State::Queued { since } => Some(Self::of(record.spec.priority, since)),
            _ => None,
        }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn add(&mut self, kind: &Kind, turn: Turn, key: Key) {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.clone(), BTreeSet::new());
        }
        let is_new = self.kinds.get_mut(kind).is_some_and(|waiting| waiting.insert((turn, key)));
        self.length += usize::from(is_new);
    }

    pub(super) fn remove(&mut self, kind: &Kind, turn: Turn, key: Key) {
        let Some(waiting) = self.kinds.get_mut(kind) else { return };
        self.length -= usize::from(waiting.remove(&(turn, key)));
        if waiting.is_empty() {
            self.kinds.remove(kind);
        }
    }

    /// Takes the next one out of these kinds.
    pub(super) fn take<'a>(&mut self, kinds: impl Iterator<Item = &'a Kind>) -> Option<Key> {
        let first = |kind: &'a Kind| Some((*self.kinds.get(kind)?.first()?, kind));
        let ((turn, key), kind) = kinds.filter_map(first).min_by_key(|(first, _)| *first)?;
        self.remove(kind, turn, key);
        Some(key)
    }
}

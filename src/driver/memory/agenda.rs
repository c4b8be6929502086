//! What happens at times of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clock::Moment;

/// What happens next, by when it does, then by its rank, then in the order in which it was put here.
pub(super) struct Agenda<T> {
    /// Small, since the heap moves them: what happens is elsewhere.
    next: BinaryHeap<Reverse<Entry>>,
    places: Vec<Option<T>>,
    free: Vec<u32>,
    next_number: u64,
}

/// Compared field by field; no two have the same number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Moment,
    rank: u32,
    number: u64,
    place: u32,
}

impl<T> Agenda<T> {
    pub(super) fn insert(&mut self, at: Moment, rank: u32, what: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).unwrap_or_else(|_| {
                unreachable!("as many things on their way would take more memory than there is")
            })
        });
        self.places[place as usize] = Some(what);
        self.next.push(Reverse(Entry { at, rank, number: self.next_number, place }));
        self.next_number += 1;
    }

    /// When the first happens.
    pub(super) fn first(&self) -> Option<Moment> {
        self.next.peek().map(|Reverse(entry)| entry.at)
    }

    /// The first, if it happens by `now`.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<T> {
        self.first().filter(|at| *at <= now)?;
        let Reverse(Entry { place, .. }) = self.next.pop()?;
        self.free.push(place);
        self.places[place as usize].take()
    }

    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// All, in no order.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.places.into_iter().flatten()
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { next: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), next_number: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_first_comes_first_by_time_rank_and_order() {
        let mut agenda = Agenda::default();
        let at = |nanoseconds| Moment::default().plus_nanoseconds(nanoseconds);
        for round in 0..3 {
            for (time, rank, what) in [
                (2, 0, "f"),
                (1, 1, "d"),
                (1, 0, "a"),
                (1, 0, "b"),
                (1, 1, "e"),
                (1, 0, "c"),
                (3, 0, "g"),
            ] {
                agenda.insert(at(10 * round + time), rank, what);
            }
            let mut taken = String::new();
            for now in 0..10 {
                while let Some(what) = agenda.take_due(at(10 * round + now)) {
                    taken += what;
                }
                taken += ".";
            }
            assert_eq!(taken, ".abcde.f.g.......");
        }
        assert_eq!((agenda.first(), agenda.len()), (None, 0));
    }
}

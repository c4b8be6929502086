//! When what became of tasks is forgotten.

use std::collections::BTreeMap;

use crate::store::Key;
use crate::task::Timestamp;

/// When outcomes expire, by the wall clock.
///
/// Millions of tasks end in a day, nearly in the order in which they came: those that expire at about the same time are kept
/// as ranges of keys, which take no more memory for more of them.
#[derive(Debug, Default)]
pub(super) struct Expiries(BTreeMap<Timestamp, Ranges>);

/// Keys, as ranges in ascending order that do not touch: the first key, and the one after the last.
#[derive(Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

impl Expiries {
    /// What is kept for `keep` milliseconds expires at this time, or later by a thousandth of that.
    pub(super) fn add(&mut self, at: Timestamp, keep: u64, key: Key) {
        let step = (keep / 1_000).max(1);
        let at = Timestamp(at.0.div_ceil(step).saturating_mul(step));
        self.0.entry(at).or_default().insert(key.0);
    }

    /// When the first expire.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|(at, _)| *at)
    }

    /// Takes one that has expired.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Key> {
        let mut first = self.0.first_entry().filter(|first| *first.key() <= now)?;
        let key = first.get_mut().take_last();
        if first.get().0.is_empty() {
            first.remove();
        }
        key.map(Key)
    }
}

impl Ranges {
    fn insert(&mut self, key: u64) {
        let ranges = &mut self.0;
        // Nearly always the last place.
        let place = ranges.partition_point(|(_, end)| *end < key);
        match ranges.get_mut(place) {
            Some((begin, end)) if *begin <= key && key < *end => {}
            Some((_, end)) if *end == key => {
                *end += 1;
                if let Some((begin, end)) = ranges.get(place + 1).copied()
                    && begin == key + 1
                {
                    ranges[place].1 = end;
                    ranges.remove(place + 1);
                }
            }
            Some((begin, _)) if *begin == key + 1 => *begin = key,
            _ => ranges.insert(place, (key, key + 1)),
        }
    }

    fn take_last(&mut self) -> Option<u64> {
        let (begin, end) = self.0.last_mut()?;
        *end -= 1;
        let (key, is_over) = (*end, begin == end);
        if is_over {
            self.0.pop();
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Expiries, Ranges};
    use crate::store::Key;
    use crate::task::Timestamp;

    #[test]
    fn ranges_are_a_set() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for _ in 0..200 {
                if random.u8(..) < 200 {
                    let key = random.u64(..60);
                    ranges.insert(key);
                    set.insert(key);
                } else {
                    assert_eq!(ranges.take_last(), set.pop_last());
                }
                assert!(ranges.0.is_sorted());
                assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
            }
            let left = ranges.0.iter().flat_map(|(begin, end)| *begin..*end);
            assert_eq!(left.collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_million_that_end_in_about_their_order_are_a_few_ranges() {
        let mut expiries = Expiries::default();
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        for key in 0..1_000_000 {
            // 1,000 are under way.
            let ended = (key / 1_000) * 1_000 + (999 - key % 1_000);
            expiries.add(Timestamp(DAY + key / 30), DAY, Key(ended));
        }
        let ranges: usize = expiries.0.values().map(|ranges| ranges.0.len()).sum();
        assert!((1..10).contains(&ranges), "{ranges}");
        assert_eq!(expiries.take(Timestamp(DAY - 1)), None);
        let late = Timestamp(DAY + 34_000 + DAY / 1_000);
        assert_eq!(std::iter::from_fn(|| expiries.take(late)).count(), 1_000_000);
        assert_eq!(expiries.first(), None);
    }
}

//! Values by keys that name them and nothing else.

/// Names one value of a [`Slab`]; harmless once that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabKey {
    index: u32,
    /// Counts the values that were ever put in, from 1 on.
    serial: u64,
}

impl SlabKey {
    /// The key of no value.
    pub(crate) const NONE: Self = Self { index: u32::MAX, serial: 0 };

    /// Its number among all keys of the slab, in the order in which they were given out.
    pub(crate) fn serial(self) -> u64 {
        self.serial
    }
}

impl Default for SlabKey {
    /// The key of no value.
    fn default() -> Self {
        Self::NONE
    }
}

/// A list whose vacant places are used again. Its memory follows the number of values, as far as
/// the places at its end are vacant.
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    /// The first vacant place of a chain, or [`END`].
    vacant: u32,
    len: usize,
    serial: u64,
    /// How many values were removed since the end was last looked at, and how many places were looked
    /// at then: each removal pays for a few.
    removed: usize,
    looked_at: usize,
}

enum Place<T> {
    Vacant { next: u32 },
    Taken { serial: u64, value: T },
}

const END: u32 = u32::MAX;

/// A list of so many places is never shortened.
const KEPT: usize = 256;

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key that the next [`insert`](Self::insert) will give.
    #[inline]
    pub(crate) fn next_key(&self) -> SlabKey {
        let index = if self.vacant == END { self.places.len() as u32 } else { self.vacant };
        SlabKey { index, serial: self.serial + 1 }
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> SlabKey {
        let key = self.next_key();
        self.serial = key.serial;
        self.len += 1;
        let place = Place::Taken { serial: key.serial, value };
        match self.places.get_mut(key.index as usize) {
            Some(vacant) => {
                if let Place::Vacant { next } = vacant {
                    self.vacant = *next;
                }
                *vacant = place;
            }
            None => self.places.push(place),
        }
        key
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: SlabKey) -> Option<&mut T> {
        match self.places.get_mut(key.index as usize) {
            Some(Place::Taken { serial, value }) if *serial == key.serial => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: SlabKey) -> Option<T> {
        self.get_mut(key)?;
        let vacant = Place::Vacant { next: self.vacant };
        let former = std::mem::replace(&mut self.places[key.index as usize], vacant);
        self.vacant = key.index;
        self.len -= 1;
        self.removed += 1;
        if self.removed >= self.len && self.removed >= self.looked_at / 4 {
            self.shorten();
        }
        match former {
            Place::Taken { value, .. } => Some(value),
            Place::Vacant { .. } => None,
        }
    }

    /// The values with their keys, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlabKey, &T)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| match place {
            Place::Taken { serial, value } => Some((SlabKey { index, serial: *serial }, value)),
            Place::Vacant { .. } => None,
        })
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().filter_map(|place| match place {
            Place::Taken { value, .. } => Some(value),
            Place::Vacant { .. } => None,
        })
    }

    /// Gives memory back if at least half of the places, at the end, are vacant.
    #[cold]
    fn shorten(&mut self) {
        let is_taken = |place: &Place<T>| matches!(place, Place::Taken { .. });
        let used = self.places.iter().rposition(is_taken).map_or(0, |last| last + 1);
        self.removed = 0;
        self.looked_at = self.places.len() - used;
        if self.places.capacity() <= KEPT || used > self.places.len() / 2 {
            return;
        }
        self.places.truncate(used);
        self.places.shrink_to(used.max(KEPT));
        self.vacant = END;
        for (index, place) in (0..).zip(&mut self.places) {
            if let Place::Vacant { next } = place {
                *next = self.vacant;
                self.vacant = index;
            }
        }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), vacant: END, len: 0, serial: 0, removed: 0, looked_at: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_names_its_value_and_no_later_one_in_the_same_place() {
        let mut slab = Slab::default();
        let expected = slab.next_key();
        let first = slab.insert("first");
        assert_eq!(first, expected);
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!(slab.get_mut(SlabKey::NONE), None);
        assert_eq!(second.serial(), 2);
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut slab = Slab::default();
        let stays = slab.insert(0);
        let keys: Vec<_> = (1..100_000).map(|value| slab.insert(value)).collect();
        for key in keys {
            slab.remove(key);
        }
        assert!(slab.places.capacity() <= KEPT, "{}", slab.places.capacity());
        assert_eq!((slab.remove(stays), slab.len()), (Some(0), 0));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 0..200_usize), 0..600)) {
            let (mut slab, mut map, mut keys) = (Slab::default(), BTreeMap::new(), Vec::new());
            for (step, (insert, choice)) in steps.into_iter().enumerate() {
                if insert || keys.is_empty() {
                    let key = slab.insert(step);
                    prop_assert_eq!(map.insert(key.serial(), step), None);
                    keys.push(key);
                } else {
                    let key = keys[choice % keys.len()];
                    prop_assert_eq!(slab.remove(key), map.remove(&key.serial()));
                }
                prop_assert_eq!(slab.len(), map.len());
                let held: BTreeMap<_, _> = slab.iter().map(|(key, value)| (key.serial(), *value)).collect();
                prop_assert_eq!(&held, &map);
            }
        }
    }
}

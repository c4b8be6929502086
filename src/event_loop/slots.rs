//! Where everything that the loop drives lives, under an index and a generation.

use crate::driver::Key;

/// Places under keys that are never used again for another entry.
pub(crate) struct Slots<E> {
    slots: Vec<Slot<E>>,
    /// The head of the list of vacant slots, as index + 1; 0 ends it.
    vacant: u32,
    len: usize,
    /// How many of these are sockets that linger.
    lingering: usize,
}

struct Slot<E> {
    generation: u32,
    /// A socket that lingers is in it.
    lingers: bool,
    content: Content<E>,
}

enum Content<E> {
    Entry(E),
    /// Given out, and soon to have its entry.
    Reserved,
    Vacant {
        next: u32,
    },
}

impl<E> Slots<E> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many places are taken by entries that do not linger.
    pub(crate) fn sources(&self) -> usize {
        self.len - self.lingering
    }

    /// A place that nothing else gets until it is filled or freed; `None`: all are taken.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Option<Key> {
        if let Some(index) = self.vacant.checked_sub(1)
            && let Some(slot) = self.slots.get_mut(index as usize)
            && let Content::Vacant { next } = slot.content
        {
            slot.content = Content::Reserved;
            self.vacant = next;
            self.len += 1;
            return Some(Key { index, generation: slot.generation });
        }
        self.reserve_new()
    }

    /// No place is vacant: one more.
    #[cold]
    fn reserve_new(&mut self) -> Option<Key> {
        if self.slots.len() > Key::MAX_INDEX {
            return None;
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot { generation: 0, lingers: false, content: Content::Reserved });
        self.len += 1;
        Some(Key { index, generation: 0 })
    }

    /// Puts `entry` where `key` points, in place of what is there.
    ///
    /// The former entry is handed back, to be dropped when the slots are no longer borrowed.
    pub(crate) fn fill(&mut self, key: Key, entry: E) -> Option<E> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return Some(entry);
        }
        match std::mem::replace(&mut slot.content, Content::Entry(entry)) {
            Content::Entry(former) => Some(former),
            Content::Reserved | Content::Vacant { .. } => None,
        }
    }

    /// As [`fill`](Self::fill), with the socket that the place's connection has left behind. It counts
    /// as lingering until the place is freed.
    pub(crate) fn fill_lingering(&mut self, key: Key, socket: E) -> Option<E> {
        if let Some(slot) = self.slots.get_mut(key.index as usize)
            && slot.generation == key.generation
            && !slot.lingers
        {
            slot.lingers = true;
            self.lingering += 1;
        }
        self.fill(key, socket)
    }

    #[inline]
    pub(crate) fn entry(&self, key: Key) -> Option<&E> {
        match self.slots.get(key.index as usize) {
            Some(Slot { generation, content: Content::Entry(entry), .. })
                if *generation == key.generation =>
            {
                Some(entry)
            }
            _ => None,
        }
    }

    /// Frees the place; every key to it is stale from now on.
    pub(crate) fn free(&mut self, key: Key) -> Option<E> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation || matches!(slot.content, Content::Vacant { .. }) {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1) & Key::GENERATION_MASK;
        let former = std::mem::replace(&mut slot.content, Content::Vacant { next: self.vacant });
        self.vacant = key.index + 1;
        self.len -= 1;
        self.lingering -= usize::from(std::mem::take(&mut slot.lingers));
        match former {
            Content::Entry(entry) => Some(entry),
            Content::Reserved | Content::Vacant { .. } => None,
        }
    }

    /// All entries, in the order of their places.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &E> {
        self.slots.iter().filter_map(|slot| match &slot.content {
            Content::Entry(entry) => Some(entry),
            _ => None,
        })
    }

    /// The keys of all entries, in the order of their places.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| match &slot.content {
            Content::Entry(_) => Some(Key { index, generation: slot.generation }),
            _ => None,
        })
    }
}

impl<E> Default for Slots<E> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: 0, len: 0, lingering: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stale_once_its_place_was_freed() {
        let mut slots = Slots::default();
        let first = slots.reserve().unwrap();
        assert!(slots.entry(first).is_none());
        assert!(slots.fill(first, "entry").is_none());
        assert!(slots.entry(first).is_some());
        assert!(slots.free(first).is_some());
        assert!(slots.free(first).is_none());

        let second = slots.reserve().unwrap();
        assert_eq!(second.index, first.index);
        assert_ne!(second.generation, first.generation);
        slots.fill(second, "entry");
        assert!(slots.entry(first).is_none());
        assert!(slots.fill(first, "entry").is_some(), "handed back");
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.entries().count(), 1);
        assert!(slots.keys().eq([second]));
    }

    #[test]
    fn what_lingers_is_counted_until_its_place_is_freed() {
        let mut slots = Slots::default();
        let first = slots.reserve().unwrap();
        let second = slots.reserve().unwrap();
        assert!(slots.fill(second, "entry").is_none());
        assert!(slots.fill_lingering(second, "socket").is_some());
        assert_eq!((slots.len(), slots.sources()), (2, 1));
        assert!(slots.free(second).is_some());
        assert!(slots.fill_lingering(second, "socket").is_some(), "a stale key");
        assert_eq!((slots.len(), slots.sources()), (1, 1));
        let second = slots.reserve().unwrap();
        assert!(slots.fill(second, "entry").is_none());
        assert!(slots.free(first).is_none());
        assert_eq!((slots.len(), slots.sources()), (1, 1));
    }
}

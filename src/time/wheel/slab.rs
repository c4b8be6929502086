//! Where the timers live: one vector of nodes, linked by index, with a free list.

use std::num::NonZeroU32;

use super::TimerKey;

/// No node: the end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// Fewer nodes than this are never trimmed.
pub(super) const TRIM_MINIMUM: usize = 4096;

/// Memory is trimmed once less than one part in this many is in use.
pub(super) const TRIM_SPARSENESS: usize = 8;

pub(super) struct Slab<T> {
    nodes: Vec<Node<T>>,
    /// The first vacant node; the others follow by `next`.
    vacant: u32,
    len: usize,
    /// The generation last given out. One counter for all nodes, so that trimming may forget nodes
    /// without an old key ever matching a new node.
    generation: NonZeroU32,
    /// What `generation` was at the last trimming.
    trimmed: NonZeroU32,
}

/// One timer, or a vacant place. Kept small: cache misses are most of what a timer costs.
pub(super) struct Node<T> {
    pub(super) deadline: u64,
    pub(super) value: Option<T>,
    pub(super) links: Links,
    /// `None` when vacant.
    generation: Option<NonZeroU32>,
}

/// Where a node is.
#[derive(Clone, Copy)]
pub(super) struct Links {
    pub(super) previous: u32,
    pub(super) next: u32,
    /// Which slot's list the node is in, or `near::LOCATION`.
    pub(super) location: u16,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            vacant: NONE,
            len: 0,
            generation: NonZeroU32::MIN,
            trimmed: NonZeroU32::MIN,
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        if self.vacant == NONE {
            self.grow();
        }
        self.generation = self.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.len += 1;
        let key = TimerKey { index: self.vacant, generation: self.generation };
        let node = &mut self.nodes[key.index as usize];
        self.vacant = node.links.next;
        node.deadline = deadline;
        node.value = Some(value);
        node.generation = Some(key.generation);
        key
    }

    /// Vacates a node; the caller takes it out of its list, by the links.
    #[inline]
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<(T, Links)> {
        let node = self.nodes.get_mut(key.index as usize)?;
        if node.generation != Some(key.generation) {
            return None;
        }
        let links = node.links;
        let value = node.value.take()?;
        node.generation = None;
        node.links.next = self.vacant;
        self.vacant = key.index;
        self.len -= 1;
        Some((value, links))
    }

    #[inline]
    pub(super) fn key(&self, index: u32) -> Option<TimerKey> {
        let generation = self.nodes.get(index as usize)?.generation?;
        Some(TimerKey { index, generation })
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: TimerKey) -> Option<&mut Node<T>> {
        let node = self.nodes.get_mut(key.index as usize)?;
        (node.generation == Some(key.generation)).then_some(node)
    }

    pub(super) fn contains(&self, key: TimerKey) -> bool {
        self.find(key).is_some()
    }

    pub(super) fn find(&self, key: TimerKey) -> Option<&Node<T>> {
        let node = self.nodes.get(key.index as usize)?;
        (node.generation == Some(key.generation)).then_some(node)
    }

    #[inline]
    pub(super) fn nodes(&mut self) -> &mut [Node<T>] {
        &mut self.nodes
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Node<T>> {
        self.nodes.get(index as usize).filter(|node| node.generation.is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a batch of vacant nodes. (Pushing each timer's node costs 15 ns more: it is built on the
    /// stack and copied with loads wider than the stores that wrote it.)
    #[cold]
    fn grow(&mut self) {
        let start = self.nodes.len();
        let end = start + start.clamp(16, 256);
        assert!(end < NONE as usize, "there are fewer than 2^32 timers");
        let vacant = |index| Node {
            deadline: 0,
            value: None,
            links: Links {
                previous: NONE,
                next: if index == end { NONE } else { index as u32 },
                location: 0,
            },
            generation: None,
        };
        self.nodes.extend((start + 1..=end).map(vacant));
        self.vacant = start as u32;
    }

    /// Whether hardly any of the memory is used.
    #[inline]
    pub(super) fn is_sparse(&self) -> bool {
        let nodes = self.nodes.len();
        nodes >= TRIM_MINIMUM && self.len * TRIM_SPARSENESS <= nodes
    }

    /// Gives memory back when hardly any of it is used. Nodes in use cannot move, so this cuts the
    /// vacant tail off, and orders the free list such that later timers fill the front.
    ///
    /// It costs a pass over the nodes. There are at least half as many insertions from one pass to the
    /// next, save that the last timer to go frees everything.
    pub(super) fn trim_when_sparse(&mut self) {
        if !self.is_sparse() {
            return;
        }
        let nodes = self.nodes.len();
        let inserted = self.generation.get().wrapping_sub(self.trimmed.get());
        if self.len > 0 && (inserted as usize) < nodes / 2 {
            return;
        }
        self.trimmed = self.generation;
        let used = self.nodes.iter().rposition(|node| node.generation.is_some());
        self.nodes.truncate(used.map_or(0, |last| last + 1));
        self.nodes.shrink_to(2 * self.nodes.len());
        self.vacant = NONE;
        for (index, node) in self.nodes.iter_mut().enumerate().rev() {
            if node.generation.is_none() {
                node.links.next = self.vacant;
                self.vacant = index as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn nodes_are_compact() {
        assert_eq!(size_of::<Node<Rc<dyn Fn()>>>(), 40);
        assert_eq!(size_of::<Option<TimerKey>>(), 8);
    }

    #[test]
    fn vacant_nodes_are_reused() {
        let mut slab = Slab::new();
        let first = slab.insert(0, 'a');
        let nodes = slab.nodes().len();
        for _ in 0..1000 {
            let key = slab.insert(0, 'b');
            slab.remove(key);
        }
        assert_eq!(slab.nodes().len(), nodes);
        assert!(slab.contains(first));
    }

    #[test]
    fn generations_wrap_around() {
        let mut slab = Slab::new();
        slab.generation = NonZeroU32::MAX;
        let key = slab.insert(0, 'a');
        assert_eq!(key.generation, NonZeroU32::MIN);
        assert_eq!(slab.remove(key).map(|(value, _)| value), Some('a'));
    }

    #[test]
    fn emptied_slab_gives_its_memory_back() {
        let (mut slab, keys) = filled(100_000);
        slab.trim_when_sparse();
        assert!(slab.nodes.capacity() >= 100_000, "a full one keeps it");
        for &key in &keys {
            slab.remove(key);
        }
        slab.trim_when_sparse();
        assert_eq!(slab.nodes.capacity(), 0);
        let key = slab.insert(0, 7);
        assert!(slab.contains(key) && !slab.contains(keys[0]));
    }

    #[test]
    fn sparse_slab_is_cut_down_to_its_last_timer() {
        let (mut slab, keys) = filled(100_000);
        for (index, &key) in keys.iter().enumerate() {
            if index != 5_000 {
                slab.remove(key);
            }
        }
        slab.trim_when_sparse();
        assert_eq!(slab.nodes.len(), 5_001);
        assert!(slab.nodes.capacity() < 20_000);
        assert!(slab.contains(keys[5_000]));
        // The front is filled first.
        assert_eq!(slab.insert(0, 0).index, 0);
        assert_eq!(slab.insert(0, 0).index, 1);
        for _ in 2..5_000 {
            slab.insert(0, 0);
        }
        assert_eq!(slab.insert(0, 0).index, 5_001);
    }

    #[test]
    fn trimming_in_vain_is_not_repeated_at_once() {
        let (mut slab, keys) = filled(100_000);
        let (&last, others) = keys.split_last().unwrap();
        for &key in others {
            slab.remove(key);
        }
        slab.trim_when_sparse();
        let nodes = slab.nodes.len();
        assert!(nodes >= 100_000);
        slab.insert(0, 1);
        slab.remove(last);
        slab.trim_when_sparse();
        assert_eq!(slab.nodes.len(), nodes);
        for _ in 0..nodes {
            let key = slab.insert(0, 2);
            slab.remove(key);
        }
        slab.trim_when_sparse();
        assert_eq!(slab.nodes.len(), 1);
    }

    fn filled(count: u64) -> (Slab<u64>, Vec<TimerKey>) {
        let mut slab = Slab::new();
        let keys = (0..count).map(|value| slab.insert(0, value)).collect();
        (slab, keys)
    }
}

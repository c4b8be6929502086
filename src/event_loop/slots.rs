//! Where everything that the loop drives lives, under an index and a generation.

use std::rc::Rc;

use super::core::Core;
use crate::driver::{Key, Readiness};
use crate::transport::{DatagramEndpoint, Stream};

/// Something other than a transport that readiness is reported for: a listener, a connect, a watcher.
pub(crate) trait Source {
    /// Notes what it is ready for in the slot `key`, of which it may have several; whether it has to
    /// be put in the ready list for that.
    fn note(&self, key: Key, readiness: Readiness) -> bool;

    /// Does what it is ready for. Called from the ready list.
    fn run(self: Rc<Self>, core: &Rc<Core>);

    /// The loop is about to close: what takes its time to end begins to.
    fn prepare_close(self: Rc<Self>, core: &Rc<Core>) {
        let _ = core;
    }

    /// The loop closes: let go of everything.
    fn close(self: Rc<Self>, core: &Rc<Core>);
}

#[derive(Clone)]
pub(crate) enum Tenant {
    Stream(Rc<Stream>),
    Datagram(Rc<DatagramEndpoint>),
    Source(Rc<dyn Source>),
}

struct Slot {
    generation: u32,
    /// A socket that lingers is in it.
    lingers: bool,
    content: Content,
}

enum Content {
    Tenant(Tenant),
    /// Given out, and soon to have its tenant.
    Reserved,
    Vacant {
        next: u32,
    },
}

#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// The head of the list of vacant slots, as index + 1; 0 ends it.
    vacant: u32,
    len: usize,
    /// How many of these are sockets that linger.
    lingering: usize,
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many places are taken by what does not linger.
    pub(crate) fn sources(&self) -> usize {
        self.len - self.lingering
    }

    /// A place that nothing else gets until it is filled or freed; `None`: all are taken.
    pub(crate) fn reserve(&mut self) -> Option<Key> {
        let index = match self.vacant.checked_sub(1) {
            Some(index) => {
                if let Content::Vacant { next } = self.slots[index as usize].content {
                    self.vacant = next;
                }
                self.slots[index as usize].content = Content::Reserved;
                index
            }
            None => {
                if self.slots.len() > Key::MAX_INDEX {
                    return None;
                }
                self.slots.push(Slot { generation: 0, lingers: false, content: Content::Reserved });
                (self.slots.len() - 1) as u32
            }
        };
        self.len += 1;
        Some(Key { index, generation: self.slots[index as usize].generation })
    }

    /// Puts `tenant` where `key` points, in place of what is there.
    ///
    /// The former tenant is handed back, to be dropped when the slots are no longer borrowed.
    pub(crate) fn fill(&mut self, key: Key, tenant: Tenant) -> Option<Tenant> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return Some(tenant);
        }
        match std::mem::replace(&mut slot.content, Content::Tenant(tenant)) {
            Content::Tenant(former) => Some(former),
            Content::Reserved | Content::Vacant { .. } => None,
        }
    }

    /// As [`fill`](Self::fill), with the socket that the place's connection has left behind. It counts
    /// as lingering until the place is freed.
    pub(crate) fn fill_lingering(&mut self, key: Key, socket: Rc<dyn Source>) -> Option<Tenant> {
        if let Some(slot) = self.slots.get_mut(key.index as usize)
            && slot.generation == key.generation
            && !slot.lingers
        {
            slot.lingers = true;
            self.lingering += 1;
        }
        self.fill(key, Tenant::Source(socket))
    }

    #[inline]
    pub(crate) fn tenant(&self, key: Key) -> Option<&Tenant> {
        match self.slots.get(key.index as usize) {
            Some(Slot { generation, content: Content::Tenant(tenant), .. })
                if *generation == key.generation =>
            {
                Some(tenant)
            }
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn stream(&self, key: Key) -> Option<&Rc<Stream>> {
        match self.tenant(key) {
            Some(Tenant::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Frees the place; every key to it is stale from now on.
    pub(crate) fn free(&mut self, key: Key) -> Option<Tenant> {
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
            Content::Tenant(tenant) => Some(tenant),
            Content::Reserved | Content::Vacant { .. } => None,
        }
    }

    /// All tenants, in the order of their places.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.slots.iter().filter_map(|slot| match &slot.content {
            Content::Tenant(tenant) => Some(tenant),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Source for Nothing {
        fn note(&self, _: Key, _: Readiness) -> bool {
            false
        }
        fn run(self: Rc<Self>, _: &Rc<Core>) {}
        fn close(self: Rc<Self>, _: &Rc<Core>) {}
    }

    #[test]
    fn a_key_is_stale_once_its_place_was_freed() {
        let mut slots = Slots::default();
        let first = slots.reserve().unwrap();
        assert!(slots.tenant(first).is_none());
        assert!(slots.fill(first, Tenant::Source(Rc::new(Nothing))).is_none());
        assert!(slots.tenant(first).is_some());
        assert!(slots.free(first).is_some());
        assert!(slots.free(first).is_none());

        let second = slots.reserve().unwrap();
        assert_eq!(second.index, first.index);
        assert_ne!(second.generation, first.generation);
        slots.fill(second, Tenant::Source(Rc::new(Nothing)));
        assert!(slots.tenant(first).is_none());
        assert!(slots.fill(first, Tenant::Source(Rc::new(Nothing))).is_some(), "handed back");
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.tenants().count(), 1);
    }

    #[test]
    fn what_lingers_is_counted_until_its_place_is_freed() {
        let mut slots = Slots::default();
        let first = slots.reserve().unwrap();
        let second = slots.reserve().unwrap();
        assert!(slots.fill(second, Tenant::Source(Rc::new(Nothing))).is_none());
        assert!(slots.fill_lingering(second, Rc::new(Nothing)).is_some());
        assert_eq!((slots.len(), slots.sources()), (2, 1));
        assert!(slots.free(second).is_some());
        assert!(slots.fill_lingering(second, Rc::new(Nothing)).is_some(), "a stale key");
        assert_eq!((slots.len(), slots.sources()), (1, 1));
        let second = slots.reserve().unwrap();
        assert!(slots.fill(second, Tenant::Source(Rc::new(Nothing))).is_none());
        assert!(slots.free(first).is_none());
        assert_eq!((slots.len(), slots.sources()), (1, 1));
    }
}

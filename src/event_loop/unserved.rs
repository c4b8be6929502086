//! What a tick has in hand. When something unwinds, it goes back to where the next tick finds it.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::vec::Drain;

use super::core::Core;
use super::entries::{Ready, Source, Stream};
use crate::driver::{Key, Readiness};

/// What is left of a round's list. When something unwinds, it comes first in the next tick.
pub(super) struct UnservedList<'a> {
    pub(super) core: &'a Core,
    pub(super) rest: Drain<'a, Ready>,
}

impl Drop for UnservedList<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.rest.len() > 0 {
            self.core.put_first(self.rest.by_ref().collect());
        }
    }
}

/// A stream that is finished. When something unwinds, it is the next one in the next tick.
pub(super) struct Unfinished<'a> {
    pub(super) core: &'a Core,
    pub(super) stream: Option<Rc<Stream>>,
}

impl Drop for Unfinished<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.core.lost.borrow_mut().push_front(stream);
        }
    }
}

/// A source that runs. When something unwinds, it runs once more in the next tick.
pub(super) struct UnservedSource<'a> {
    pub(super) core: &'a Core,
    pub(super) source: Option<Weak<dyn Source>>,
}

impl Drop for UnservedSource<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(source) = self.source.take().and_then(|source| source.upgrade()) {
            self.core.push_ready(Ready::Source(source));
        }
    }
}

/// As [`UnservedList`], for the events of sockets in memory.
pub(super) struct UnservedSignals<'a> {
    pub(super) core: &'a Core,
    pub(super) rest: VecDeque<(Key, Readiness)>,
}

impl Drop for UnservedSignals<'_> {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            self.core.signals.give_back(rest);
        } else {
            self.core.signals.put_first(rest);
        }
    }
}

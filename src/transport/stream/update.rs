//! Bringing a stream up to date: after a callback, after an event, at the end of a round.

use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::event_loop::Core;

impl Stream {
    /// Calls [`update`](Self::update) soon: after the running callback if it is this stream's own,
    /// else at the end of the round.
    pub(super) fn update_soon(self: &Rc<Self>, core: &Core) {
        self.set(Flags::NEEDS_UPDATE);
        if !self.has(Flags::IN_CALLBACK.union(Flags::DIRTY)) {
            self.set(Flags::DIRTY);
            core.push_dirty(Rc::clone(self));
        }
    }

    /// What a `Connection::with` left is updated at the end of the round: the caller's code still
    /// runs.
    pub(crate) fn update_after_with(self: &Rc<Self>, core: &Core) {
        if self.needs_update() {
            self.update_soon(core);
        }
    }

    /// The end of the round: what was asked of this stream from elsewhere is done.
    pub(crate) fn update_dirty(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::DIRTY);
        self.update(core);
    }

    /// Whether [`update`](Self::update) would do anything.
    #[inline]
    pub(super) fn needs_update(&self) -> bool {
        self.has(Flags::NEEDS_UPDATE.union(Flags::SWITCHING).union(Flags::UNREAD))
    }

    /// Brings the stream up to date after a callback or an event: a protocol that was set is
    /// installed, the queue is flushed, the water marks are judged, closing goes on. Each step does
    /// nothing if one before it closed the connection.
    ///
    /// Its own callbacks can ask for more: that is done in the next round, so that no stream keeps
    /// the loop to itself.
    pub(super) fn update(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSED) {
            return;
        }
        self.clear(Flags::NEEDS_UPDATE.union(Flags::UNREAD));
        if self.has(Flags::SWITCHING) {
            self.switch_protocol(core);
        }
        if self.has(Flags::HAS_QUEUE) {
            self.flush(core);
        }
        self.tell_marks(core);
        self.advance_close(core);
        self.arm_deadlines(core);
        if (self.needs_update() && !self.has(Flags::CLOSED)) || self.discards() {
            self.enqueue(core);
        }
    }
}

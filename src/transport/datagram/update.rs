//! Bringing an endpoint up to date: after a callback, after an event, at the end of a round.

use std::rc::Rc;

use super::DatagramEndpoint;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::WaterMarks;
use crate::transport::marks::Crossing;

impl DatagramEndpoint {
    /// Calls [`update`](Self::update) soon: after the running callback if it is this endpoint's own,
    /// else at the end of the round.
    pub(super) fn update_soon(self: &Rc<Self>, core: &Core) {
        self.set(Flags::NEEDS_UPDATE);
        if !self.has(Flags::IN_CALLBACK.union(Flags::DIRTY)) {
            self.set(Flags::DIRTY);
            core.datagrams.push_dirty(core, Rc::clone(self));
        }
    }

    pub(super) fn update_dirty(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::DIRTY);
        self.update(core);
    }

    /// Lets the protocol be told of an error.
    pub(super) fn tell_error(&self, error: Error) {
        self.errors.borrow_mut().push_back(error.of_transport());
        self.set(Flags::NEEDS_UPDATE);
    }

    /// Brings the endpoint up to date: the queue is flushed, errors are told, the water marks are
    /// judged, closing goes on. What its callbacks ask for is done in the next round.
    pub(super) fn update(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSED) {
            return;
        }
        self.clear(Flags::NEEDS_UPDATE);
        self.flush(core);
        self.tell_errors(core);
        self.tell_marks(core);
        if self.has(Flags::CLOSED) {
            return;
        }
        if self.has(Flags::CLOSING) {
            if self.is_waiting() {
                self.arm_linger(core);
            } else if self.errors.borrow().is_empty() {
                return self.end(core, None);
            }
        }
        if self.needs_update() {
            self.enqueue(core);
        }
    }

    /// Whether [`update`](Self::update) would do anything.
    #[inline]
    pub(super) fn needs_update(&self) -> bool {
        self.has(Flags::NEEDS_UPDATE) || (self.has(Flags::WRITABLE) && self.is_waiting())
    }

    /// Whether anything waits to be sent.
    #[inline]
    fn is_waiting(&self) -> bool {
        self.has(Flags::HAS_LANES) || self.queue.borrow().is_some()
    }

    /// What an `Endpoint::with` left is updated at the end of the round.
    pub(super) fn update_after_with(self: &Rc<Self>, core: &Core) {
        if self.needs_update() {
            self.update_soon(core);
        }
    }

    fn tell_errors(self: &Rc<Self>, core: &Rc<Core>) {
        let count = self.errors.borrow().len();
        for _ in 0..count {
            let Some(error) = self.errors.borrow_mut().pop_front() else { return };
            // A failure is reported, and the endpoint goes on.
            let _ = self.call(core, "error_received", |protocol, transport| {
                protocol.error_received(transport, &error)
            });
            if self.has(Flags::CLOSED) {
                return;
            }
        }
    }

    /// Tells the protocol when the queue has passed a mark.
    fn tell_marks(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSING.union(Flags::CLOSED)) || !self.has(Flags::MADE) {
            return;
        }
        let is_paused = self.has(Flags::WRITING_PAUSED);
        let pause_owed = self.has(Flags::PAUSE_OWED);
        match self.marks.crossing(self.queue_size(), is_paused, pause_owed) {
            None => {}
            Some(Crossing::Pause { resumes }) => {
                self.set(Flags::WRITING_PAUSED);
                if resumes {
                    self.set(Flags::NEEDS_UPDATE);
                }
                let _ = self.call(core, "pause_writing", |protocol, transport| {
                    protocol.pause_writing(transport)
                });
            }
            Some(Crossing::Resume) => {
                self.clear(Flags::WRITING_PAUSED.union(Flags::PAUSE_OWED));
                let _ = self.call(core, "resume_writing", |protocol, transport| {
                    protocol.resume_writing(transport)
                });
            }
        }
    }

    pub(super) fn set_write_buffer_limits(
        self: &Rc<Self>,
        core: &Core,
        limits: WaterMarks,
    ) -> Result<(), Error> {
        self.marks.set(limits)?;
        self.update_soon(core);
        Ok(())
    }

    /// Whether the driver is to tell when datagrams can be sent again.
    pub(super) fn watch_room(self: &Rc<Self>, core: &Rc<Core>, on: bool) {
        if self.has(Flags::WATCHES_ROOM) == on {
            return;
        }
        let watched = core.driver.watch_room(&self.socket.borrow(), self.key, on);
        match watched {
            Ok(()) if on => self.set(Flags::WATCHES_ROOM),
            Ok(()) => self.clear(Flags::WATCHES_ROOM),
            Err(error) => self.end(core, Some(error.into())),
        }
    }

    pub(super) fn cancel_timers(&self, core: &Core) {
        let retry = self.retry.take().map(|(timer, _)| timer);
        for timer in [retry, self.linger.take()].into_iter().flatten() {
            core.cancel_timer(timer);
        }
    }
}

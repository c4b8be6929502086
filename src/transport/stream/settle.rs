//! Bringing a stream up to date: after a callback, after an event, at the end of a round.

use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::{WaterMarks, options};

impl Stream {
    /// Has [`settle`](Self::settle) called: after the running callback if it is this stream's own,
    /// else at the end of the round.
    pub(super) fn settle_soon(self: &Rc<Self>, core: &Core) {
        self.set(Flags::UNSETTLED);
        if !self.has(Flags::IN_CALLBACK.and(Flags::DIRTY)) {
            self.set(Flags::DIRTY);
            core.push_dirty(Rc::clone(self));
        }
    }

    /// What a `Connection::with` left is settled at the end of the round: the caller's code still
    /// runs.
    pub(crate) fn settle_after_with(self: &Rc<Self>, core: &Core) {
        if self.is_unsettled() {
            self.settle_soon(core);
        }
    }

    /// The end of the round: what was asked of this stream from elsewhere is done.
    pub(crate) fn settle_dirty(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::DIRTY);
        self.settle(core);
    }

    /// Whether [`settle`](Self::settle) would do anything.
    #[inline]
    pub(super) fn is_unsettled(&self) -> bool {
        self.has(Flags::UNSETTLED.and(Flags::SWITCHING).and(Flags::UNREAD))
    }

    /// Brings the stream up to date after a callback or an event: a protocol that was set is
    /// installed, the queue is flushed, the water marks are judged, closing goes on.
    ///
    /// Its own callbacks can ask for more: that is done in the next round, so that no stream keeps
    /// the loop to itself.
    pub(super) fn settle(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::LOST) {
            return;
        }
        self.clear(Flags::UNSETTLED.and(Flags::UNREAD));
        if self.has(Flags::SWITCHING) {
            self.switch_protocol(core);
        }
        if self.has(Flags::HAS_QUEUE) {
            self.flush(core);
        }
        self.judge_marks(core);
        if self.has(Flags::LOST) {
            return;
        }
        if !self.has(Flags::HAS_QUEUE) {
            self.advance_close(core);
        }
        if self.has(Flags::LOST) {
            return;
        }
        self.arm_deadlines(core);
        if self.is_unsettled() || self.discards() {
            self.enqueue(core);
        }
    }

    /// Tells the protocol when the queue has passed a mark.
    fn judge_marks(self: &Rc<Self>, core: &Rc<Core>) {
        // After a failed write nothing can be written: there is nothing to be resumed for.
        if self.is_closing() || !self.has(Flags::MADE) {
            return;
        }
        let len = self.waiting();
        if !self.has(Flags::WRITING_PAUSED) {
            // Also when all was sent since a write said `AboveHighWater`: its caller may have
            // stopped there, and waits for `resume_writing`.
            if len > self.high_water.get() || self.has(Flags::TOLD_ABOVE) {
                self.set(Flags::WRITING_PAUSED);
                if len <= self.low_water.get() {
                    self.set(Flags::UNSETTLED);
                }
                if self.has(Flags::IN_READ) {
                    self.set(Flags::OVERFLOWED_IN_READ);
                }
                self.call(core, "pause_writing", |protocol, transport| {
                    protocol.pause_writing(transport)
                });
            }
        } else if len <= self.low_water.get() {
            self.clear(
                Flags::WRITING_PAUSED
                    .and(Flags::HELD)
                    .and(Flags::OVERFLOWED_IN_READ)
                    .and(Flags::TOLD_ABOVE),
            );
            self.call(core, "resume_writing", |protocol, transport| {
                protocol.resume_writing(transport)
            });
            if self.is_reading() && self.has(Flags::READABLE.and(Flags::LEFTOVER)) {
                self.enqueue(core);
            }
        }
    }

    pub(super) fn set_write_buffer_limits(
        self: &Rc<Self>,
        core: &Core,
        limits: WaterMarks,
    ) -> Result<(), Error> {
        limits.check()?;
        self.low_water.set(limits.low);
        self.high_water.set(limits.high);
        self.gather_limit.set(limits.high.min(options::GATHER_LIMIT));
        self.settle_soon(core);
        Ok(())
    }

    pub(crate) fn is_above_high_water(&self) -> bool {
        self.waiting() > self.high_water.get()
    }
}

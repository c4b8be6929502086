//! The beginning of a stream.

use std::rc::Rc;

use crate::driver::Readiness;
use crate::event_loop::Core;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

impl Stream {
    /// Takes over what its socket was found ready for before there was a stream.
    pub(crate) fn note_before_start(&self, readiness: Readiness) {
        self.note(readiness);
        self.clear(Flags::QUEUED);
    }

    /// The first callback.
    pub(crate) fn begin(self: &Rc<Self>, core: &Rc<Core>) {
        self.active_at.set(core.tick_instant());
        self.set(Flags::MADE);
        core.counters.connection_opened();
        let sent = core.counters.bytes_sent();
        self.call(core, "connection_made", |protocol, transport| {
            protocol.connection_made(transport)
        });
        if self.life.server.is_some()
            && core.counters.bytes_sent() == sent
            && !self.has(Flags::HAS_QUEUE)
        {
            self.set(Flags::UNUSED);
        }
        if self.needs_update() || self.has_deadlines() {
            self.update(core);
        }
        if self.has(Flags::READABLE) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// Asks the protocol to come to an end, as its server is shutting down.
    pub(crate) fn ask_to_shut_down(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSING) {
            return;
        }
        if !self.has(Flags::MADE) {
            // Its handshake is not done: there is no protocol to ask.
            return self.end(core, None);
        }
        self.call(core, "shutting_down", |protocol, transport| protocol.shutting_down(transport));
        self.update(core);
    }
}

//! Which protocol a stream has.

use std::rc::Rc;

use bytes::Bytes;

use crate::event_loop::Core;
use crate::protocol::Protocol;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

impl Stream {
    pub(in crate::transport::stream) fn set_protocol(
        self: &Rc<Self>,
        core: &Rc<Core>,
        next: Box<dyn Protocol>,
        leftover: Bytes,
    ) {
        if self.has(Flags::CLOSED) {
            core.drop_user(next, "protocol");
            return core.drop_user(leftover, "buffer");
        }
        // If one callback sets several protocols, the last one counts, and gets all that was left.
        let former = self.life.rare.change(|rare| rare.next.replace(next));
        self.take_leftover_back(core, leftover);
        self.set(Flags::SWITCHING);
        self.update_soon(core);
        if let Some(former) = former {
            core.drop_user(former, "protocol");
        }
    }

    /// Puts the protocol that was set in the former one's place.
    pub(in crate::transport::stream) fn switch_protocol(self: &Rc<Self>, core: &Rc<Core>) {
        let Some(former) = self.protocol.take() else { return };
        self.clear(Flags::SWITCHING);
        let next = self.life.rare.change_existing(|rare| rare.next.take());
        let next = next.map(|next| self.note_kind(next));
        let (installed, former) = match next {
            Some(next) => (next, Some(former)),
            None => (former, None),
        };
        self.protocol.set(Some(installed));
        if let Some(former) = former {
            core.drop_user(former, "protocol");
            if self.has(Flags::EOF) && !self.is_write_only() {
                // The new protocol has to be told, too: the socket says it again.
                self.clear(Flags::EOF);
                self.set(Flags::READABLE);
                self.enqueue(core);
            }
        }
        if self.has(Flags::WRITING_PAUSED) && !self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            self.call(core, "pause_writing", |protocol, transport| {
                protocol.pause_writing(transport)
            });
        }
        if self.has(Flags::LEFTOVER) && self.is_reading() {
            self.enqueue(core);
        }
    }
}

//! Giving a connection to another process.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::event_loop::Core;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// With any of these set there is something that only this process knows.
const USED: Flags = Flags::HAS_QUEUE
    .union(Flags::CLOSING)
    .union(Flags::CLOSED)
    .union(Flags::EOF_WANTED)
    .union(Flags::SWITCHING)
    .union(Flags::TLS)
    .union(Flags::LEFTOVER);

impl Stream {
    /// Takes the socket of a connection on which nothing was received and nothing written yet; its
    /// protocol gets `connection_lost(None)`. `None`: something was.
    ///
    /// `UNUSED` is set after a `connection_made` that wrote nothing, and cleared together with
    /// `IN_CALLBACK` or by a write from elsewhere, so a message pays nothing for it. The driver takes the
    /// socket out of the poll first: it stays open in the other process, and so would its registration.
    pub(crate) fn hand_over(self: &Rc<Self>, core: &Core) -> Option<io::Result<OwnedFd>> {
        if !self.flags.get().matches(Flags::UNUSED, USED.union(Flags::UNUSED)) {
            return None;
        }
        let socket = core.driver.give_away(&self.socket);
        if socket.is_ok() {
            self.end(core, None);
        }
        Some(socket)
    }
}

//! Giving a connection to another process.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::event_loop::Core;

/// With any of these set there is something that only this process knows.
const TOUCHED: Flags = Flags::HAS_QUEUE
    .and(Flags::CLOSING)
    .and(Flags::LOST)
    .and(Flags::EOF_WANTED)
    .and(Flags::SWITCHING)
    .and(Flags::TLS)
    .and(Flags::LEFTOVER);

impl Stream {
    /// Takes the socket of a connection on which nothing was received and nothing written yet; its
    /// protocol gets `connection_lost(None)`. `None`: something was.
    pub(crate) fn hand_over(self: &Rc<Self>, core: &Core) -> Option<io::Result<OwnedFd>> {
        if !self.flags.get().just(Flags::UNTOUCHED, TOUCHED.and(Flags::UNTOUCHED)) {
            return None;
        }
        let socket = core.driver.give_away(&self.socket);
        if socket.is_ok() {
            self.lose(core, None);
        }
        Some(socket)
    }
}

//! The end of a stream: `connection_lost`, then what becomes of its socket.

use std::rc::Rc;

use super::{Lingering, Phase, SocketEnd};
use crate::error::Error;
use crate::event_loop::Core;
use crate::fence::{self, Trip};
use crate::transport::stream::Stream;
use crate::transport::stream::callback::Failed;
use crate::transport::stream::flags::Flags;

impl Stream {
    /// The last callback; then everything is released.
    ///
    /// If something unwinds it is called again, and continues after what it has done.
    pub(crate) fn finish(self: &Rc<Self>, core: &Rc<Core>) {
        // It stays in its place as well: the transport is asked for the reason, also if something unwinds.
        let error = self.life.rare.change_existing(|rare| rare.error.clone());
        fence::trip(Trip::Finish);
        if self.flags.get().matches(Flags::MADE, Flags::MADE.union(Flags::TOLD_LOST)) {
            self.tell_lost(core, error.as_ref());
        }
        if !self.has(Flags::MADE) {
            self.handshake_failed(core, error.clone());
        }
        self.leave_info();
        if !self.has(Flags::RELEASED) {
            self.set(Flags::RELEASED);
            if self.has(Flags::MADE) {
                core.counters.connection_closed();
            }
            self.release_socket(core);
        }
        fence::trip(Trip::LetGo);
        // One at a time: a panic while another unwinds would end the process.
        core.drop_user(self.protocol.take(), "protocol");
        if let Some(rare) = self.life.rare.take() {
            core.drop_user(rare.next, "protocol");
            core.drop_user(rare.error, "user's error");
            if let Some(awaited) = rare.awaited {
                awaited.tell_gone(core);
            }
        }
        self.drop_input(core);
        self.drop_tls(core);
        if let Some(error) = error {
            core.drop_user(error, "user's error");
        }
        if let Some(server) = &self.life.server {
            server.client_is_gone(core);
        }
    }

    #[inline]
    fn tell_lost(self: &Rc<Self>, core: &Rc<Core>, error: Option<&Error>) {
        let outcome = self.run_callback(core, "connection_lost", |protocol, transport| {
            self.set(Flags::TOLD_LOST);
            protocol.connection_lost(transport, error)
        });
        if let Err(Failed::With(failure)) = outcome {
            let error = failure.into_error();
            core.report_callback(&self.subject(), "connection_lost", &error);
            core.drop_user(error, "user's error");
        }
    }

    /// Ends the stream's hold on its socket, as the [`SocketEnd`] says. Its protocol was told.
    fn release_socket(self: &Rc<Self>, core: &Rc<Core>) {
        if self.phase() != Phase::Closed(SocketEnd::Close) && self.lingers_or_resets(core) {
            return;
        }
        core.driver.deregister(&self.socket);
        core.free_slot(self.key);
    }

    /// Does what has to be done with a socket that is not just closed. Returns whether it lingers.
    #[cold]
    fn lingers_or_resets(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        match self.phase() {
            Phase::Closed(SocketEnd::Linger) => Lingering::begin(self, core),
            Phase::Closed(SocketEnd::Reset) => {
                self.socket.reset_when_closed();
                false
            }
            _ => false,
        }
    }
}

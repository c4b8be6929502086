//! The last part of a server's shutdown: its connections are closed, their peers still have to take what was sent, and
//! async functions that served them may have something left to do.

use std::rc::Rc;
use std::time::Duration;

use super::server::Server;
use crate::event_loop::EventLoop;
use crate::task::Promise;

/// How soon the peers are looked at again, at first and at most: most have everything within a round
/// trip.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Waits until the peers have acknowledged everything and the handlers have ended, or the grace is over.
pub(super) struct Draining {
    server: Server,
    /// When the grace is over.
    until: u64,
    aborted: usize,
    promise: Promise<usize>,
    pause: Duration,
}

impl Draining {
    /// `promise` is told how many connections were aborted: `aborted`, and those that are given up here.
    pub(super) fn begin(server: Server, until: u64, aborted: usize, promise: Promise<usize>) {
        Self { server, until, aborted, promise, pause: FIRST_PAUSE }.look();
    }

    fn look(mut self) {
        let core = Rc::clone(&self.server.core);
        let now = core.now();
        let shared = &self.server.shared;
        if core.unfinished_lingering(Some(shared)) == 0 && !shared.has_handlers() {
            return self.promise.set(Ok(self.aborted));
        }
        if now >= self.until {
            self.aborted += core.give_up_unfinished_lingering(Some(&self.server.shared));
            return self.promise.set(Ok(self.aborted));
        }
        let pause = self.pause.min(Duration::from_nanos(self.until - now));
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        EventLoop::from_core(core).call_later(pause, move || self.look());
    }
}

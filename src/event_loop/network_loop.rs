//! A loop as one of several on a network in memory.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::core::{Core, State};
use crate::driver::NetworkLoop;

impl NetworkLoop for Core {
    fn can_take_turn(&self) -> bool {
        self.state.get() == State::Idle && !self.is_in_protocol() && !self.is_dropping()
    }

    fn is_due(&self) -> bool {
        if self.is_closed() {
            return false;
        }
        let timer = self.next_timer().is_some_and(|at| at <= self.driver.now());
        timer || self.is_busy() || self.remote.is_called()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn next_timer(&self) -> Option<Instant> {
        let timers = self.timers.borrow();
        if self.is_closed() || timers.is_empty() {
            return None;
        }
        timers.next_wakeup().map(|at| self.instant(at))
    }

    fn take_turn(self: Rc<Self>) -> io::Result<bool> {
        self.run_for_another()
    }
}

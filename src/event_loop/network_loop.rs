//! A loop as one of several on a network in memory.

use std::io;
use std::rc::Rc;

use super::core::{Core, State};
use crate::driver::{NetworkLoop, NextTurn};

impl NetworkLoop for Core {
    fn can_take_turn(&self) -> bool {
        self.state.get() == State::Idle && !self.is_in_protocol() && !self.is_dropping()
    }

    fn next_turn(&self) -> NextTurn {
        if self.is_closed() {
            return NextTurn::Unknown;
        }
        if self.is_busy() {
            return NextTurn::Now;
        }
        let timers = self.timers.borrow();
        if timers.is_empty() {
            return NextTurn::Unknown;
        }
        timers.next_wakeup().map_or(NextTurn::Unknown, NextTurn::At)
    }

    fn is_called(&self) -> bool {
        self.stopping.get() || self.remote.is_called()
    }

    fn take_turn(self: Rc<Self>) -> io::Result<bool> {
        self.run_for_another()
    }
}

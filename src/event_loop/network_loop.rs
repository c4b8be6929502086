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
        if self.is_busy() || self.remote.is_called() {
            return NextTurn::Now;
        }
        let timers = self.timers.borrow();
        if timers.is_empty() {
            return NextTurn::Unknown;
        }
        match timers.next_wakeup() {
            None => NextTurn::Unknown,
            Some(at) if at <= self.now() => NextTurn::Now,
            Some(at) => NextTurn::At(self.instant(at)),
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn take_turn(self: Rc<Self>) -> io::Result<bool> {
        self.run_for_another()
    }
}

//! Signals that a simulation sends.

use std::rc::Rc;

use super::SignalTable;
use crate::event_loop::{Core, EventLoop};

impl SignalTable {
    /// The process of the loop gets a signal. Whether the program handles it; it is told in the loop's next turn.
    pub(crate) fn simulate(&self, core: &Rc<Core>, signal: i32) -> bool {
        if !self.handled.borrow().contains_key(&signal) {
            return false;
        }
        let is_pending = self.simulated.borrow().contains(&signal);
        if !is_pending {
            self.simulated.borrow_mut().push(signal);
            let own = Rc::clone(core);
            EventLoop::from_core(Rc::clone(core)).call_soon(move || {
                let table = &own.signal_handlers;
                table.simulated.borrow_mut().retain(|pending| *pending != signal);
                table.tell(&own, signal);
            });
        }
        true
    }
}

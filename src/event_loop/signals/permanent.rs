//! What the engine itself does at a signal, for as long as the loop is open.

use std::rc::Rc;

use super::{Listener, SignalTable};
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};

/// There is at most one for a signal.
const NUMBER: u64 = u64::MAX;

impl SignalTable {
    /// Calls `action` at each signal, beside what else handles it. It replaces a former one.
    pub(crate) fn do_always(
        &self,
        core: &Rc<Core>,
        signal: i32,
        action: fn(&EventLoop),
    ) -> Result<(), Error> {
        core.check_open()?;
        self.handle(core, signal, |handled| {
            handled.listeners.insert(NUMBER, Rc::new(Permanent(action)));
        })
    }
}

struct Permanent(fn(&EventLoop));

impl Listener for Permanent {
    fn told(&self, core: &Core, _: i32) {
        if let Some(core) = core.strong() {
            (self.0)(&EventLoop::from_core(core));
        }
    }
}

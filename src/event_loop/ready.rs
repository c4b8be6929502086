//! What runs once: callbacks and timers.

use std::rc::Rc;
use std::task::Waker;

use super::core::Core;

/// Something that runs once, unless it was cancelled before.
pub(crate) trait Callback {
    fn run(self: Rc<Self>, core: &Rc<Core>);

    /// The loop closes, so this will not run. Drops what is the user's, even if somebody else holds
    /// the entry.
    fn discard(self: Rc<Self>, core: &Core) {
        let _ = core;
    }
}

/// What a timer calls.
pub(crate) trait Timer {
    fn run(self: Box<Self>, core: &Rc<Core>);

    /// The waker that it wakes, if that is what it does.
    fn waker(&mut self) -> Option<&mut Waker> {
        None
    }
}

impl<C: Callback> Timer for Rc<C> {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        Callback::run(*self, core);
    }
}

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
}

/// What is done when a timer is due.
pub(crate) enum Due {
    Call(Box<dyn Timer>),
    /// Of a sleep, which needs no memory besides.
    Wake(Waker),
}

impl Due {
    pub(super) fn run(self, core: &Rc<Core>) {
        match self {
            Self::Call(timer) => timer.run(core),
            Self::Wake(waker) => core.run_caught("a waker failed", || waker.wake()),
        }
    }
}

impl<C: Callback> Timer for Rc<C> {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        Callback::run(*self, core);
    }
}

//! The waker of the one task that waits for something.

use std::cell::Cell;
use std::task::Waker;

use super::Core;

/// Where a task that waits leaves its waker. Cloning, calling and dropping it is foreign code, for which nothing is
/// borrowed.
#[derive(Default)]
pub(crate) struct WakerSlot(Cell<Option<Waker>>);

impl WakerSlot {
    /// Has `waker` woken next. It is cloned only if another one was there.
    ///
    /// Whoever waits looks once more after this: the clone may have brought about what it waits for.
    #[inline]
    pub(crate) fn keep(&self, core: &Core, waker: &Waker) {
        let known = self.0.take();
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.0.set(known);
            return;
        }
        let other = self.0.replace(Some(waker.clone()));
        drop_waker(core, known);
        drop_waker(core, other);
    }

    /// Wakes the task, which leaves its waker anew if it goes on waiting.
    #[inline]
    pub(crate) fn wake(&self, core: &Core) {
        if let Some(waker) = self.0.take() {
            core.run_caught("a waker failed", || waker.wake());
        }
    }

    /// Nobody waits any more.
    #[inline]
    pub(crate) fn clear(&self, core: &Core) {
        drop_waker(core, self.0.take());
    }
}

#[inline]
fn drop_waker(core: &Core, waker: Option<Waker>) {
    if let Some(waker) = waker {
        core.drop_user(waker, "waker");
    }
}

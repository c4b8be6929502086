//! The way into code that is not wharf's: callbacks, factories, handlers, wakers, `Drop`, `Display`,
//! and rustls with what users have configured it with.
//!
//! Code behind the fence may panic, use the loop, and drop anything. So nothing of the engine is
//! borrowed or taken out of its place while such code runs ([`hold`] asserts that), and a panic
//! becomes an error or a report. `docs/architecture.md` lists what is called. `event_loop/fence.rs`
//! has what a loop adds: reports, and drops one after the other.

use std::any::Any;
#[cfg(any(debug_assertions, test))]
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs foreign code; a panic of it is the `Err`.
#[inline(always)]
pub(crate) fn run<R>(action: impl FnOnce() -> R) -> Result<R, Panic> {
    debug_assert_open();
    catch_unwind(AssertUnwindSafe(action)).map_err(Panic::new)
}

/// What a panic of foreign code left behind. Its own `Drop` may panic as well, and harms nobody.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    #[inline(always)]
    fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(Some(payload))
    }

    /// What the panic was raised with.
    pub(crate) fn payload(&self) -> &(dyn Any + Send) {
        match &self.0 {
            Some(payload) => &**payload,
            None => &"a panic",
        }
    }

    /// Continues the panic in the caller.
    #[cold]
    pub(crate) fn resume(mut self) -> ! {
        let payload = self.0.take().unwrap_or_else(|| Box::new("a panic"));
        resume_unwind(payload)
    }

    /// The payload itself, to be handed to another thread.
    pub(crate) fn into_payload(mut self) -> Box<dyn Any + Send> {
        self.0.take().unwrap_or_else(|| Box::new("a panic"))
    }

    /// Back from another thread.
    pub(crate) fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        Self::new(payload)
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take()
            && let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
        {
            // Its `Drop` panics, too: it is never dropped.
            std::mem::forget(second);
        }
    }
}

/// While it lives something of the engine is taken out of its place: no foreign code may run. Checked
/// in builds with debug assertions.
pub(crate) struct Hold(());

#[cfg(debug_assertions)]
thread_local! {
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// Says that something of the engine is taken out of its place until the guard is dropped.
#[inline(always)]
pub(crate) fn hold() -> Hold {
    #[cfg(debug_assertions)]
    HELD.set(HELD.get() + 1);
    Hold(())
}

impl Drop for Hold {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        HELD.set(HELD.get() - 1);
    }
}

/// Foreign code is about to run, or uses a handle: nothing may be taken out of its place.
#[inline(always)]
pub(crate) fn debug_assert_open() {
    #[cfg(debug_assertions)]
    assert!(HELD.get() == 0, "foreign code runs while a part of the engine is out of its place");
}

/// Where unit tests have something unwind that should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trip {
    /// A listener, a watcher, a process that has its turn.
    Source,
    /// A stream or an endpoint that has its turn.
    Dispatch,
    /// Before what a callback wrote is sent.
    EndOfCallback,
    /// A stream that was written to from elsewhere.
    Update,
    /// Before `connection_lost`.
    Finish,
    /// After the socket was let go of.
    LetGo,
}

/// Unwinds here if a unit test has asked for it.
#[inline(always)]
pub(crate) fn trip(_at: Trip) {
    #[cfg(test)]
    tripping::trip(_at);
}

/// How unit tests choose where something unwinds.
#[cfg(test)]
pub(crate) mod tripping {
    use super::*;

    thread_local! {
        /// Where something unwinds, and how many times it passes there before.
        static ARMED: Cell<Option<(Trip, u32)>> = const { Cell::new(None) };
    }

    /// Makes something unwind at `at`, after it has passed there `before` times.
    pub(crate) fn arm(at: Trip, before: u32) {
        ARMED.set(Some((at, before)));
    }

    /// Takes that back. Returns whether nothing has unwound since.
    pub(crate) fn disarm() -> bool {
        ARMED.take().is_some()
    }

    pub(super) fn trip(at: Trip) {
        match ARMED.get() {
            Some((armed, 0)) if armed == at => {
                ARMED.set(None);
                // Without the hook's message: it is meant.
                resume_unwind(Box::new("tripped"));
            }
            Some((armed, left)) if armed == at => ARMED.set(Some((armed, left - 1))),
            _ => {}
        }
    }
}

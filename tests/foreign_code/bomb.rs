//! What goes off.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

/// What everything here panics with.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Counts how often its point was reached, and panics at one of these times.
#[derive(Clone, Debug)]
pub(crate) struct Bomb(Arc<State>);

#[derive(Debug)]
struct State {
    count: AtomicU32,
    at: u32,
}

impl Bomb {
    /// One that goes off the `at`-th time.
    pub(crate) fn new(at: u32) -> Self {
        Self(Arc::new(State { count: AtomicU32::new(0), at }))
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.count.load(Ordering::SeqCst)
    }

    pub(crate) fn has_gone_off(&self) -> bool {
        self.count() >= self.0.at
    }

    /// The point is reached.
    pub(crate) fn tick(&self) {
        if self.0.count.fetch_add(1, Ordering::SeqCst) + 1 == self.0.at {
            panic!("{ON_PURPOSE}");
        }
    }

    /// A value that reaches the point when it is dropped.
    pub(crate) fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct OnDrop(Bomb);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.tick();
    }
}

/// The memory of `Bytes`.
pub(crate) struct Owner(
    pub(crate) Vec<u8>,
    #[expect(dead_code, reason = "it is there to be dropped")] pub(crate) OnDrop,
);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An error of the application whose `Drop` reaches the point.
#[derive(Debug)]
pub(crate) struct DropError(
    #[expect(dead_code, reason = "it is there to be dropped")] pub(crate) OnDrop,
);

impl fmt::Display for DropError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an error that panics when it is dropped")
    }
}

impl std::error::Error for DropError {}

/// An error of the application whose text reaches the point.
#[derive(Debug)]
pub(crate) struct TextError(pub(crate) Bomb);

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.tick();
        formatter.write_str("an error with a text")
    }
}

impl std::error::Error for TextError {}

/// A waker that reaches the point when it is woken.
pub(crate) struct WakeBomb(pub(crate) Bomb);

impl Wake for WakeBomb {
    fn wake(self: Arc<Self>) {
        self.0.tick();
    }
}

/// A waker that reaches the point when it is dropped.
pub(crate) struct WakerDrop(
    #[expect(dead_code, reason = "it is there to be dropped")] pub(crate) OnDrop,
);

impl Wake for WakerDrop {
    fn wake(self: Arc<Self>) {}
}

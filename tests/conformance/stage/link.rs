//! What every transport has to do to take part in the suite.

use std::os::fd::OwnedFd;

use wharf::{Connection, EventLoop, Protocol};

#[cfg(feature = "sim")]
use crate::simulated::World;

/// One way to join two protocols on one loop. A transport takes part in the suite by implementing
/// this, and by its line in `main.rs`.
pub(crate) trait Link: Sized {
    const CAPABILITIES: Capabilities;

    fn new() -> Self;

    fn event_loop(&self) -> &EventLoop;

    /// The simulation that its two ends are in, if they are in one.
    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        None
    }

    /// Joins two protocols; both `connection_made` were called when it returns.
    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A>;

    /// Joins them as [`join`](Self::join), and gives another descriptor of the far end's socket, where
    /// that is one that can send urgent data.
    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        let _ = (near, far);
        None
    }
}

/// What not every transport can do. A check that needs one passes over those that lack it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    /// Which ways bytes go.
    pub(crate) ways: Ways,
    /// One side can end while the other goes on.
    pub(crate) half_close: bool,
    /// Aborting with unread input resets the connection at the other end.
    pub(crate) reset: bool,
    /// Dropping what was written resets the connection at the other end.
    pub(crate) cut: bool,
    /// Both ends have addresses.
    pub(crate) addresses: bool,
    /// What is written is what is sent, and what is sent lands in the protocol's own memory.
    pub(crate) plain: bool,
}

impl Capabilities {
    pub(crate) const ALL: Self = Self {
        ways: Ways::both(),
        half_close: true,
        reset: true,
        cut: true,
        addresses: true,
        plain: true,
    };

    #[cfg(feature = "tls")]
    pub(crate) const TLS: Self = Self { plain: false, ..Self::ALL };
}

/// Ways between the two ends of a link: those it has, or those that a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// From the near end to the far one.
    forward: bool,
    back: bool,
}

impl Ways {
    /// The check gets along with whatever there is.
    pub(crate) const fn any() -> Self {
        Self { forward: false, back: false }
    }

    pub(crate) const fn forward() -> Self {
        Self { forward: true, back: false }
    }

    pub(crate) const fn back() -> Self {
        Self { forward: false, back: true }
    }

    pub(crate) const fn both() -> Self {
        Self { forward: true, back: true }
    }

    pub(crate) const fn include(self, needed: Self) -> bool {
        (self.forward || !needed.forward) && (self.back || !needed.back)
    }
}

/// The bytes that one direction of a link holds, about; more than that waits in the write buffer.
pub(crate) const CAPACITY: usize = 32 * 1024;

/// More than every link holds by itself: what the kernel makes of [`CAPACITY`] included.
pub(crate) const MUCH: usize = 1024 * 1024;

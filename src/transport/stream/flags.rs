//! The state of a stream as bits, the lowest of which are its socket's readiness.

/// What a socket is ready for, as the low bits of [`Flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(pub(super) u32);

impl Readiness {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READ: Self = Self(Flags::READABLE.0 as u32);
    pub(crate) const WRITE: Self = Self(Flags::WRITABLE.0 as u32);
    pub(crate) const READ_CLOSED: Self = Self(Flags::READ_CLOSED.0 as u32);
    pub(crate) const WRITE_CLOSED: Self = Self(Flags::WRITE_CLOSED.0 as u32);
    pub(crate) const ERROR: Self = Self(Flags::ERROR.0 as u32);

    #[inline]
    pub(crate) fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        }
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The state of a stream, one bit each.
///
/// What the way of every message looks at lies in the lower 31 bits, where a mask is a part of the
/// instruction; what is rarely asked for lies above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u64);

impl Flags {
    // What the operating system said. Edge-triggered: it says it once.
    pub(super) const READABLE: Self = Self(1);
    pub(super) const WRITABLE: Self = Self(1 << 1);
    pub(super) const READ_CLOSED: Self = Self(1 << 2);
    pub(super) const WRITE_CLOSED: Self = Self(1 << 3);
    pub(super) const ERROR: Self = Self(1 << 4);

    // Membership in the loop's lists.
    pub(super) const QUEUED: Self = Self(1 << 5);
    pub(super) const DIRTY: Self = Self(1 << 6);

    // Reading stops for independent reasons: the user's, the engine's, the end, and a limit (below).
    pub(super) const PAUSED: Self = Self(1 << 7);
    pub(super) const HELD: Self = Self(1 << 8);
    pub(super) const EOF: Self = Self(1 << 9);

    /// The protocol was told to pause writing.
    pub(super) const WRITING_PAUSED: Self = Self(1 << 10);
    /// A callback that delivers input has just returned.
    pub(super) const IN_READ: Self = Self(1 << 32);
    /// The buffer passed its high-water mark in a callback that delivers input.
    pub(super) const OVERFLOWED_IN_READ: Self = Self(1 << 33);

    // The end of the write side, and of the connection.
    pub(super) const EOF_WANTED: Self = Self(1 << 13);
    pub(super) const SHUT_DOWN: Self = Self(1 << 34);
    pub(super) const CLOSING: Self = Self(1 << 15);
    pub(super) const DISCARDING: Self = Self(1 << 16);
    pub(super) const LOST: Self = Self(1 << 17);

    /// `connection_made` was called.
    pub(super) const MADE: Self = Self(1 << 18);
    pub(super) const BUFFERED: Self = Self(1 << 19);
    /// There is a next protocol.
    pub(super) const SWITCHING: Self = Self(1 << 20);
    /// There are bytes that were left over.
    pub(super) const LEFTOVER: Self = Self(1 << 21);
    /// The marks, or the end of something, have to be looked at again.
    pub(super) const UNSETTLED: Self = Self(1 << 22);
    /// A write failed: the rest of the input is delivered, then the connection is over.
    pub(super) const WRITE_FAILED: Self = Self(1 << 23);

    /// One of its callbacks runs, and is the one whose writes are gathered.
    pub(super) const IN_CALLBACK: Self = Self(1 << 24);
    /// The running `data_received` gives some of its input back.
    pub(super) const UNREAD: Self = Self(1 << 26);
    /// A write was answered with `AboveHighWater`: a pause, and later a resume, is owed.
    pub(super) const TOLD_ABOVE: Self = Self(1 << 27);
    /// There are limits on how fast it may read or write.
    pub(super) const LIMITED: Self = Self(1 << 12);
    /// Its input goes to another socket without being read.
    pub(super) const SPLICED: Self = Self(1 << 29);
    /// The read budget is used up: a reason of its own not to read.
    pub(super) const THROTTLED: Self = Self(1 << 30);
    /// Something waits to be sent.
    pub(super) const HAS_QUEUE: Self = Self(1 << 25);

    /// Bytes become records on their way: see `tls.rs`.
    pub(super) const TLS: Self = Self(1 << 11);

    /// Descriptors are received with the bytes.
    pub(super) const TAKES_DESCRIPTORS: Self = Self(1 << 28);

    /// Accepted, and nothing was received or written since: another process could begin with it.
    pub(super) const UNTOUCHED: Self = Self(1 << 14);

    /// Whether of all `mask` just `wanted` is set.
    #[inline]
    pub(super) const fn just(self, wanted: Self, mask: Self) -> bool {
        self.0 & mask.0 == wanted.0
    }

    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline]
    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl From<Readiness> for Flags {
    #[inline]
    fn from(readiness: Readiness) -> Self {
        Self(readiness.0.into())
    }
}

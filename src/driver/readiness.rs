//! What a socket is ready for.

/// What a socket is ready for, one bit each.
///
/// Streams keep these bits as the lowest of their own flags, so an event becomes flags without a
/// conversion. `READ`, `URGENT` and `WRITE` also have the bits that they have in epoll's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(u32);

impl Readiness {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READ: Self = Self(1);
    /// There is urgent data, at whose mark reads end.
    pub(crate) const URGENT: Self = Self(1 << 1);
    pub(crate) const WRITE: Self = Self(1 << 2);
    pub(crate) const READ_CLOSED: Self = Self(1 << 3);
    pub(crate) const WRITE_CLOSED: Self = Self(1 << 4);
    pub(crate) const ERROR: Self = Self(1 << 5);
    /// A short read or write proves nothing on this socket. No event reports it: the owner of the
    /// socket knows it by the socket's kind (`drained.rs`).
    pub(crate) const ENDS_EARLY: Self = Self(1 << 6);

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        }
    }

    #[inline]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

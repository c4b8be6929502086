//! The state of an endpoint as bits.

use crate::driver::Readiness;

/// The state of an endpoint, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(super) const NONE: Self = Self(0);

    // What the driver said. Edge-triggered: it says it once.
    pub(super) const READABLE: Self = Self(1);
    pub(super) const WRITABLE: Self = Self(1 << 1);
    pub(super) const ERROR: Self = Self(1 << 2);

    // Membership in the loop's lists.
    pub(super) const QUEUED: Self = Self(1 << 3);
    pub(super) const DIRTY: Self = Self(1 << 4);

    pub(super) const PAUSED: Self = Self(1 << 5);
    pub(super) const CLOSING: Self = Self(1 << 6);
    pub(super) const LOST: Self = Self(1 << 7);

    /// `connection_made` was called.
    pub(super) const MADE: Self = Self(1 << 8);
    /// One of its callbacks runs, and is the one whose datagrams are gathered.
    pub(super) const IN_CALLBACK: Self = Self(1 << 9);
    /// The protocol was told to pause writing.
    pub(super) const WRITING_PAUSED: Self = Self(1 << 10);
    /// A send was answered with `AboveHighWater`: a pause, and later a resume, is owed.
    pub(super) const TOLD_ABOVE: Self = Self(1 << 11);
    /// Something waits to be sent, or an error to be told.
    pub(super) const UNSETTLED: Self = Self(1 << 12);
    /// The driver is to tell when datagrams can be sent again.
    pub(super) const WATCHES_ROOM: Self = Self(1 << 13);
    /// Datagrams that were received when reading was paused.
    pub(super) const HAS_KEPT: Self = Self(1 << 14);
    /// Datagrams wait for receivers that were full, each for its own. `WRITABLE` then means that they
    /// are to be tried again.
    pub(super) const HAS_LANES: Self = Self(1 << 15);

    // How far `finish` came: a turn that unwinds does not do it twice.
    /// `connection_lost` was called.
    pub(super) const TOLD_LOST: Self = Self(1 << 16);
    /// The loop does not count it as open any more.
    pub(super) const COUNTED_OUT: Self = Self(1 << 17);

    /// The protocol takes the datagrams of a batch one by one, by `datagram_received`.
    pub(super) const ONE_BY_ONE: Self = Self(1 << 30);

    /// What stops delivering.
    pub(super) const NOT_READING: Self = Self::PAUSED.and(Self::CLOSING).and(Self::LOST);

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
        let mut flags = Self::NONE;
        if readiness.intersects(Readiness::READ.union(Readiness::READ_CLOSED)) {
            flags = flags.and(Self::READABLE);
        }
        if readiness.intersects(Readiness::WRITE.union(Readiness::WRITE_CLOSED)) {
            flags = flags.and(Self::WRITABLE);
        }
        if readiness.intersects(Readiness::ERROR) {
            // An error is told by the next receive.
            flags = flags.and(Self::ERROR).and(Self::READABLE);
        }
        flags
    }
}

//! The state of an endpoint as bits.

use crate::driver::Readiness;
use crate::transport::flags::flags;

flags! {
    /// The state of an endpoint, one bit each.
    Flags: u32;

    // What the driver said. Edge-triggered: it says it once.
    READABLE,
    WRITABLE,
    ERROR,

    // Membership in the loop's lists.
    QUEUED,
    DIRTY,

    PAUSED,
    CLOSING,
    CLOSED,

    /// `connection_made` was called.
    MADE,
    /// One of its callbacks runs, and not inside another's.
    IN_CALLBACK,
    /// What that callback sends is gathered.
    GATHERS,
    /// The protocol was told to pause writing.
    WRITING_PAUSED,
    /// A send was answered with `AboveHighWater`: a pause, and later a resume, is owed.
    PAUSE_OWED,
    /// Something waits to be sent, or an error to be told.
    NEEDS_UPDATE,
    /// The driver is to tell when datagrams can be sent again.
    WATCHES_ROOM,
    /// Datagrams that were received when reading was paused.
    HAS_KEPT,
    /// Datagrams wait for receivers that were full, each for its own. `WRITABLE` then means that they
    /// are to be tried again.
    HAS_LANES,

    // How far `finish` came: if something unwinds, it is called again and does nothing twice.
    /// `connection_lost` was called.
    TOLD_LOST,
    /// The loop no longer counts it as open.
    RELEASED,

    /// The protocol takes the datagrams of a batch one by one, by `datagram_received`.
    ONE_BY_ONE,
}

impl Flags {
    pub(super) const NONE: Self = Self(0);

    /// What stops delivering.
    pub(super) const NOT_READING: Self = Self::PAUSED.union(Self::CLOSING).union(Self::CLOSED);
}

impl From<Readiness> for Flags {
    #[inline]
    fn from(readiness: Readiness) -> Self {
        let mut flags = Self::NONE;
        if readiness.intersects(Readiness::READ.union(Readiness::READ_CLOSED)) {
            flags = flags.union(Self::READABLE);
        }
        if readiness.intersects(Readiness::WRITE.union(Readiness::WRITE_CLOSED)) {
            flags = flags.union(Self::WRITABLE);
        }
        if readiness.intersects(Readiness::ERROR) {
            // An error is told by the next receive.
            flags = flags.union(Self::ERROR).union(Self::READABLE);
        }
        flags
    }
}

//! The state of a stream as bits, the lowest of which are its socket's readiness.

use crate::driver::Readiness;

/// The state of a stream, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u64);

/// Gives every flag a bit of its own, in this order: those that every message is asked about come
/// first, as low bits are the cheapest to ask for, and to clear: above the 31st that takes a mask in a
/// register.
macro_rules! flags {
    ($($(#[$attribute:meta])* $name:ident,)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the flags' names")]
        enum Bit {
            $($(#[$attribute])* $name,)+
        }

        impl Flags {
            $($(#[$attribute])* pub(super) const $name: Self = Self(1 << Bit::$name as u64);)+
        }
    };
}

flags! {
    // What the operating system said. Edge-triggered: it says it once. Those that most events say have
    // the bits that they have in epoll's events, so that nothing has to be moved.
    READABLE,
    /// There is urgent data, at whose mark reads end. Until a read finds nothing more.
    URGENT,
    WRITABLE,
    READ_CLOSED,
    WRITE_CLOSED,
    ERROR,

    /// A short read or write does not show that all was read, or that the socket is full: see
    /// `driver/drained.rs`.
    ENDS_EARLY,

    // Membership in the loop's lists.
    QUEUED,
    DIRTY,

    // Reading stops for independent reasons: the user's, the engine's, the end, and a limit (below).
    PAUSED,
    HELD,
    EOF,
    /// The protocol was told to pause writing.
    WRITING_PAUSED,
    /// Bytes become records on their way: see `tls.rs`.
    TLS,

    // The end of the write side, and of the connection.
    EOF_WANTED,
    /// The phase is another than `Open`. Set with it, in `closing/mod.rs` alone.
    CLOSING,
    /// The phase is `Over`. Set with it, in `closing/mod.rs` alone.
    LOST,
    /// `connection_made` was called.
    MADE,
    BUFFERED,
    /// There is a next protocol.
    SWITCHING,
    /// There are bytes that were left over.
    LEFTOVER,
    /// The marks, or the end of something, have to be looked at again.
    UNSETTLED,
    /// A write failed: the rest of the input is delivered, then the connection is over.
    WRITE_FAILED,
    /// One of its callbacks runs, and is the one whose writes are gathered.
    IN_CALLBACK,
    /// The running `data_received` gives some of its input back.
    UNREAD,
    /// A write was answered with `AboveHighWater`: a pause, and later a resume, is owed.
    TOLD_ABOVE,
    /// There are limits on how fast it may read or write.
    LIMITED,
    /// Its input goes to another socket without being read.
    SPLICED,
    /// The read budget is used up: a reason of its own not to read.
    THROTTLED,
    /// Something waits to be sent.
    HAS_QUEUE,
    /// Accepted, and nothing was received or written since: another process could begin with it.
    UNTOUCHED,
    /// Descriptors are received with the bytes.
    TAKES_DESCRIPTORS,

    /// A TLS handshake goes on.
    #[cfg(feature = "tls-core")]
    SHAKING_HANDS,

    /// The write side of the socket was ended.
    SHUT_DOWN,
    /// The socket's own end was read, or it has none. Under TLS `EOF` says no more than that the peer's
    /// `close_notify` was.
    ENDED,
    /// Too much input was dropped since the output made its last progress: nothing is read until then.
    DISCARD_LIMIT_REACHED,

    /// A callback that delivers input has just returned.
    IN_READ,
    /// The buffer passed its high-water mark in a callback that delivers input.
    OVERFLOWED_IN_READ,

    // How far `finish` came: a turn that unwinds does not do it twice.
    /// `connection_lost` was called.
    TOLD_LOST,
    /// The loop does not count it as open any more; the socket was closed, reset, or lingers.
    LET_GO,
}

impl Flags {
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

    /// What is known of the socket: the low bits.
    #[inline]
    pub(super) const fn readiness(self) -> Readiness {
        Readiness::from_bits(self.0 as u32)
    }
}

impl From<Readiness> for Flags {
    #[inline]
    fn from(readiness: Readiness) -> Self {
        Self(u64::from(readiness.bits()))
    }
}

/// The flags that the driver reports have the bits that they have in [`Readiness`].
const _: () = {
    assert!(Flags::READABLE.0 == Readiness::READ.bits() as u64);
    assert!(Flags::URGENT.0 == Readiness::URGENT.bits() as u64);
    assert!(Flags::WRITABLE.0 == Readiness::WRITE.bits() as u64);
    assert!(Flags::READ_CLOSED.0 == Readiness::READ_CLOSED.bits() as u64);
    assert!(Flags::WRITE_CLOSED.0 == Readiness::WRITE_CLOSED.bits() as u64);
    assert!(Flags::ERROR.0 == Readiness::ERROR.bits() as u64);
    assert!(Flags::ENDS_EARLY.0 == Readiness::ENDS_EARLY.bits() as u64);
};

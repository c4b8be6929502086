//! The state of a stream as bits, the lowest of which are its socket's readiness.

use crate::driver::Readiness;
use crate::transport::flags::flags;

flags! {
    /// The state of a stream, one bit each.
    ///
    /// It is one word for the reading half, the writing half and the life, because the way of a
    /// message asks all three with one mask. Each flag is changed by the part under which it stands.
    Flags: u64;

    // What the operating system said. Edge-triggered: it says it once. These are the bits of
    // `Readiness`, so an event becomes flags without a conversion.
    READABLE,
    /// There is urgent data, at whose mark reads end. Set until a read finds nothing more.
    URGENT,
    WRITABLE,
    READ_CLOSED,
    WRITE_CLOSED,
    ERROR,
    /// A short read or write does not show that all was read, or that the socket is full: see
    /// `driver/drained.rs`.
    ENDS_EARLY,

    // Membership in the loop's lists.
    /// It is in the ready list, or is being dispatched.
    QUEUED,
    /// It is in the list of streams to update at the end of the round.
    DIRTY,

    // Why the reading half does not read. Each reason is independent of the others.
    /// The user called `pause_reading`.
    PAUSED,
    /// The engine stopped reading, since the stream's own output is not taken (`hold_reading`).
    HELD,
    /// The peer ended its side, under TLS by `close_notify`.
    EOF,

    /// The protocol was told to pause writing.
    WRITING_PAUSED,
    /// What is written becomes TLS records on its way: see `tls/`.
    TLS,
    /// `write_eof` was called, or there is nothing to write to.
    EOF_WANTED,

    // The phase of the life: see `life/phase.rs`, which alone changes these.
    CLOSING,
    CLOSED,

    /// `connection_made` was called.
    MADE,
    /// The protocol receives into memory of its own (`BufferedProtocol`).
    BUFFERED,
    /// `set_protocol` was called: the next protocol waits for the running callback to return.
    SWITCHING,
    /// The reading half has bytes that were received and not delivered.
    LEFTOVER,
    /// `update` has something to do: a mark, the end of something, or a queue to look at.
    NEEDS_UPDATE,
    /// A write failed: the rest of the input is delivered, then the connection is closed.
    WRITE_FAILED,
    /// One of its callbacks runs, and is the one whose writes are gathered.
    IN_CALLBACK,
    /// The running `data_received` gives some of its input back.
    UNREAD,
    /// A write was answered with `AboveHighWater`, so `pause_writing` and later `resume_writing` have
    /// to be called, even if everything was sent meanwhile: the caller may wait for the latter.
    PAUSE_OWED,
    /// There are limits on how fast it may read or write.
    LIMITED,
    /// Its input goes to another socket without being read.
    SPLICED,
    /// The read limit is used up, so nothing is read until it allows more.
    THROTTLED,
    /// The writing half has something to send.
    HAS_QUEUE,
    /// Accepted, and nothing was received or written since: it can be handed to another process.
    UNUSED,
    /// Descriptors are received with the bytes.
    TAKES_DESCRIPTORS,

    /// A TLS handshake is going on.
    HANDSHAKING,

    /// The peer's end is what closes it.
    CLOSED_BY_PEER,
    /// The write side of the socket was shut down.
    SHUT_DOWN,
    /// The socket's own end was read, or it has none. Under TLS more can follow `EOF`.
    INPUT_ENDED,
    /// Too much input was dropped since the output made its last progress: nothing is read until it
    /// makes some.
    DISCARD_LIMIT_REACHED,

    /// A callback that delivers input has just returned.
    IN_READ,
    /// The queue passed its high-water mark in a callback that delivers input.
    OVERFLOWED_IN_READ,

    // The rest of the phase.
    AWAITING_PEER,
    RESETS,
    LINGERS,

    /// Somebody waits until everything is sent, or the connection is gone.
    AWAITED,

    // How far `finish` came: if something unwinds, it is called again and does nothing twice.
    /// `connection_lost` was called.
    TOLD_LOST,
    /// The loop no longer counts it as open; its socket was closed, reset, or lingers.
    RELEASED,
}

impl Flags {
    pub(super) const NONE: Self = Self(0);

    /// Whether `wanted` are the only flags among `mask` that are set, and all of them are.
    #[inline]
    pub(super) const fn matches(self, wanted: Self, mask: Self) -> bool {
        self.0 & mask.0 == wanted.0
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

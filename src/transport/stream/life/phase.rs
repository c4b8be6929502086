//! How far the life of a stream has come, and what comes next when everything was sent.
//!
//! ```text
//!          close(), or the       all is handed to the system:
//!          peer's end            close_notify, then FIN
//!   Open ───────────────▶ Flushing ───────────────┬─────▶ AwaitingPeer ───▶ Closed(Linger)
//!    │                        │                   │      (TLS, if asked for)       ▲
//!    │                        │                   └────────────────────────────────┤
//!    │ abort, error, deadline │                                                    │ TLS failed,
//!    └────────────┬───────────┘                                                    │ its alert is out
//!                 ├──────────────── output was dropped ──────▶ Closed(Reset)       │
//!                 └──────────────── nothing was dropped ─────▶ Closed(Close) ──────┘
//! ```

use crate::transport::stream::flags::Flags;

/// How far the end of a stream has come. It only goes forward, and is kept in the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::stream) enum Phase {
    /// Nobody has asked for the end. (The write side may have ended by itself: `EOF_WANTED`, `SHUT_DOWN`.)
    Open,
    /// What was written is being sent, with the end of TLS behind it.
    Flushing,
    /// The write side has ended; the peer's `close_notify` is waited for, as the user wished.
    AwaitingPeer,
    /// `connection_lost` is called, then something is done with the socket.
    Closed(SocketEnd),
}

/// What becomes of the socket of a closed stream, once `connection_lost` was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::stream) enum SocketEnd {
    /// It is closed: nothing of what was written can be destroyed by that.
    Close,
    /// Output was dropped, and the peer must not take what it has for all.
    Reset,
    /// It stays until the peer has everything.
    Linger,
}

/// What a stream does when everything that was written is with the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::stream) enum AfterFlush {
    /// Nobody has asked for an end, or a peer is waited for already.
    Nothing,
    /// A write failed, and the stream closes: not everything was sent, as an orderly end would say.
    Fail,
    /// Only the write side ends.
    EndWriteSide,
    /// Nothing can come any more that would be answered with a reset: the socket can be closed.
    Close,
    /// The write side ends, then the peer's `close_notify` is waited for.
    EndAndAwaitPeer,
    /// The write side ends, then the socket lingers.
    EndAndLinger,
}

impl Phase {
    pub(in crate::transport::stream) fn of(flags: Flags) -> Self {
        if flags.intersects(Flags::CLOSED) {
            Self::Closed(if flags.intersects(Flags::RESETS) {
                SocketEnd::Reset
            } else if flags.intersects(Flags::LINGERS) {
                SocketEnd::Linger
            } else {
                SocketEnd::Close
            })
        } else if flags.intersects(Flags::AWAITING_PEER) {
            Self::AwaitingPeer
        } else if flags.intersects(Flags::CLOSING) {
            Self::Flushing
        } else {
            Self::Open
        }
    }

    /// The flags to set when a stream enters this phase.
    pub(in crate::transport::stream) fn flags(self) -> Flags {
        const CLOSED: Flags = Flags::CLOSING.union(Flags::CLOSED);
        match self {
            Self::Open => Flags::NONE,
            Self::Flushing => Flags::CLOSING,
            Self::AwaitingPeer => Flags::CLOSING.union(Flags::AWAITING_PEER),
            Self::Closed(SocketEnd::Close) => CLOSED,
            Self::Closed(SocketEnd::Reset) => CLOSED.union(Flags::RESETS),
            Self::Closed(SocketEnd::Linger) => CLOSED.union(Flags::LINGERS),
        }
    }
}

impl AfterFlush {
    /// `can_reset`: closing the socket can answer input with a reset. `waits_for_peer`: the user wants
    /// the peer's `close_notify` waited for. `input_has_ended` is asked only where it matters.
    pub(in crate::transport::stream) fn of(
        flags: Flags,
        can_reset: bool,
        waits_for_peer: bool,
        input_has_ended: impl FnOnce() -> bool,
    ) -> Self {
        if flags.intersects(Flags::WRITE_FAILED) {
            return if flags.intersects(Flags::CLOSING) { Self::Fail } else { Self::Nothing };
        }
        match Phase::of(flags) {
            Phase::Open if flags.intersects(Flags::EOF_WANTED) => Self::EndWriteSide,
            Phase::Open | Phase::AwaitingPeer | Phase::Closed(_) => Self::Nothing,
            Phase::Flushing if !can_reset && !waits_for_peer => Self::Close,
            Phase::Flushing if input_has_ended() => Self::Close,
            Phase::Flushing if waits_for_peer && !flags.intersects(Flags::EOF) => {
                Self::EndAndAwaitPeer
            }
            Phase::Flushing => Self::EndAndLinger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [SocketEnd; 3] = [SocketEnd::Close, SocketEnd::Reset, SocketEnd::Linger];

    fn after_flush(flags: Flags, can_reset: bool, waits_for_peer: bool) -> AfterFlush {
        AfterFlush::of(flags, can_reset, waits_for_peer, || false)
    }

    #[test]
    fn a_phase_is_what_was_entered_last() {
        let mut flags = Flags::WRITABLE;
        assert_eq!(Phase::of(flags), Phase::Open);
        for phase in [Phase::Flushing, Phase::AwaitingPeer] {
            flags = flags.union(phase.flags());
            assert_eq!(Phase::of(flags), phase);
            for end in ENDS {
                let closed = Phase::Closed(end);
                assert_eq!(Phase::of(flags.union(closed.flags())), closed, "from {phase:?}");
            }
        }
    }

    #[test]
    fn the_write_side_alone_ends_after_write_eof() {
        assert_eq!(after_flush(Flags::WRITABLE, true, false), AfterFlush::Nothing);
        assert_eq!(after_flush(Flags::EOF_WANTED, true, true), AfterFlush::EndWriteSide);
    }

    #[test]
    fn a_socket_lingers_unless_nothing_can_come_any_more() {
        let closing = Flags::CLOSING;
        assert_eq!(after_flush(closing, true, false), AfterFlush::EndAndLinger);
        assert_eq!(after_flush(closing, false, false), AfterFlush::Close, "a pipe has no reset");
        assert_eq!(AfterFlush::of(closing, true, false, || true), AfterFlush::Close);
    }

    #[test]
    fn a_peer_is_waited_for_until_it_has_said_that_it_ended() {
        let closing = Flags::CLOSING;
        assert_eq!(after_flush(closing, true, true), AfterFlush::EndAndAwaitPeer);
        assert_eq!(after_flush(closing, false, true), AfterFlush::EndAndAwaitPeer);
        assert_eq!(after_flush(closing.union(Flags::EOF), true, true), AfterFlush::EndAndLinger);
        let awaiting = Phase::AwaitingPeer.flags();
        assert_eq!(after_flush(awaiting, true, true), AfterFlush::Nothing);
    }

    #[test]
    fn an_orderly_end_does_not_follow_a_failed_write() {
        let failed = Flags::WRITE_FAILED;
        assert_eq!(after_flush(failed.union(Flags::EOF_WANTED), true, false), AfterFlush::Nothing);
        assert_eq!(after_flush(failed.union(Flags::CLOSING), true, false), AfterFlush::Fail);
    }

    #[test]
    fn nothing_follows_once_a_stream_is_closed() {
        for end in ENDS {
            let flags = Phase::Closed(end).flags().union(Flags::EOF_WANTED);
            assert_eq!(after_flush(flags, true, true), AfterFlush::Nothing);
        }
    }
}

//! The deadlines of a connection, and which of them comes first.

use std::time::Duration;

use crate::event_loop::{Core, nanoseconds};
use crate::time::TimerKey;
use crate::timeout::{Timeout, TimeoutKind};
use crate::transport::stream::life::Phase;
use crate::transport::{StreamOptions, options};

pub(in crate::transport::stream) struct Deadlines {
    pub(super) idle: Option<Duration>,
    pub(super) linger: Option<Duration>,
    /// For closing as a whole.
    pub(super) closing: Option<Duration>,
    /// `None`: the default, which is in force only while reading is held or the stream closes.
    pub(super) write_stall: Option<Duration>,
    /// The protocol's own.
    pub(super) user: Option<Duration>,
    /// From when the protocol's own counts.
    pub(super) user_since: u64,
    pub(super) timer: Option<(TimerKey, u64)>,
    /// When the queue last shrank, or began.
    pub(super) write_progress_at: u64,
    /// When closing began, or its next part did; or when a write failed.
    pub(super) closing_at: u64,
    /// When closing began.
    pub(super) closing_since: u64,
    /// How much input was dropped since the output made its last progress.
    pub(super) discarded: usize,
    /// When a TLS handshake has to be done.
    pub(super) handshake_until: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The protocol is told, and decides.
    Told(Timeout),
    /// The connection ends.
    Final(TimeoutKind),
    /// A protocol has not read what it was sent before a write failed.
    Unread,
}

impl Deadlines {
    /// The defaults, where whatever they count from begins at `now`. There is no other way to make them:
    /// a time of 0 would be the loop's beginning, long ago.
    pub(super) fn beginning(now: u64) -> Self {
        Self {
            idle: None,
            linger: Some(options::LINGER),
            write_stall: None,
            closing: None,
            user: None,
            user_since: now,
            timer: None,
            write_progress_at: now,
            closing_at: now,
            closing_since: now,
            discarded: 0,
            handshake_until: None,
        }
    }

    /// `None` when all are the defaults: most connections then never have any.
    pub(in crate::transport::stream::life) fn from_options(
        core: &Core,
        options: &StreamOptions,
    ) -> Option<Self> {
        let chosen = options.deadlines.as_deref()?;
        Some(Self {
            idle: chosen.idle,
            linger: chosen.linger,
            closing: chosen.closing,
            write_stall: chosen.write_stall,
            user: chosen.user,
            ..Self::beginning(core.tick_time())
        })
    }

    /// Whether there is nothing in it that was asked for.
    pub(super) fn is_default(&self) -> bool {
        self.idle.is_none()
            && self.write_stall.is_none()
            && self.closing.is_none()
            && self.user.is_none()
            && self.linger == Some(options::LINGER)
            && self.handshake_until.is_none()
    }

    /// The earliest deadline, and what it is.
    pub(super) fn earliest(&self, state: &State) -> Option<(u64, Passed)> {
        let after = |since: u64, limit: Option<Duration>, passed: Passed| {
            let limit = limit.filter(|limit| *limit != Duration::MAX);
            limit.map(|limit| (since.saturating_add(nanoseconds(limit)), passed))
        };
        let is_closing = state.phase != Phase::Open;
        let [first, second] = if is_closing {
            let (limit, kind, since) = match state.phase {
                Phase::AwaitingPeer => (state.shutdown, TimeoutKind::TlsShutdown, self.closing_at),
                _ => {
                    let since = self.closing_at.max(self.write_progress_at);
                    (self.linger, TimeoutKind::Linger, since)
                }
            };
            let whole = Passed::Final(TimeoutKind::Closing);
            [
                after(since, limit, Passed::Final(kind)),
                after(self.closing_since, self.closing, whole),
            ]
        } else if state.write_failed {
            let limit = self.linger.unwrap_or(options::LINGER);
            let since = self.closing_at.max(state.input_moved_at);
            [after(since, Some(limit), Passed::Unread), None]
        } else {
            [after(state.active_at, self.idle, Passed::Told(Timeout::Idle)), None]
        };
        let handshake = Passed::Final(TimeoutKind::TlsHandshake);
        let handshake = self.handshake_until.map(|at| (at, handshake));
        let stall = if state.waits_for_socket {
            let default = (is_closing || state.is_held).then_some(options::WRITE_STALL);
            let limit = self.write_stall.or(default);
            let passed = match is_closing {
                true => Passed::Final(TimeoutKind::WriteStall),
                false => Passed::Told(Timeout::WriteStall),
            };
            after(self.write_progress_at, limit, passed)
        } else {
            None
        };
        let user = if state.is_made && !is_closing {
            after(self.user_since, self.user, Passed::Told(Timeout::User))
        } else {
            None
        };
        // If some are equal, the first counts.
        [first, second, handshake, stall, user].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// What deadlines have to know of a stream.
pub(super) struct State {
    pub(super) phase: Phase,
    /// `connection_made` was called.
    pub(super) is_made: bool,
    pub(super) write_failed: bool,
    /// Reading is held until the output drains.
    pub(super) is_held: bool,
    /// Something waits to be sent, and not for a rate limit.
    pub(super) waits_for_socket: bool,
    /// When bytes last went in or out.
    pub(super) active_at: u64,
    /// When input was last read; of a relay, or was passed on.
    pub(super) input_moved_at: u64,
    /// How long the peer's `close_notify` is waited for.
    pub(super) shutdown: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open() -> State {
        State {
            phase: Phase::Open,
            is_made: true,
            write_failed: false,
            is_held: false,
            waits_for_socket: false,
            active_at: 0,
            input_moved_at: 0,
            shutdown: None,
        }
    }

    fn after(seconds: u64, passed: Passed) -> Option<(u64, Passed)> {
        Some((seconds * 1_000_000_000, passed))
    }

    #[test]
    fn an_open_connection_without_limits_has_no_deadline() {
        assert_eq!(Deadlines::beginning(0).earliest(&open()), None);
        let forever = Deadlines { idle: Some(Duration::MAX), ..Deadlines::beginning(0) };
        assert_eq!(forever.earliest(&open()), None);
    }

    #[test]
    fn the_earliest_deadline_counts() {
        let deadlines = Deadlines {
            idle: Some(9 * SECOND),
            write_stall: Some(5 * SECOND),
            ..Deadlines::beginning(0)
        };
        assert_eq!(deadlines.earliest(&open()), after(9, Passed::Told(Timeout::Idle)));
        let waiting = State { waits_for_socket: true, ..open() };
        assert_eq!(deadlines.earliest(&waiting), after(5, Passed::Told(Timeout::WriteStall)));
    }

    #[test]
    fn a_stalled_write_has_a_default_deadline_only_while_somebody_waits_for_it() {
        let stall = Some(options::WRITE_STALL.as_secs());
        let earliest = |state: &State| {
            let earliest = Deadlines::beginning(0).earliest(state);
            earliest.map(|(at, _)| at / 1_000_000_000)
        };
        let waiting = State { waits_for_socket: true, ..open() };
        assert_eq!(earliest(&waiting), None);
        assert_eq!(earliest(&State { is_held: true, ..waiting }), stall);
    }

    #[test]
    fn a_peer_that_is_awaited_has_the_time_that_the_user_gave_it() {
        let deadlines = Deadlines { closing_at: 2_000_000_000, ..Deadlines::beginning(0) };
        let awaiting = State { phase: Phase::AwaitingPeer, shutdown: Some(3 * SECOND), ..open() };
        assert_eq!(
            deadlines.earliest(&awaiting),
            after(5, Passed::Final(TimeoutKind::TlsShutdown))
        );
    }

    #[test]
    fn closing_counts_from_the_last_progress_and_as_a_whole_from_its_beginning() {
        let deadlines = Deadlines {
            linger: Some(10 * SECOND),
            closing: Some(15 * SECOND),
            write_progress_at: 4_000_000_000,
            ..Deadlines::beginning(0)
        };
        let flushing = State { phase: Phase::Flushing, ..open() };
        assert_eq!(deadlines.earliest(&flushing), after(14, Passed::Final(TimeoutKind::Linger)));
        let later = Deadlines { write_progress_at: 6_000_000_000, ..deadlines };
        assert_eq!(later.earliest(&flushing), after(15, Passed::Final(TimeoutKind::Closing)));
    }

    #[test]
    fn after_a_failed_write_input_has_the_linger_time_from_when_it_last_moved() {
        let failed = State { write_failed: true, input_moved_at: 3_000_000_000, ..open() };
        let at = (options::LINGER + 3 * SECOND).as_secs() * 1_000_000_000;
        let expected = Some((at, Passed::Unread));
        assert_eq!(Deadlines::beginning(0).earliest(&failed), expected);
    }
}

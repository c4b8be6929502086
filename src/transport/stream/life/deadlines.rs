//! The deadlines of a connection: one timer for all, re-armed lazily.
//!
//! Traffic only notes when it was. The timer goes off at the earliest deadline as it was known when
//! it was armed, looks when something last happened, and is armed again for the rest.

use std::rc::Rc;
use std::time::Duration;

use super::{Phase, is_too_much};
use crate::error::Error;
use crate::event_loop::{Callback, Core, nanoseconds};
use crate::time::TimerKey;
use crate::timeout::{Timeout, TimeoutKind};
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::{StreamOptions, options};

pub(in crate::transport::stream) struct Deadlines {
    idle: Option<Duration>,
    linger: Option<Duration>,
    /// For closing as a whole.
    closing: Option<Duration>,
    /// `None`: the default, which is in force only while reading is held or the stream closes.
    write_stall: Option<Duration>,
    /// The protocol's own.
    user: Option<Duration>,
    /// From when the protocol's own counts.
    user_since: u64,
    timer: Option<(TimerKey, u64)>,
    /// When the queue last shrank, or began.
    write_progress_at: u64,
    /// When closing began, or its next part did; or when a write failed.
    closing_at: u64,
    /// When closing began.
    closing_since: u64,
    /// How much input was dropped since the output made its last progress.
    discarded: usize,
    /// When a TLS handshake has to be done.
    handshake_until: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
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
    fn beginning(now: u64) -> Self {
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
    pub(super) fn from_options(core: &Core, options: &StreamOptions) -> Option<Self> {
        let is_default = options.idle.is_none()
            && options.write_stall.is_none()
            && options.closing.is_none()
            && options.user.is_none()
            && options.linger == Some(options::LINGER);
        (!is_default).then(|| Self {
            idle: options.idle,
            linger: options.linger,
            closing: options.closing,
            write_stall: options.write_stall,
            user: options.user,
            ..Self::beginning(core.tick_time())
        })
    }

    /// Whether there is nothing in it that was asked for.
    fn is_default(&self) -> bool {
        self.idle.is_none()
            && self.write_stall.is_none()
            && self.closing.is_none()
            && self.user.is_none()
            && self.linger == Some(options::LINGER)
            && self.handshake_until.is_none()
    }

    /// The earliest deadline, and what it is.
    fn earliest(&self, state: &State) -> Option<(u64, Passed)> {
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
struct State {
    phase: Phase,
    /// `connection_made` was called.
    is_made: bool,
    write_failed: bool,
    /// Reading is held until the output drains.
    is_held: bool,
    /// Something waits to be sent, and not for a rate limit.
    waits_for_socket: bool,
    /// When bytes last went in or out.
    active_at: u64,
    /// When input was last read; of a relay, or was passed on.
    input_moved_at: u64,
    /// How long the peer's `close_notify` is waited for.
    shutdown: Option<Duration>,
}

/// How long a socket may linger.
#[derive(Clone, Copy, Debug)]
pub(in crate::transport::stream) struct LingerLimits {
    /// How long the peer may take nothing while it has not acknowledged everything; `None`: as long as
    /// it likes.
    pub(in crate::transport::stream) without_progress: Option<Duration>,
    /// When it ends, whatever the peer does.
    pub(in crate::transport::stream) until: u64,
}

impl Stream {
    pub(in crate::transport::stream) fn set_timeout(
        self: &Rc<Self>,
        core: &Core,
        timeout: Timeout,
        after: Option<Duration>,
    ) {
        if self.has(Flags::CLOSED) {
            return;
        }
        let now = core.now();
        self.with_deadlines(core, |deadlines| match timeout {
            Timeout::Idle => {
                deadlines.idle = after;
                self.active_at.set(core.instant(now));
            }
            Timeout::Linger => deadlines.linger = after,
            Timeout::Closing => deadlines.closing = after,
            Timeout::WriteStall => {
                deadlines.write_stall = after;
                deadlines.write_progress_at = now;
            }
            Timeout::User => {
                deadlines.user = after;
                deadlines.user_since = now;
            }
        });
        self.arm_deadlines(core);
    }

    /// The queue has begun, or shrunk.
    pub(in crate::transport::stream) fn note_write_progress(&self, core: &Core) {
        self.with_existing_deadlines(|deadlines| {
            deadlines.write_progress_at = core.tick_time();
            deadlines.discarded = 0;
            self.clear(Flags::DISCARD_LIMIT_REACHED);
        });
    }

    /// When input was last read; of a relay, or was passed on.
    fn input_moved_at(&self, core: &Core) -> u64 {
        let read_at = self.active_at.get();
        let moved_at = self.relayed_to(core).map_or(read_at, |to| read_at.max(to.active_at.get()));
        core.since_start(moved_at)
    }

    /// A write failed: what was received before has some time to be read.
    pub(in crate::transport::stream) fn note_write_failed(self: &Rc<Self>, core: &Core) {
        self.with_deadlines(core, |deadlines| deadlines.closing_at = core.tick_time());
        self.arm_deadlines(core);
    }

    /// Input was read and dropped.
    pub(in crate::transport::stream) fn note_discarded(&self, core: &Core, count: usize) {
        self.with_deadlines(core, |deadlines| {
            deadlines.discarded = deadlines.discarded.saturating_add(count);
            if is_too_much(deadlines.discarded) {
                self.set(Flags::DISCARD_LIMIT_REACHED);
            }
        });
    }

    /// How long the socket may linger, now that the connection is closed.
    pub(in crate::transport::stream) fn linger_limits(&self) -> LingerLimits {
        let limits = self.with_existing_deadlines(|deadlines| {
            let end = |limit| deadlines.closing_since.saturating_add(nanoseconds(limit));
            let until = deadlines.closing.map_or(u64::MAX, end);
            LingerLimits { without_progress: deadlines.linger, until }
        });
        limits.unwrap_or(LingerLimits { without_progress: Some(options::LINGER), until: u64::MAX })
    }

    /// Closing has begun, or its next part has. (A stream that can close at once needs no timer,
    /// so this is noted only where there is something to wait for.)
    pub(in crate::transport::stream) fn note_closing(&self, core: &Core) {
        let begins = self.phase() == Phase::Flushing;
        if !begins || self.has(Flags::HAS_QUEUE) || self.has_deadlines() {
            self.with_deadlines(core, |deadlines| {
                deadlines.closing_at = core.tick_time();
                if begins {
                    deadlines.closing_since = deadlines.closing_at;
                }
            });
        }
    }

    /// Arms the timer so that it goes off no later than the earliest deadline.
    pub(in crate::transport::stream) fn arm_deadlines(self: &Rc<Self>, core: &Core) {
        let waits = self.has(Flags::HELD.union(Flags::CLOSING));
        if self.has(Flags::CLOSED) || !(waits || self.has_deadlines()) {
            return;
        }
        let state = self.deadline_state(core);
        self.with_deadlines(core, |deadlines| {
            let Some((at, _)) = deadlines.earliest(&state) else { return };
            match deadlines.timer {
                Some((_, armed)) if armed <= at => {}
                Some((key, _)) => {
                    core.timers.borrow_mut().reset(key, at);
                    deadlines.timer = Some((key, at));
                }
                None => {
                    let key = core.add_timer(at, Box::new(Rc::clone(self)));
                    deadlines.timer = Some((key, at));
                }
            }
        });
    }

    /// Sets or removes the deadline of a handshake.
    pub(in crate::transport::stream) fn set_handshake_deadline(
        self: &Rc<Self>,
        core: &Core,
        until: Option<u64>,
    ) {
        self.with_deadlines(core, |deadlines| deadlines.handshake_until = until);
        let is_default = self.with_existing_deadlines(|deadlines| deadlines.is_default());
        if is_default == Some(true) && !self.has(Flags::HELD.union(Flags::CLOSING)) {
            self.forget_deadlines(core);
        } else {
            self.arm_deadlines(core);
        }
    }

    pub(in crate::transport::stream) fn has_deadlines(&self) -> bool {
        self.life.rare.is_there() && self.with_existing_deadlines(|_| ()).is_some()
    }

    /// Takes the timer back. The limits stay: a socket that lingers goes by them.
    pub(in crate::transport::stream) fn stop_deadlines(&self, core: &Core) {
        let timer = self.with_existing_deadlines(|deadlines| deadlines.timer.take());
        if let Some(Some((key, _))) = timer {
            core.cancel_timer(key);
        }
    }

    fn forget_deadlines(&self, core: &Core) {
        self.stop_deadlines(core);
        self.life.rare.change_existing(|rare| rare.deadlines = None);
    }

    fn deadline(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::CLOSED) {
            return;
        }
        let now = core.tick_time();
        let state = self.deadline_state(core);
        let earliest = self.with_existing_deadlines(|deadlines| {
            deadlines.timer = None;
            deadlines.earliest(&state)
        });
        let passed = earliest.flatten().filter(|(at, _)| *at <= now).map(|(_, passed)| passed);
        match passed {
            None => {}
            Some(Passed::Unread) => self.end_of_input(core, None),
            Some(Passed::Told(timeout)) => self.time_out(core, timeout, now),
            Some(Passed::Final(kind)) if self.phase() == Phase::AwaitingPeer => {
                // Everything was sent.
                self.end_and_linger(core, Some(Error::timeout(kind)));
            }
            Some(Passed::Final(kind)) => self.end(core, Some(Error::timeout(kind))),
        }
        self.arm_deadlines(core);
    }

    fn time_out(self: &Rc<Self>, core: &Rc<Core>, timeout: Timeout, now: u64) {
        // `Ok` keeps the connection, and the deadline begins anew.
        self.with_deadlines(core, |deadlines| match timeout {
            Timeout::WriteStall => deadlines.write_progress_at = now,
            Timeout::User => deadlines.user_since = now,
            _ => self.active_at.set(core.instant(now)),
        });
        self.call(core, "timed_out", |protocol, transport| protocol.timed_out(transport, timeout));
        self.update(core);
    }

    /// `connection_made` is about to be called, after a handshake: the protocol's own deadline counts from now.
    #[cfg(feature = "tls-core")]
    pub(in crate::transport::stream) fn begin_user_deadline(&self, core: &Core) {
        self.with_existing_deadlines(|deadlines| deadlines.user_since = core.tick_time());
    }

    fn with_deadlines(&self, core: &Core, change: impl FnOnce(&mut Deadlines)) {
        self.life.rare.change(|rare| {
            let now = core.tick_time();
            change(rare.deadlines.get_or_insert_with(|| Deadlines::beginning(now)));
        });
    }

    fn with_existing_deadlines<R>(&self, change: impl FnOnce(&mut Deadlines) -> R) -> Option<R> {
        self.life.rare.change_existing(|rare| rare.deadlines.as_mut().map(change))
    }

    fn deadline_state(&self, core: &Core) -> State {
        let write_failed = self.has(Flags::WRITE_FAILED);
        State {
            phase: self.phase(),
            is_made: self.has(Flags::MADE),
            write_failed,
            is_held: self.has(Flags::HELD),
            waits_for_socket: self.has(Flags::HAS_QUEUE) && !self.is_write_throttled(),
            active_at: core.since_start(self.active_at.get()),
            input_moved_at: if write_failed { self.input_moved_at(core) } else { 0 },
            shutdown: self.shutdown_timeout(),
        }
    }
}

/// Only the timer of its deadlines calls a stream.
impl Callback for Stream {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.deadline(core);
    }
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

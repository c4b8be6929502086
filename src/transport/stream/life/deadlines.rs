//! The deadlines of a connection: one timer for all, re-armed lazily.
//!
//! Traffic only notes when it was. The timer goes off at the earliest deadline as it was known when
//! it was armed, looks when something last happened, and is armed again for the rest.

mod earliest;

use std::rc::Rc;
use std::time::Duration;

use self::earliest::{Passed, State};
use super::{Phase, is_too_much};
use crate::error::Error;
use crate::event_loop::{Callback, Core, nanoseconds};
use crate::timeout::Timeout;
use crate::transport::options;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

pub(in crate::transport::stream) use self::earliest::Deadlines;

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
                    core.reset_timer(key, at);
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

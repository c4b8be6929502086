//! The deadlines of a connection: one timer for all, re-armed lazily.
//!
//! Traffic only notes when it was. The timer goes off at the earliest deadline as it was known when
//! it was armed, looks when something last happened, and is armed again for the rest.

use std::rc::Rc;
use std::time::Duration;

use super::Stream;
use super::closing::{self, Phase};
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::{Callback, Core, nanoseconds};
use crate::time::TimerKey;
use crate::timeout::TimeoutKind;
use crate::transport::{StreamOptions, options};

pub(super) struct Deadlines {
    idle: Option<Duration>,
    linger: Option<Duration>,
    /// For closing as a whole.
    closing: Option<Duration>,
    /// `None`: the default, which is in force only while reading is held or the stream closes.
    write_stall: Option<Duration>,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Kind(TimeoutKind),
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
            timer: None,
            write_progress_at: now,
            closing_at: now,
            closing_since: now,
            discarded: 0,
            handshake_until: None,
        }
    }

    /// `None` when all are the defaults: most connections then never have any.
    pub(super) fn from_options(core: &Core, options: &StreamOptions) -> Option<Box<Self>> {
        let is_default = options.idle.is_none()
            && options.write_stall.is_none()
            && options.closing.is_none()
            && options.linger == Some(options::LINGER);
        (!is_default).then(|| {
            Box::new(Self {
                idle: options.idle,
                linger: options.linger,
                closing: options.closing,
                write_stall: options.write_stall,
                ..Self::beginning(core.tick_time())
            })
        })
    }

    /// Whether there is nothing in it that was asked for.
    #[cfg(feature = "tls-core")]
    fn is_default(&self) -> bool {
        self.idle.is_none()
            && self.write_stall.is_none()
            && self.closing.is_none()
            && self.linger == Some(options::LINGER)
            && self.handshake_until.is_none()
    }

    /// The earliest deadline, and what it is.
    fn earliest(&self, core: &Core, stream: &Stream) -> Option<(u64, Passed)> {
        let after = |since: u64, limit: Option<Duration>, passed: Passed| {
            let limit = limit.filter(|limit| *limit != Duration::MAX);
            limit.map(|limit| (since.saturating_add(nanoseconds(limit)), passed))
        };
        let closing = stream.has(Flags::CLOSING);
        let mut earliest = None;
        let mut consider = |candidate: Option<(u64, Passed)>| {
            if let Some((at, passed)) = candidate
                && earliest.is_none_or(|(other, _)| at < other)
            {
                earliest = Some((at, passed));
            }
        };
        if closing {
            let (limit, kind, since) = match stream.phase() {
                Phase::AwaitingPeer => {
                    (stream.shutdown_timeout(), TimeoutKind::TlsShutdown, self.closing_at)
                }
                _ => {
                    (self.linger, TimeoutKind::Linger, self.closing_at.max(self.write_progress_at))
                }
            };
            consider(after(since, limit, Passed::Kind(kind)));
            let whole = Passed::Kind(TimeoutKind::Closing);
            consider(after(self.closing_since, self.closing, whole));
        } else if stream.has(Flags::WRITE_FAILED) {
            let limit = self.linger.unwrap_or(options::LINGER);
            let since = self.closing_at.max(stream.input_moved_at(core));
            consider(after(since, Some(limit), Passed::Unread));
        } else {
            let active_at = core.since_start(stream.active_at.get());
            consider(after(active_at, self.idle, Passed::Kind(TimeoutKind::Idle)));
        }
        consider(self.handshake_until.map(|at| (at, Passed::Kind(TimeoutKind::TlsHandshake))));
        if stream.has(Flags::HAS_QUEUE) && !stream.is_write_throttled() {
            let default = (closing || stream.has(Flags::HELD)).then_some(options::WRITE_STALL);
            let limit = self.write_stall.or(default);
            consider(after(self.write_progress_at, limit, Passed::Kind(TimeoutKind::WriteStall)));
        }
        earliest
    }
}

/// How long a socket may linger.
#[derive(Clone, Copy, Debug)]
pub(super) struct LingerLimits {
    /// How long the peer may take nothing while it has not acknowledged everything; `None`: as long as
    /// it likes.
    pub(super) without_progress: Option<Duration>,
    /// When it ends, whatever the peer does.
    pub(super) until: u64,
}

impl Stream {
    pub(super) fn set_timeout(
        self: &Rc<Self>,
        core: &Core,
        kind: TimeoutKind,
        after: Option<Duration>,
    ) {
        if self.has(Flags::LOST) {
            return;
        }
        let now = core.now();
        self.with_deadlines(core, |deadlines| match kind {
            TimeoutKind::Idle => {
                deadlines.idle = after;
                self.active_at.set(core.instant(now));
            }
            TimeoutKind::Linger => deadlines.linger = after,
            TimeoutKind::Closing => deadlines.closing = after,
            TimeoutKind::WriteStall => {
                deadlines.write_stall = after;
                deadlines.write_progress_at = now;
            }
            TimeoutKind::Connect
            | TimeoutKind::Process
            | TimeoutKind::TlsHandshake
            | TimeoutKind::TlsShutdown => {}
        });
        self.arm_deadlines(core);
    }

    /// The queue has begun, or shrunk.
    pub(super) fn note_write_progress(&self, core: &Core) {
        if let Some(deadlines) = &mut *self.deadlines.borrow_mut() {
            deadlines.write_progress_at = core.tick_time();
            deadlines.discarded = 0;
            self.clear(Flags::DISCARD_LIMIT_REACHED);
        }
    }

    /// When input was last read; of a relay, or was passed on.
    fn input_moved_at(&self, core: &Core) -> u64 {
        let passed_on_at = self.relayed_to(core).map(|to| to.active_at.get());
        let moved_at = passed_on_at.map_or(self.active_at.get(), |at| at.max(self.active_at.get()));
        core.since_start(moved_at)
    }

    /// A write failed: what was received before has some time to be read.
    pub(super) fn note_write_failed(self: &Rc<Self>, core: &Core) {
        self.with_deadlines(core, |deadlines| deadlines.closing_at = core.tick_time());
        self.arm_deadlines(core);
    }

    /// Input was read and dropped.
    pub(super) fn note_discarded(&self, core: &Core, count: usize) {
        self.with_deadlines(core, |deadlines| {
            deadlines.discarded = deadlines.discarded.saturating_add(count);
            if closing::is_too_much(deadlines.discarded) {
                self.set(Flags::DISCARD_LIMIT_REACHED);
            }
        });
    }

    /// How long the socket may linger, now that the connection is over.
    pub(super) fn linger_limits(&self) -> LingerLimits {
        let place = self.deadlines.borrow();
        let Some(deadlines) = &*place else {
            return LingerLimits { without_progress: Some(options::LINGER), until: u64::MAX };
        };
        let end = |limit| deadlines.closing_since.saturating_add(nanoseconds(limit));
        let until = deadlines.closing.map_or(u64::MAX, end);
        LingerLimits { without_progress: deadlines.linger, until }
    }

    /// Closing has begun, or its next part has. (A stream that can close at once needs no timer,
    /// so this is noted only where there is something to wait for.)
    pub(super) fn note_closing(&self, core: &Core) {
        let begins = self.phase() == Phase::Flushing;
        if !begins || self.has(Flags::HAS_QUEUE) || self.deadlines.borrow().is_some() {
            self.with_deadlines(core, |deadlines| {
                deadlines.closing_at = core.tick_time();
                if begins {
                    deadlines.closing_since = deadlines.closing_at;
                }
            });
        }
    }

    /// Sees to it that the timer goes off no later than the earliest deadline.
    pub(super) fn arm_deadlines(self: &Rc<Self>, core: &Core) {
        let waits = self.has(Flags::HELD.and(Flags::CLOSING));
        if self.deadlines.borrow().is_none() {
            if !waits {
                return;
            }
            self.with_deadlines(core, |_| {});
        }
        let mut place = self.deadlines.borrow_mut();
        let Some(deadlines) = &mut *place else { return };
        let Some((at, _)) = deadlines.earliest(core, self) else { return };
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
    }

    /// Sets or removes the deadline of a handshake.
    #[cfg(feature = "tls-core")]
    pub(super) fn set_handshake_deadline(self: &Rc<Self>, core: &Core, until: Option<u64>) {
        self.with_deadlines(core, |deadlines| deadlines.handshake_until = until);
        let is_default = self.deadlines.borrow().as_ref().is_some_and(|own| own.is_default());
        if is_default && !self.has(Flags::HELD.and(Flags::CLOSING)) {
            self.forget_deadlines(core);
        } else {
            self.arm_deadlines(core);
        }
    }

    pub(super) fn has_deadlines(&self) -> bool {
        self.deadlines.borrow().is_some()
    }

    /// Takes the timer back. The limits stay: a socket that lingers goes by them.
    pub(super) fn stop_deadlines(&self, core: &Core) {
        let timer = match &mut *self.deadlines.borrow_mut() {
            Some(deadlines) => deadlines.timer.take(),
            None => None,
        };
        if let Some((key, _)) = timer {
            core.cancel_timer(key);
        }
    }

    #[cfg(feature = "tls-core")]
    fn forget_deadlines(&self, core: &Core) {
        self.stop_deadlines(core);
        self.deadlines.borrow_mut().take();
    }

    fn deadline(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::LOST) {
            return;
        }
        let now = core.tick_time();
        let passed = {
            let mut place = self.deadlines.borrow_mut();
            let Some(deadlines) = &mut *place else { return };
            deadlines.timer = None;
            deadlines.earliest(core, self).filter(|(at, _)| *at <= now).map(|(_, passed)| passed)
        };
        match passed {
            None => {}
            Some(Passed::Unread) => self.end_of_input(core, None),
            Some(Passed::Kind(kind)) if self.phase() == Phase::AwaitingPeer => {
                // Everything was sent.
                self.lose_and_linger(core, Some(Error::timeout(kind)));
            }
            Some(Passed::Kind(kind))
                if self.has(Flags::CLOSING) || kind == TimeoutKind::TlsHandshake =>
            {
                self.lose(core, Some(Error::timeout(kind)));
            }
            Some(Passed::Kind(kind)) => self.time_out(core, kind, now),
        }
        if !self.has(Flags::LOST) {
            self.arm_deadlines(core);
        }
    }

    fn time_out(self: &Rc<Self>, core: &Rc<Core>, kind: TimeoutKind, now: u64) {
        // Kept (`Ok`), the deadline begins anew.
        self.with_deadlines(core, |deadlines| match kind {
            TimeoutKind::WriteStall => deadlines.write_progress_at = now,
            _ => self.active_at.set(core.instant(now)),
        });
        self.call(core, "timed_out", |protocol, transport| protocol.timed_out(transport, kind));
        self.settle(core);
    }

    fn with_deadlines(&self, core: &Core, change: impl FnOnce(&mut Deadlines)) {
        let mut place = self.deadlines.borrow_mut();
        change(place.get_or_insert_with(|| Box::new(Deadlines::beginning(core.tick_time()))));
    }
}

/// Only the timer of its deadlines calls a stream.
impl Callback for Stream {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.deadline(core);
    }
}

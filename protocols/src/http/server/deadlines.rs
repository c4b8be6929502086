use std::time::{Duration, Instant};

use wharf::{Timeout, Transport};

use super::config::Settings;

/// Which deadline of a request runs. A request that comes whole and is answered at once has none, and costs nothing.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    armed: Phase,
    /// When the phase began, or the last time that it was found to go on well.
    since: Option<Instant>,
    /// When the request began.
    request_since: Option<Instant>,
    /// Bytes of content since `since`.
    received: u64,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Nothing,
    Head,
    Content,
    Answer,
    /// The request that was waited for is over; what is waited for next begins anew.
    Over,
}

/// What a deadline that passed means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Not,
    Late,
    TooLongInAll,
}

impl Deadlines {
    pub(super) fn content_received(&mut self, count: usize) {
        self.received += count as u64;
    }

    /// A request is over.
    #[inline]
    pub(super) fn request_is_over(&mut self) {
        if self.armed != Phase::Nothing {
            self.armed = Phase::Over;
            self.request_since = None;
        }
    }

    /// Says what is waited for from now on.
    #[inline]
    pub(super) fn wait_for(
        &mut self,
        phase: Phase,
        settings: &Settings,
        transport: &dyn Transport,
    ) {
        if phase != self.armed {
            self.change(phase, settings, transport);
        }
    }

    fn change(&mut self, phase: Phase, settings: &Settings, transport: &dyn Transport) {
        self.armed = phase;
        self.received = 0;
        if phase == Phase::Nothing {
            self.request_since = None;
            transport.set_timeout(Timeout::User, None);
            return;
        }
        let now = transport.event_loop().time();
        self.since = Some(now);
        self.request_since.get_or_insert(now);
        self.arm(now, settings, transport);
    }

    fn arm(&self, now: Instant, settings: &Settings, transport: &dyn Transport) {
        let total = self.left_in_all(now, settings);
        let left = [self.of_phase(settings), total].into_iter().flatten().min();
        transport.set_timeout(Timeout::User, left);
    }

    /// A deadline has passed: which, and if none really has, the next is set.
    pub(super) fn pass(&mut self, settings: &Settings, transport: &dyn Transport) -> Passed {
        let now = transport.event_loop().time();
        if self.left_in_all(now, settings).is_some_and(|left| left.is_zero()) {
            return Passed::TooLongInAll;
        }
        let Some(after) = self.of_phase(settings) else {
            self.arm(now, settings, transport);
            return Passed::Not;
        };
        // Content that came well has earned more time; so has a client that is not read.
        let is_read = transport.is_reading();
        let allowed = after.saturating_add(Duration::from_secs(self.received / LEAST_RATE));
        let elapsed = now.saturating_duration_since(self.since.unwrap_or(now));
        if self.armed == Phase::Content && (!is_read || elapsed < allowed) {
            if !is_read {
                (self.since, self.received) = (Some(now), 0);
            }
            let left = if is_read { allowed - elapsed } else { after };
            let total = self.left_in_all(now, settings);
            transport.set_timeout(Timeout::User, Some(total.map_or(left, |total| total.min(left))));
            return Passed::Not;
        }
        Passed::Late
    }

    fn of_phase(&self, settings: &Settings) -> Option<Duration> {
        match self.armed {
            Phase::Head => settings.head_timeout,
            Phase::Content => settings.body_timeout,
            Phase::Nothing | Phase::Answer | Phase::Over => None,
        }
    }

    fn left_in_all(&self, now: Instant, settings: &Settings) -> Option<Duration> {
        let (total, since) = (settings.total_timeout?, self.request_since?);
        Some(total.saturating_sub(now.saturating_duration_since(since)))
    }
}

/// Bytes of content that earn a second.
const LEAST_RATE: u64 = 500;

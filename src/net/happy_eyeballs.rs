//! Happy eyeballs (RFC 8305): several addresses are raced, the first connection wins.
//!
//! Only decisions are made here. The caller owns the sockets, the timer and the clock, tells the
//! [`Race`] what happened, and does what the [`Step`] says:
//!
//! ```text
//! start ──▶ Step::Start ──▶ caller connects ──▶ attempt_failed, attempt_succeeded
//!             ▲    │                                   │
//!             │    └─▶ caller sets its timer ──▶ timer_expired
//!             └────────────────────────────────────────┘
//! ```
//!
//! A step starts one attempt at most, so a caller whose attempts fail at once goes on in a loop,
//! not in a recursion.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{error, fmt, io, mem};

use super::resolve::remove_duplicates;

/// How long an attempt has before the next one is started beside it.
///
/// "Connection Attempt Delay", RFC 8305, sections 5 and 8.
pub(crate) const DEFAULT_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The shortest delay; shorter ones are taken as this.
///
/// RFC 8305, section 5: an attempt must not be started within 10 ms of the previous one, since
/// attempts sent at once would congest a network that loses packets. The 100 ms and 2 s that the
/// section recommends as bounds are for delays computed from round-trip times; here the delay is the
/// user's choice.
pub(crate) const MINIMUM_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// Reorders addresses so that the families alternate (RFC 8305, section 4).
///
/// The first address stays first: the resolver has put it there by RFC 6724. The first
/// `first_family_count` addresses are of its family, as far as there are as many, then the families
/// take turns. 1 is recommended, 2 favours the first family; 0 changes nothing. The order within a
/// family is kept.
pub(crate) fn interleave(addresses: &[SocketAddr], first_family_count: usize) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    if first_family_count == 0 {
        return addresses.to_vec();
    }
    let (first_family, other_family): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut first_family = first_family.into_iter();
    let mut other_family = other_family.into_iter();

    let mut ordered = Vec::with_capacity(addresses.len());
    ordered.extend(first_family.by_ref().take(first_family_count - 1));
    while ordered.len() < addresses.len() {
        ordered.extend(first_family.next());
        ordered.extend(other_family.next());
    }
    ordered
}

/// One race for one connection.
///
/// Attempts are started in the order of the addresses. The next one is started when the latest has
/// failed, or has not finished within the delay (RFC 8305, section 5); one that was overtaken and
/// fails then changes nothing, because the latest still has its delay. There is one winner. When all
/// have failed, every error is handed out with its address.
#[derive(Debug)]
pub(crate) struct Race {
    /// In the order of the addresses, which is that of the attempts.
    attempts: Vec<(SocketAddr, State)>,
    /// How many attempts have been started.
    started: usize,
    delay: Option<Duration>,
    /// When the next attempt is due.
    wake_at: Option<Instant>,
    is_over: bool,
}

impl Race {
    /// A race over these addresses, each of them once.
    ///
    /// A `delay` of `None` makes it strictly sequential: an attempt is started only when the one
    /// before has failed. Any other delay is at least [`MINIMUM_ATTEMPT_DELAY`].
    pub(crate) fn new(mut addresses: Vec<SocketAddr>, delay: Option<Duration>) -> Self {
        remove_duplicates(&mut addresses);
        Self {
            attempts: addresses.into_iter().map(|address| (address, State::NotStarted)).collect(),
            started: 0,
            delay: delay.map(|delay| delay.max(MINIMUM_ATTEMPT_DELAY)),
            wake_at: None,
            is_over: false,
        }
    }

    /// Begins with the first address; without any, the race is lost.
    pub(crate) fn start(&mut self, now: Instant) -> Step {
        if self.is_over {
            Step::Over
        } else if self.started > 0 {
            Step::Wait { wake_at: self.wake_at }
        } else {
            self.next_attempt(now)
        }
    }

    /// An attempt ended with an error, whether while it was started or later.
    ///
    /// An attempt that is not under way changes nothing.
    pub(crate) fn attempt_failed(
        &mut self,
        attempt: AttemptId,
        error: io::Error,
        now: Instant,
    ) -> Step {
        if self.is_over {
            return Step::Over;
        }
        if let Some((_, state @ State::UnderWay)) = self.attempts.get_mut(attempt.0) {
            *state = State::Failed(error);
            if attempt.0 + 1 == self.started || self.under_way().next().is_none() {
                return self.next_attempt(now);
            }
        }
        Step::Wait { wake_at: self.wake_at }
    }

    /// The caller's timer fired. One that fires early or was overtaken changes nothing.
    pub(crate) fn timer_expired(&mut self, now: Instant) -> Step {
        if self.is_over {
            Step::Over
        } else if self.wake_at.is_some_and(|wake_at| wake_at <= now) {
            self.next_attempt(now)
        } else {
            Step::Wait { wake_at: self.wake_at }
        }
    }

    /// An attempt has its connection: the first to say so has won.
    ///
    /// The caller closes the losers now; what they still have to say is late. So is a second
    /// success in the same tick, whose connection is to be closed too.
    pub(crate) fn attempt_succeeded(&mut self, attempt: AttemptId) -> Finish {
        let is_under_way = matches!(self.attempts.get(attempt.0), Some((_, State::UnderWay)));
        if self.is_over || !is_under_way {
            return Finish::TooLate;
        }
        let losers = self.under_way().filter(|&loser| loser != attempt).collect();
        self.finish();
        Finish::Won { losers }
    }

    /// Ends the race without a winner, on a timeout or a cancellation.
    ///
    /// Gives the attempts to close and what had been tried; `None` if the race was over already.
    pub(crate) fn give_up(&mut self) -> Option<(Vec<AttemptId>, RaceError)> {
        if self.is_over {
            return None;
        }
        let under_way = self.under_way().collect();
        Some((under_way, self.finish()))
    }

    fn next_attempt(&mut self, now: Instant) -> Step {
        let Some((address, state)) = self.attempts.get_mut(self.started) else {
            self.wake_at = None;
            if self.under_way().next().is_none() {
                return Step::Lost(self.finish());
            }
            return Step::Wait { wake_at: None };
        };
        *state = State::UnderWay;
        let attempt = Attempt { id: AttemptId(self.started), address: *address };
        self.started += 1;
        let is_last = self.started == self.attempts.len();
        self.wake_at = self.delay.filter(|_| !is_last).and_then(|delay| now.checked_add(delay));
        Step::Start { attempt, wake_at: self.wake_at }
    }

    fn under_way(&self) -> impl Iterator<Item = AttemptId> {
        self.attempts
            .iter()
            .enumerate()
            .filter(|(_, (_, state))| matches!(state, State::UnderWay))
            .map(|(index, _)| AttemptId(index))
    }

    /// Ends the race and gives what became of its attempts.
    fn finish(&mut self) -> RaceError {
        self.is_over = true;
        self.wake_at = None;
        let mut error = RaceError { failures: vec![], unfinished: vec![], not_started: vec![] };
        for (address, state) in mem::take(&mut self.attempts) {
            match state {
                State::NotStarted => error.not_started.push(address),
                State::UnderWay => error.unfinished.push(address),
                State::Failed(cause) => error.failures.push((address, cause)),
            }
        }
        error
    }
}

/// What to do next.
#[must_use]
#[derive(Debug)]
pub(crate) enum Step {
    /// Start this attempt, and call `timer_expired` at this time, which replaces an earlier one.
    Start { attempt: Attempt, wake_at: Option<Instant> },
    /// Start nothing. The time to wake up is as it was, or there is none any more.
    Wait { wake_at: Option<Instant> },
    /// Every attempt has failed, or there was no address.
    Lost(RaceError),
    /// The race was over before.
    Over,
}

/// An attempt to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) address: SocketAddr,
}

/// Names an attempt within its race: its place in the order of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptId(pub(crate) usize);

/// What a success means.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// This is the connection; close the attempts that were beside it.
    Won { losers: Vec<AttemptId> },
    /// Another one has won, or the race was given up; close this one.
    TooLate,
}

/// Why a race has no winner: every address and what became of it, in the order of attempts.
#[derive(Debug)]
pub(crate) struct RaceError {
    /// The attempts that failed, each with its error.
    pub(crate) failures: Vec<(SocketAddr, io::Error)>,
    /// The attempts that had no answer when the race was given up.
    pub(crate) unfinished: Vec<SocketAddr>,
    /// The addresses that had not been tried when the race was given up.
    pub(crate) not_started: Vec<SocketAddr>,
}

impl fmt::Display for RaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failures, unfinished, not_started } = self;
        if failures.is_empty() && unfinished.is_empty() {
            let has_addresses = !not_started.is_empty();
            return f.write_str(if has_addresses {
                "no attempt started"
            } else {
                "no address to connect to"
            });
        }
        if failures.is_empty() {
            f.write_str("no attempt finished: ")?;
        }
        let mut separator = "";
        for (address, error) in failures {
            write!(f, "{separator}{address}: {error}")?;
            separator = "; ";
        }
        for address in unfinished {
            write!(f, "{separator}{address}: no answer")?;
            separator = "; ";
        }
        if !not_started.is_empty() {
            write!(f, "{separator}{} more not tried", not_started.len())?;
        }
        Ok(())
    }
}

impl error::Error for RaceError {}

#[derive(Debug)]
enum State {
    NotStarted,
    UnderWay,
    Failed(io::Error),
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

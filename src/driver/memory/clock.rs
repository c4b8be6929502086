//! Virtual time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A moment of virtual time: so many nanoseconds after its clock began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// How far time goes in memory: 292 years. Timers for later are for never.
    const END_OF_TIME: Self = Self(u64::MAX / 2);

    /// So many nanoseconds later, or the last moment that there is.
    pub(crate) fn plus_nanoseconds(self, nanoseconds: u64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }
}

/// The clock of a network, which all its loops share. It moves only when none of them has anything
/// to do.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The real time when the network was made: virtual time begins there.
    began: Instant,
    moment: Cell<Moment>,
    /// That moment as loops know it: they ask more often than it changes.
    now: Cell<Instant>,
    /// How many turns loops have taken since it moved, and may take.
    turns: Cell<u64>,
    patience: Cell<u64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let began = Instant::now();
        Self {
            began,
            moment: Cell::default(),
            now: Cell::new(began),
            turns: Cell::new(0),
            patience: Cell::new(u64::MAX),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn moment(&self) -> Moment {
        self.moment.get()
    }

    /// The time since the network was made.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.moment.get().0)
    }

    /// Whether no time is left to pass.
    pub(super) fn is_at_its_end(&self) -> bool {
        self.moment.get() >= Moment::END_OF_TIME
    }

    /// The moment after `duration`, or the end of time.
    pub(super) fn after(&self, duration: Duration) -> Moment {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.moment.get().plus_nanoseconds(nanoseconds).min(Moment::END_OF_TIME)
    }

    /// As [`after`](Self::after), as loops know it.
    pub(crate) fn instant_after(&self, duration: Duration) -> Instant {
        self.instant(self.after(duration))
    }

    /// A moment as loops know it.
    pub(super) fn instant(&self, moment: Moment) -> Instant {
        let since = Duration::from_nanos(moment.min(Moment::END_OF_TIME).0);
        self.began.checked_add(since).unwrap_or_else(|| self.now())
    }

    /// How many turns loops may take before it moves.
    #[cfg(feature = "sim")]
    pub(super) fn set_patience(&self, turns: u64) {
        self.patience.set(turns);
    }

    /// Loops take a turn. Whether they may.
    pub(super) fn begin_turn(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() <= self.patience.get()
    }

    /// Lets time pass until `instant`. It never goes back.
    pub(crate) fn advance_to(&self, instant: Instant) {
        let since = instant.saturating_duration_since(self.began).as_nanos();
        self.advance_to_moment(Moment(u64::try_from(since).unwrap_or(u64::MAX)));
    }

    /// As [`advance_to`](Self::advance_to).
    pub(super) fn advance_to_moment(&self, moment: Moment) {
        let moment = moment.min(Moment::END_OF_TIME);
        if moment > self.moment.get() {
            self.moment.set(moment);
            self.now.set(self.instant(moment));
            self.turns.set(0);
        }
    }
}

//! One direction of a relay: what it has passed on, and whether splicing pays for it.

use std::cell::Cell;

use super::outcome::{RelayStatistics, Splicing};

/// A read of so much, or more, counts for splicing.
const MUCH: usize = 32 * 1024;

/// After so many of them in a row a direction is spliced.
const OFTEN: u32 = 2;

/// So little, or less, at once counts against splicing.
const LITTLE: usize = 16 * 1024;

/// After so many of them in a row a direction is copied again.
const SELDOM: u32 = 8;

/// One direction of a relay.
pub(crate) struct Passage {
    statistics: RelayStatistics,
    from: usize,
    splicing: Cell<Splicing>,
    /// How many times in a row it was much (while copying) or little (while splicing).
    streak: Cell<u32>,
}

impl Passage {
    pub(super) fn new(statistics: RelayStatistics, from: usize, splicing: Splicing) -> Self {
        Self { statistics, from, splicing: Cell::new(splicing), streak: Cell::new(0) }
    }

    pub(super) fn splices_from_the_start(&self) -> bool {
        self.splicing.get() == Splicing::Always
    }

    /// So much was copied. Returns whether splicing should begin.
    pub(super) fn copied(&self, count: usize) -> bool {
        self.statistics.ways[self.from].add(count);
        let much = count >= MUCH && self.splicing.get() != Splicing::Never;
        let streak = if much { self.streak.get() + 1 } else { 0 };
        let begins = streak >= OFTEN;
        self.streak.set(if begins { 0 } else { streak });
        begins
    }

    /// So much was spliced. Returns whether splicing should end.
    pub(crate) fn spliced(&self, count: usize) -> bool {
        self.statistics.ways[self.from].add_spliced(count);
        let little = count <= LITTLE && self.splicing.get() == Splicing::Automatic;
        let streak = if little { self.streak.get() + 1 } else { 0 };
        let ends = streak >= SELDOM;
        self.streak.set(if ends { 0 } else { streak });
        ends
    }

    /// The system says that these sockets cannot be spliced.
    pub(crate) fn never_splice(&self) {
        self.splicing.set(Splicing::Never);
        self.streak.set(0);
    }
}

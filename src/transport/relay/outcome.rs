//! What a relay has done, while it goes on and in the end.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::error::Error;

/// One of the two connections of a relay, in the order they were given to [`relay`](crate::relay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelaySide {
    /// The first.
    A,
    /// The second.
    B,
}

/// What a relay has passed on, when it has ended.
///
/// See [`relay`](crate::relay) and [`RelayBuilder`](crate::RelayBuilder) for examples.
#[derive(Debug)]
#[non_exhaustive]
pub struct RelayOutcome {
    /// The bytes that came from the first connection and were written to the second.
    ///
    /// When the second one failed, the last of them may not have arrived.
    pub a_to_b: u64,
    /// The bytes that came from the second connection and were written to the first.
    pub b_to_a: u64,
    /// Why it ended.
    pub end: RelayEnd,
}

/// Why a relay ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayEnd {
    /// Both peers have ended their sides (in a one-way relay, the one that is read), and all was
    /// passed on.
    Finished,
    /// That connection was closed or aborted on this side, or given another protocol; or it is a
    /// write pipe whose reader has left, with nothing on its way to it.
    Closed(RelaySide),
    /// That connection failed first, as by a reset or one of its deadlines.
    Failed(RelaySide, Error),
    /// Nothing came from either side for the relay's idle timeout.
    TimedOut,
}

/// The running counts of a relay: a cheap clone that shows what was passed on so far, and keeps
/// nothing open.
#[derive(Clone, Default)]
pub struct RelayStatistics {
    pub(super) ways: Rc<[Count; 2]>,
    pub(super) over: Rc<Cell<bool>>,
}

/// One direction.
#[derive(Default)]
pub(super) struct Count {
    bytes: Cell<u64>,
    spliced: Cell<u64>,
}

impl Count {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    pub(super) fn add_spliced(&self, bytes: usize) {
        self.add(bytes);
        self.spliced.set(self.spliced.get() + bytes as u64);
    }
}

impl RelayStatistics {
    /// The bytes that came from the first connection and were written to the second.
    pub fn a_to_b(&self) -> u64 {
        self.ways[0].bytes.get()
    }

    /// The bytes that came from the second connection and were written to the first.
    pub fn b_to_a(&self) -> u64 {
        self.ways[1].bytes.get()
    }

    /// Whether the relay is done: both connections are closed, and the counts stay as they are.
    pub fn is_done(&self) -> bool {
        self.over.get()
    }

    /// How many of the bytes, both ways, never were in this program's memory (see [`Splicing`]).
    pub fn spliced(&self) -> u64 {
        self.ways.iter().map(|way| way.spliced.get()).sum()
    }
}

impl fmt::Debug for RelayStatistics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RelayStatistics")
            .field("a_to_b", &self.a_to_b())
            .field("b_to_a", &self.b_to_a())
            .field("spliced", &self.spliced())
            .finish()
    }
}

/// Whether a relay has the kernel move bytes from one to the other (`splice`), without a copy.
///
/// That is possible on Linux where both connections are plain sockets, or one is and the other is a pipe
/// or FIFO; where it is not, or no pipe can be made for it, the relay copies, whatever it was told. From
/// pipe to pipe it copies: packets (`O_DIRECT`) would stay packets there, and a reader that takes less
/// than one at once would lose the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Splicing {
    /// In a direction that has much to move, for as long as it has.
    #[default]
    Automatic,
    /// Always copy.
    Never,
    /// From the first byte on.
    Always,
}

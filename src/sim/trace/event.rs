//! What can have happened in a simulation.

use std::fmt;
use std::time::Duration;

use crate::driver::memory::Packet;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A host has sent something to another.
    #[non_exhaustive]
    Sent {
        /// When.
        at: Duration,
        /// Which host, by its place among [all](crate::sim::Simulation::hosts).
        from: usize,
        /// From which of its ports.
        from_port: u16,
        /// To which host.
        to: usize,
        /// To which of its ports.
        to_port: u16,
        /// What.
        packet: Packet,
        /// What became of it.
        delivery: Delivery,
    },
    /// A fault has begun or ended, whoever made it: a script, chance, or a call of a host's methods.
    #[non_exhaustive]
    Fault {
        /// When.
        at: Duration,
        /// What, as in a [`Script`](crate::sim::Script).
        fault: String,
    },
    /// A program has ended by itself.
    #[non_exhaustive]
    Ended {
        /// When.
        at: Duration,
        /// Of which host.
        host: usize,
    },
    /// A line of the test's own, or a failure.
    #[non_exhaustive]
    Note {
        /// When.
        at: Duration,
        /// Which.
        text: String,
    },
    /// The kernel of a host has done other than what a call asked for.
    #[non_exhaustive]
    Kernel {
        /// When.
        at: Duration,
        /// Of which host.
        host: usize,
        /// What.
        what: String,
    },
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It arrives so much later.
    After(Duration),
    /// It was lost. What belongs to a stream is sent again.
    Lost,
    /// What was sent before has come to a host that is off. What belongs to a stream is sent again.
    LostOnArrival,
    /// It waits for the link.
    Held,
}

impl TraceEvent {
    /// When, since the simulation began.
    pub fn at(&self) -> Duration {
        match self {
            Self::Sent { at, .. }
            | Self::Fault { at, .. }
            | Self::Kernel { at, .. }
            | Self::Ended { at, .. }
            | Self::Note { at, .. } => *at,
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(_) => Ok(()),
            Self::Lost => formatter.write_str(", lost"),
            Self::LostOnArrival => formatter.write_str(", lost on arrival"),
            Self::Held => formatter.write_str(", held"),
        }
    }
}

//! What can have happened in a simulation.

use std::fmt;
use std::time::Duration;

use crate::driver::memory;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A host has sent something to another.
    #[non_exhaustive]
    Sent {
        /// When.
        at: Duration,
        /// Which host, by its number.
        from: usize,
        /// From which of its ports.
        from_port: u16,
        /// To which host.
        to: usize,
        /// To which of its ports.
        to_port: u16,
        /// What.
        cargo: Cargo,
        /// What became of it.
        passed: Passed,
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

/// What hosts send to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cargo {
    /// A wish to connect: SYN.
    Connect,
    /// The connect succeeds: SYN and ACK.
    Accept,
    /// The connect fails: nobody listens there, or too many wait to be accepted.
    Refuse,
    /// A datagram has come to where nobody is.
    Unreachable,
    /// So many bytes of a stream.
    Bytes(usize),
    /// The end of one direction of a stream: FIN.
    End,
    /// The end of a connection: RST.
    Reset,
    /// News that the receiver has room again: a window update.
    Room,
    /// A datagram of so many bytes.
    Datagram(usize),
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Passed {
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

impl fmt::Display for Cargo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => formatter.write_str("connect"),
            Self::Accept => formatter.write_str("accept"),
            Self::Refuse => formatter.write_str("refuse"),
            Self::Unreachable => formatter.write_str("unreachable"),
            Self::Bytes(count) => write!(formatter, "{count} bytes"),
            Self::End => formatter.write_str("end"),
            Self::Reset => formatter.write_str("reset"),
            Self::Room => formatter.write_str("room"),
            Self::Datagram(count) => write!(formatter, "datagram of {count} bytes"),
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(_) => Ok(()),
            Self::Lost => formatter.write_str(", lost"),
            Self::LostOnArrival => formatter.write_str(", lost on arrival"),
            Self::Held => formatter.write_str(", held"),
        }
    }
}

impl From<memory::Cargo> for Cargo {
    fn from(cargo: memory::Cargo) -> Self {
        match cargo {
            memory::Cargo::Connect => Self::Connect,
            memory::Cargo::Accept => Self::Accept,
            memory::Cargo::Refuse => Self::Refuse,
            memory::Cargo::Unreachable => Self::Unreachable,
            memory::Cargo::Bytes(count) => Self::Bytes(count),
            memory::Cargo::End => Self::End,
            memory::Cargo::Reset => Self::Reset,
            memory::Cargo::Room => Self::Room,
            memory::Cargo::Datagram(count) => Self::Datagram(count),
        }
    }
}

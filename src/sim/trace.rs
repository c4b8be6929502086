//! What has happened in a simulation.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use super::host::HostId;
use super::script::Script;
use crate::driver::memory;

/// How many events are kept, the latest.
const KEPT: usize = 20_000;

/// What has happened in a [`Simulation`](super::Simulation): what was sent, when, and what became of it; faults; notes.
///
/// The latest 20,000 events are kept; [`fingerprint`](Self::fingerprint) is of all. Clones are the same trace. It prints as
/// a line for each event.
#[derive(Clone)]
pub struct Trace(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    names: Vec<String>,
    events: VecDeque<TraceEvent>,
    count: u64,
    fingerprint: Fnv,
    script: Script,
}

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
        /// To which.
        to: usize,
        /// What.
        cargo: Cargo,
        /// What became of it.
        passed: Passed,
    },
    /// A fault has begun or ended.
    #[non_exhaustive]
    Fault {
        /// When.
        at: Duration,
        /// What, as in a [`Script`].
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
}

/// What hosts send to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cargo {
    /// A wish to connect: SYN.
    Connect,
    /// The answer to that, or to a datagram to where nobody is.
    Answer,
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
    /// It waits for the link.
    Held,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self(Rc::default())
    }

    pub(super) fn add_host(&self, name: &str) {
        self.0.borrow_mut().names.push(name.to_owned());
    }

    pub(super) fn set_script(&self, script: &Script) {
        self.0.borrow_mut().script = script.clone();
    }

    pub(super) fn add(&self, event: TraceEvent) {
        let mut state = self.0.borrow_mut();
        event.hash(&mut state.fingerprint);
        state.count += 1;
        if state.events.len() == KEPT {
            state.events.pop_front();
        }
        state.events.push_back(event);
    }

    /// The latest events, the oldest first.
    pub fn events(&self) -> Vec<TraceEvent> {
        self.0.borrow().events.iter().cloned().collect()
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.borrow().count
    }

    /// A number that is equal for equal traces, on every machine, and hardly ever for others.
    pub fn fingerprint(&self) -> u64 {
        self.0.borrow().fingerprint.finish()
    }

    /// The faults that happened by themselves.
    pub fn script(&self) -> Script {
        self.0.borrow().script.clone()
    }

    /// The latest `most` events, a line each.
    pub fn tail(&self, most: usize) -> String {
        let state = self.0.borrow();
        let skipped = state.events.len().saturating_sub(most);
        let mut text = String::new();
        for event in state.events.iter().skip(skipped) {
            state.write(event, &mut text);
            text.push('\n');
        }
        text
    }
}

impl TraceEvent {
    /// When, since the simulation began.
    pub fn at(&self) -> Duration {
        match self {
            Self::Sent { at, .. }
            | Self::Fault { at, .. }
            | Self::Ended { at, .. }
            | Self::Note { at, .. } => *at,
        }
    }
}

impl State {
    fn write(&self, event: &TraceEvent, text: &mut String) {
        use fmt::Write as _;
        let name = |host: &HostId| self.names.get(*host).map_or("?", String::as_str);
        let seconds = event.at().as_secs_f64();
        // Into a text nothing fails.
        let _ = match event {
            TraceEvent::Sent { from, to, cargo, passed, .. } => {
                write!(text, "{seconds:12.6} {} -> {}: {cargo}{passed}", name(from), name(to))
            }
            TraceEvent::Fault { fault, .. } => write!(text, "{seconds:12.6} ! {fault}"),
            TraceEvent::Ended { host, .. } => {
                write!(text, "{seconds:12.6} {}: a program has ended", name(host))
            }
            TraceEvent::Note { text: note, .. } => write!(text, "{seconds:12.6} {note}"),
        };
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.tail(usize::MAX))
    }
}

impl fmt::Display for Cargo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => formatter.write_str("connect"),
            Self::Answer => formatter.write_str("answer"),
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
            Self::Held => formatter.write_str(", held"),
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trace")
            .field("count", &self.count())
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

impl From<memory::Cargo> for Cargo {
    fn from(cargo: memory::Cargo) -> Self {
        match cargo {
            memory::Cargo::Connect => Self::Connect,
            memory::Cargo::Answer => Self::Answer,
            memory::Cargo::Bytes(count) => Self::Bytes(count),
            memory::Cargo::End => Self::End,
            memory::Cargo::Reset => Self::Reset,
            memory::Cargo::Room => Self::Room,
            memory::Cargo::Datagram(count) => Self::Datagram(count),
        }
    }
}

/// FNV-1a, 64 bits: the same on every machine, as the standard library's is not promised to be.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

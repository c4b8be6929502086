//! What has happened in a simulation.

mod capture;
mod diagram;
mod event;
mod fingerprint;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use self::fingerprint::Fingerprint;
use super::host::HostId;
use super::script::Script;

pub(super) use self::capture::{Capture, CaptureTap, Ends as CapturedEnds};
pub use self::diagram::Diagram;
pub use self::event::{Delivery, TraceEvent};
pub use crate::driver::memory::Packet;

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
    seed: u64,
    hosts: Vec<(String, [IpAddr; 2])>,
    /// `None`: packets are not recorded.
    capture: Option<Rc<RefCell<Capture>>>,
    events: VecDeque<TraceEvent>,
    count: u64,
    fingerprint: Fingerprint,
    script: Script,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State { seed, ..State::default() })))
    }

    pub(super) fn add_host(&self, name: &str, addresses: [IpAddr; 2]) {
        self.0.borrow_mut().hosts.push((name.to_owned(), addresses));
    }

    pub(super) fn set_capture(&self, capture: Rc<RefCell<Capture>>) {
        self.0.borrow_mut().capture = Some(capture);
    }

    /// What packets are recorded in, if they are.
    pub(super) fn capture(&self) -> Option<Rc<RefCell<Capture>>> {
        self.0.borrow().capture.clone()
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
        if let (
            TraceEvent::Fault { at, fault: text } | TraceEvent::Note { at, text },
            Some(capture),
        ) = (&event, &state.capture)
        {
            capture.borrow_mut().comment(*at, text);
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

    /// Writes the packets that were recorded, as a file that Wireshark and tshark read: pcapng.
    ///
    /// Each is seen where it leaves its host, whose name its interface has; one that is lost says so in its comment, and
    /// one after a fault or a note has that in its comment. Dates are those of the hosts' clocks before any was set.
    /// Segments of TCP have what kernels would put in them: the simulation itself knows no sequence numbers, windows or
    /// acknowledgements. Acknowledgements of their own are added where something arrives; none is ever lost.
    ///
    /// The latest 100,000 packets are kept.
    ///
    /// # Errors
    /// The output's. Packets are not recorded: see [`Simulation::record_packets`](super::Simulation::record_packets).
    pub fn write_packets(&self, output: impl io::Write) -> io::Result<()> {
        let Some(capture) = self.capture() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "packets were not recorded"));
        };
        let state = self.0.borrow();
        let mut about = format!("a simulation with seed {}", state.seed);
        if !state.script.events().is_empty() {
            about = format!("{about}, and these faults: {}", state.script);
        }
        capture.borrow_mut().write(&state.hosts, &about, output)
    }

    /// Writes it into a directory, which is made if it is not there: `trace.txt`, `trace.svg`, and, if packets were
    /// recorded, `trace.pcapng`.
    ///
    /// # Errors
    /// Those of the files.
    pub fn save(&self, directory: impl AsRef<Path>) -> io::Result<()> {
        let directory = directory.as_ref();
        fs::create_dir_all(directory)?;
        fs::write(directory.join("trace.txt"), self.to_string())?;
        fs::write(directory.join("trace.svg"), self.diagram().to_string())?;
        if self.capture().is_some() {
            let file = fs::File::create(directory.join("trace.pcapng"))?;
            self.write_packets(io::BufWriter::new(file))?;
        }
        Ok(())
    }

    /// A picture of it.
    pub fn diagram(&self) -> Diagram {
        Diagram::new(self.clone())
    }

    /// The hosts' names, by their numbers.
    fn names(&self) -> Vec<String> {
        self.0.borrow().hosts.iter().map(|(name, _)| name.clone()).collect()
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

impl State {
    fn write(&self, event: &TraceEvent, text: &mut String) {
        use fmt::Write as _;
        let name = |host: &HostId| self.hosts.get(*host).map_or("?", |(name, _)| name);
        let seconds = event.at().as_secs_f64();
        // Into a text nothing fails.
        let _ = match event {
            TraceEvent::Sent { from, from_port, to, to_port, packet, delivery, .. } => {
                let (from, to) = (name(from), name(to));
                write!(
                    text,
                    "{seconds:12.6} {from}:{from_port} -> {to}:{to_port}: {packet}{delivery}"
                )
            }
            TraceEvent::Fault { fault, .. } => write!(text, "{seconds:12.6} ! {fault}"),
            TraceEvent::Kernel { host, what, .. } => {
                write!(text, "{seconds:12.6} {} ! {what}", name(host))
            }
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

impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trace")
            .field("count", &self.count())
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

//! A sequence diagram of a trace.

mod draw;
mod labels;
mod layout;
mod lifelines;
mod svg;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use self::layout::Layout;
use super::{Trace, TraceEvent};
use crate::sim::fault::Fault;
use crate::sim::script::Script;

/// Who has sent what to whom, and when, as a picture: SVG, as text of [`Display`](fmt::Display).
///
/// It has a column for each host, and an arrow for each thing sent, from when it was sent to when it arrives. What was
/// lost ends at a cross. Faults, notes and the ends of programs are marks, and a host's line is broken while it is off
/// or stands still. Connections differ in colour; pointing at an arrow shows all that is known of it. Time goes down:
/// it is written at the side, and its distances are not to scale. It suits a light and a dark page.
///
/// ```
/// # fn main() -> wharf::Result {
/// # let directory = std::env::temp_dir();
/// # let simulation = wharf::sim::Simulation::new(1);
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let picture = simulation.trace().diagram().hosts(&["server", "client"]).between(second..=9 * second);
/// std::fs::write(directory.join("trace.svg"), picture.to_string())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is drawn when it is made a text"]
pub struct Diagram {
    trace: Trace,
    hosts: Option<Vec<String>>,
    between: RangeInclusive<Duration>,
    limit: usize,
}

/// How many events are drawn, unless it is said.
const LIMIT: usize = 300;

impl Diagram {
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace, hosts: None, between: Duration::ZERO..=Duration::MAX, limit: LIMIT }
    }

    /// Only what these hosts send to each other, and what happens to them. A name that no host has changes nothing.
    pub fn hosts(mut self, names: &[&str]) -> Self {
        self.hosts = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Only what happens between these times, both included.
    pub fn between(mut self, times: RangeInclusive<Duration>) -> Self {
        self.between = times;
        self
    }

    /// At most so many events, the latest: 300 unless set. The picture says how many it leaves out.
    pub fn limit(mut self, events: usize) -> Self {
        self.limit = events;
        self
    }

    /// What is drawn, of these events.
    fn select(&self, names: &[String], events: Vec<TraceEvent>, dropped: u64) -> Selection {
        let mut before = Vec::new();
        let mut selected: Vec<TraceEvent> = Vec::new();
        for event in events {
            if self.between.contains(&event.at()) && self.is_wanted(names, &event) {
                selected.push(event);
            } else if selected.is_empty() {
                before.push(event);
            }
        }
        let skipped = selected.len().saturating_sub(self.limit);
        before.extend(selected.drain(..skipped));
        Selection { before, events: selected, left_out: dropped + skipped as u64 }
    }

    fn is_wanted(&self, names: &[String], event: &TraceEvent) -> bool {
        let Some(wanted) = &self.hosts else { return true };
        let is_wanted = |name: &String| wanted.contains(name);
        let of = |host: &usize| names.get(*host).is_some_and(is_wanted);
        match event {
            TraceEvent::Sent { from, to, .. } => of(from) && of(to),
            TraceEvent::Kernel { host, .. } | TraceEvent::Ended { host, .. } => of(host),
            TraceEvent::Note { .. } => true,
            TraceEvent::Fault { fault, .. } => {
                known_fault(fault).is_none_or(|fault| fault.hosts().all(is_wanted))
            }
        }
    }
}

/// What is drawn.
struct Selection {
    /// What was before: hosts may be off since then.
    before: Vec<TraceEvent>,
    events: Vec<TraceEvent>,
    left_out: u64,
}

/// As a script has it.
fn known_fault(text: &str) -> Option<Fault> {
    let script: Script = format!("0 {text}").parse().ok()?;
    script.events().first().map(|(_, fault)| fault.clone())
}

impl fmt::Display for Diagram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.trace.names();
        let events = self.trace.events();
        let dropped = self.trace.count() - events.len() as u64;
        let selection = self.select(&names, events, dropped);
        formatter.write_str(&draw::draw(&Layout::new(&names, &selection)))
    }
}

//! What a test has left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use super::stepping::settle;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::inspect::{ConnectionDump, ListenerDump, TaskDump};

/// Looks at the end of a test for what it has left on a loop: connections, listeners, tasks, timers, sockets that linger,
/// watchers; if asked, descriptors of the process. What is left is named.
///
/// What was there when it was made does not count.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{LeakGuard, MemoryNetwork};
///
/// # fn main() -> wharf::Result {
/// let event_loop = MemoryNetwork::new().event_loop();
/// let guard = LeakGuard::new(&event_loop);
/// let forgotten = event_loop.create_task(event_loop.sleep(Duration::from_secs(60))).named("a nap");
/// let leaks = guard.check().unwrap_err();
/// assert!(leaks.to_string().contains("the task `a nap`"), "{leaks}");
/// drop(forgotten);
/// guard.check()?;
/// # Ok(())
/// # }
/// ```
#[doc(alias("DirtyReactorAggregateError", "ResourceWarning", "leak"))]
#[derive(Debug)]
#[must_use = "it looks when `check` is called"]
pub struct LeakGuard {
    event_loop: EventLoop,
    before: Holdings,
    descriptors: Option<BTreeMap<u32, String>>,
}

/// What a loop holds.
#[derive(Debug, Default)]
struct Holdings {
    tasks: BTreeMap<u64, String>,
    connections: BTreeMap<String, String>,
    listeners: Vec<String>,
    timers: usize,
    lingering: u64,
    /// Of the rest: endpoints of datagrams, watchers, connects.
    others: u64,
}

impl LeakGuard {
    /// A guard of what is left on `event_loop` from now on.
    pub fn new(event_loop: &EventLoop) -> Self {
        let before = Holdings::of(event_loop);
        Self { event_loop: event_loop.clone(), before, descriptors: None }
    }

    /// Looks for descriptors too, of the whole process, where the system lists them (`/proc/self/fd`, `/dev/fd`). For a
    /// test that is alone in its process: what other threads open meanwhile is found as well.
    pub fn with_descriptors(mut self) -> Self {
        self.descriptors = Some(descriptors());
        self
    }

    /// Runs the loop until nothing is ready any more, and looks what is left. A loop in memory has closed by then what it
    /// can close without time passing. On a loop of the operating system, which needs time for that, wait for it before:
    /// for [`connection_lost`](crate::Protocol::connection_lost), say. A loop that is closed has nothing left.
    ///
    /// # Errors
    /// Something is left: [`Leaks`] names it. The loop could not run: it says so.
    pub fn check(&self) -> Result<(), Leaks> {
        let mut names = Vec::new();
        if !self.event_loop.is_closed()
            && let Err(error) = settle(&self.event_loop)
        {
            names.push(format!("the loop could not run: {error}"));
        }
        names.extend(Holdings::of(&self.event_loop).beyond(&self.before));
        if let Some(before) = &self.descriptors {
            let mut added = descriptors();
            added.retain(|number, what| before.get(number) != Some(what));
            names.extend(
                added.into_iter().map(|(number, what)| format!("the descriptor {number}, {what}")),
            );
        }
        if names.is_empty() { Ok(()) } else { Err(Leaks(names)) }
    }

    /// As [`check`](Self::check), for the last line of a test.
    ///
    /// # Panics
    /// Something is left. The text names it.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        if let Err(leaks) = self.check() {
            panic!("{leaks}");
        }
    }
}

/// What is left, from [`LeakGuard::check`]: a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaks(Vec<String>);

impl Leaks {
    /// The name of each thing.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("left behind:")?;
        self.0.iter().try_for_each(|name| write!(formatter, "\n- {name}"))
    }
}

impl std::error::Error for Leaks {}

impl From<Leaks> for Error {
    fn from(leaks: Leaks) -> Self {
        Self::invalid(leaks.to_string())
    }
}

impl Holdings {
    fn of(event_loop: &EventLoop) -> Self {
        let (dump, statistics) = (event_loop.dump(), event_loop.statistics());
        let known = dump.connections.len() + dump.listeners.len();
        let others = statistics.sources.saturating_sub(known as u64 + statistics.lingering);
        Self {
            tasks: dump.tasks.iter().map(|task| (task.id, name_of_task(task))).collect(),
            connections: dump
                .connections
                .iter()
                .map(|connection| (connection.id.clone(), name_of_connection(connection)))
                .collect(),
            listeners: dump.listeners.iter().map(name_of_listener).collect(),
            timers: dump.timers,
            lingering: statistics.lingering,
            others,
        }
    }

    /// What is here and not there.
    fn beyond(mut self, there: &Self) -> Vec<String> {
        self.tasks.retain(|id, _| !there.tasks.contains_key(id));
        self.connections.retain(|id, _| !there.connections.contains_key(id));
        let known: BTreeSet<&String> = there.listeners.iter().collect();
        self.listeners.retain(|listener| !known.contains(listener));
        let mut names: Vec<String> = self.connections.into_values().collect();
        names.extend(self.listeners);
        names.extend(self.tasks.into_values());
        let counts = [
            (self.timers as u64, there.timers as u64, "timer"),
            (self.lingering, there.lingering, "socket that lingers"),
            (
                self.others,
                there.others,
                "source (an endpoint of datagrams, a watcher or a connect)",
            ),
        ];
        for (count, before, what) in counts {
            match count.saturating_sub(before) {
                0 => {}
                1 => names.push(format!("a {what}")),
                more => names.push(format!("{more} times a {what}")),
            }
        }
        names
    }
}

fn name_of_task(task: &TaskDump) -> String {
    let TaskDump { id, name, place, waits_for, .. } = task;
    let name =
        name.as_ref().map_or_else(|| format!("the task {id}"), |name| format!("the task `{name}`"));
    let waits =
        if waits_for.is_empty() { String::new() } else { format!(", waits for {waits_for}") };
    format!("{name}, spawned at {place}{waits}")
}

fn name_of_connection(connection: &ConnectionDump) -> String {
    let ConnectionDump { id, protocol, peer_address, .. } = connection;
    let to = peer_address.as_ref().map(|peer| format!(" to {peer}")).unwrap_or_default();
    format!("the connection {id}{to}, of {protocol}")
}

fn name_of_listener(listener: &ListenerDump) -> String {
    match &listener.address {
        Some(address) => format!("the listener at {address}"),
        None => "a listener without an address".to_owned(),
    }
}

/// What is open, and what it is, where the system says so.
fn descriptors() -> BTreeMap<u32, String> {
    let mut descriptors = BTreeMap::new();
    let folders = ["/proc/self/fd", "/dev/fd"];
    let Some(entries) = folders.iter().find_map(|folder| fs::read_dir(folder).ok()) else {
        return descriptors;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let what = fs::read_link(entry.path())
            .map_or_else(|_| "open".to_owned(), |target| target.display().to_string());
        // The list itself was open while it was read.
        if !what.ends_with("/fd") {
            descriptors.insert(number, what);
        }
    }
    descriptors
}

//! What a loop and its process hold.

use std::fs;
use std::time::{Duration, Instant};

use wharf::EventLoop;
use wharf::testing::settle;

use crate::running::{PATIENCE, is_virtual};

/// Everything that an operation could leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    sources: u64,
    timers: u64,
    tasks: u64,
    connections: u64,
    /// Of the process, with what they are.
    descriptors: Vec<String>,
    children: String,
}

impl Held {
    pub(crate) fn by(event_loop: &EventLoop) -> Self {
        let statistics = event_loop.statistics();
        Self {
            sources: statistics.sources,
            timers: statistics.timers,
            tasks: statistics.tasks,
            connections: statistics.connections_open,
            descriptors: descriptors(),
            children: children(),
        }
    }

    /// Turns the loop until it holds this again. In memory no time passes meanwhile: what has not been
    /// let go of at rest waits for a deadline.
    #[track_caller]
    pub(crate) fn wait_for(&self, event_loop: &EventLoop, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            settle(event_loop).expect("the loop runs");
            let now = Self::by(event_loop);
            if self.is_like(&now) {
                return;
            }
            if is_virtual(event_loop) || Instant::now() > deadline {
                panic!("{what}: {now:#?} is held, and was {self:#?} before");
            }
            let nap = event_loop.sleep(Duration::from_micros(100));
            event_loop.run_until_complete(nap).expect("the loop runs");
        }
    }

    /// Descriptors differ in their numbers and inodes, but not in how many there are of a kind.
    fn is_like(&self, other: &Self) -> bool {
        let kinds = |held: &Self| {
            let kind = |text: &String| text.split(':').next().unwrap_or_default().to_owned();
            let mut kinds: Vec<String> = held.descriptors.iter().map(kind).collect();
            kinds.sort();
            kinds
        };
        (self.sources, self.timers, self.tasks, self.connections, &self.children)
            == (other.sources, other.timers, other.tasks, other.connections, &other.children)
            && kinds(self) == kinds(other)
    }
}

fn descriptors() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let shown = |entry: fs::DirEntry| Some(fs::read_link(entry.path()).ok()?.display().to_string());
    entries.flatten().filter_map(shown).collect()
}

/// Of any thread of this process.
fn children() -> String {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return String::new() };
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    threads.flatten().filter_map(of).collect()
}

//! A dump as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::dump::{ConnectionDump, ListenerDump, LoopDump, TaskDump};

/// Deeper than this the tree is not indented any more: a chain of tasks may have any length.
const DEEPEST: usize = 20;

impl Display for LoopDump {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { age, tasks, connections, listeners, timers, next_timer } = self;
        write!(formatter, "event loop, {age:.1?} old: ")?;
        count(formatter, tasks.len(), "task")?;
        count(formatter, connections.len(), "connection")?;
        count(formatter, listeners.len(), "listener")?;
        write!(formatter, "{timers} timer{}", if *timers == 1 { "" } else { "s" })?;
        if let Some(next) = next_timer {
            write!(formatter, ", the next one due in {next:.1?}")?;
        }
        for (depth, task) in tree(tasks) {
            write!(formatter, "\n{:indent$}{task}", "", indent = 2 * (depth.min(DEEPEST) + 1))?;
        }
        for connection in connections {
            write!(formatter, "\n  {connection}")?;
        }
        for listener in listeners {
            write!(formatter, "\n  {listener}")?;
        }
        Ok(())
    }
}

fn count(formatter: &mut Formatter<'_>, count: usize, what: &str) -> fmt::Result {
    write!(formatter, "{count} {what}{}, ", if count == 1 { "" } else { "s" })
}

/// The tasks with their depths, each behind the one that spawned it.
fn tree(tasks: &[TaskDump]) -> Vec<(usize, &TaskDump)> {
    let known: BTreeMap<u64, &TaskDump> = tasks.iter().map(|task| (task.id, task)).collect();
    let mut children: BTreeMap<u64, Vec<&TaskDump>> = BTreeMap::new();
    let mut left = Vec::new();
    // Backwards, as what is put on the stack last is taken first.
    for task in tasks.iter().rev() {
        match task.parent.filter(|parent| known.contains_key(parent)) {
            Some(parent) => children.entry(parent).or_default().push(task),
            None => left.push((0, task)),
        }
    }
    let mut tree = Vec::with_capacity(tasks.len());
    while let Some((depth, task)) = left.pop() {
        tree.push((depth, task));
        for child in children.remove(&task.id).into_iter().flatten() {
            left.push((depth + 1, child));
        }
    }
    tree
}

impl Display for TaskDump {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { id, name, place, age, steps, longest_step, waits_for, .. } = self;
        write!(formatter, "task {id}")?;
        if let Some(name) = name {
            write!(formatter, " `{}`", name.escape_debug())?;
        }
        write!(
            formatter,
            " ({place}), {age:.1?} old, {steps} step{}",
            if *steps == 1 { "" } else { "s" }
        )?;
        if !longest_step.is_zero() {
            write!(formatter, ", the longest {longest_step:.1?}")?;
        }
        if !waits_for.is_empty() {
            write!(formatter, ", waits for {waits_for}")?;
        }
        Ok(())
    }
}

impl Display for ConnectionDump {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "connection {} of {}", self.id, self.protocol)?;
        if let Some(address) = &self.local_address {
            write!(formatter, ", {address}")?;
        }
        if let Some(address) = &self.peer_address {
            write!(formatter, " to {address}")?;
        }
        write!(formatter, ", idle for {:.1?}", self.idle)?;
        if self.write_buffer_size > 0 {
            write!(formatter, ", {} bytes to be sent", self.write_buffer_size)?;
        }
        match (self.is_closing, self.is_reading) {
            (true, _) => formatter.write_str(", closing"),
            (false, false) => formatter.write_str(", not reading"),
            (false, true) => Ok(()),
        }
    }
}

impl Display for ListenerDump {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "listener on {}, ", self.address.as_deref().unwrap_or("no address"))?;
        write!(
            formatter,
            "{} connection{}",
            self.connections,
            if self.connections == 1 { "" } else { "s" }
        )?;
        if self.is_serving { Ok(()) } else { formatter.write_str(", not accepting") }
    }
}

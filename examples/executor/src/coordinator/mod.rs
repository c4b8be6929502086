//! Who runs what, and when. It decides, and does no I/O: it is told what happens, and says what to do.
//!
//! Each call is told what time it is, changes the [journal](crate::store::Journal), and leaves [`Effect`]s. Whoever drives
//! it makes batches of the journal durable, and carries out effects; an effect that tells somebody of a change waits
//! until that change is durable.
//!
//! # What it holds
//! - A task that was acknowledged is in the store, and stays there until what became of it has expired.
//! - A task runs at least once. Each time that it is given to a worker has a number of its own, its *fence*; what is told
//!   with another fence than the last is not recorded. So one outcome is.
//! - A worker holds a lease, which everything that it says renews. When its connection or its lease ends, its tasks are
//!   given to others.

mod assign;
mod clock;
mod dependents;
mod end;
mod expiries;
mod input;
mod meter;
mod observe;
mod output;
mod queue;
mod recall;
mod requests;
mod restart;
mod schedules;
mod slots;
mod spans;
mod submit;
#[cfg(test)]
mod tests;
mod views;
mod workers;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use spans::SpanLog;
pub use submit::{Refused, Submitted};
pub use views::{
    Filter, KindView, Overview, Page, PhaseCounts, SlotView, Span, SpanEnd, TaskView, Totals,
    WorkerView,
};
pub use workers::{Report, WorkerInfo, WorkerKey};

use crate::store::{Journal, Key, Store};
use crate::task::{Kind, MOST_LOSSES, Outcome, Progress, Record, Spec, TaskId};
use clock::Clock;
use dependents::Dependents;
use meter::Meter;
use queue::Queue;
use schedules::Schedules;
use workers::{Workers, size_of};

/// Decides who runs what.
pub struct Coordinator<S> {
    settings: Settings,
    journal: Journal<S>,
    queue: Queue,
    workers: Workers,
    clock: Clock,
    schedules: Schedules,
    meter: Meter,
    spans: SpanLog,
    /// What is running, by its fence.
    running: HashMap<u64, Running>,
    /// Who comes after others.
    dependents: Dependents,
    next_key: u64,
    next_fence: u64,
    is_draining: bool,
    /// Nothing new begins.
    is_held: bool,
    random: fastrand::Rng,
    effects: VecDeque<Effect>,
}

/// How long things take, and how often they are tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A worker of which nothing was heard for so long is lost.
    pub lease: Duration,
    /// After a restart, so long may workers come back to what they were running.
    pub return_within: Duration,
    /// A task whose workers were lost so often while it ran has failed: it may be what ends them.
    pub most_losses: u32,
    /// How many bytes of a task's output are kept: a quarter of its beginning, and the rest of its end.
    pub most_output: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            return_within: Duration::from_secs(30),
            most_losses: MOST_LOSSES,
            most_output: 256 * 1024,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A worker gets a task.
    Assign {
        /// Who.
        worker: WorkerKey,
        /// Which.
        task: Assignment,
    },
    /// A worker must end what it runs: it was cancelled, its time is over, or another worker has it.
    Stop {
        /// Who.
        worker: WorkerKey,
        /// Which assignment.
        fence: u64,
        /// Why.
        why: Stop,
    },
    /// A worker's lease has ended while its connection has not: that is to end too, so that one which lives comes back.
    Dismiss {
        /// Who.
        worker: WorkerKey,
    },
    /// A worker is to give back what it has not begun: another has a free slot for it.
    Recall {
        /// Who.
        worker: WorkerKey,
        /// Which assignment.
        fence: u64,
    },
    /// A task has changed, for those who watch it.
    Changed {
        /// Which.
        key: Key,
        /// The batch that has it.
        batch: u64,
    },
    /// A task has written something, or is further, for those who follow it.
    Wrote {
        /// Which.
        key: Key,
        /// The batch that has it; 0: nothing was written.
        batch: u64,
    },
}

/// A task for a worker.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Its name.
    pub id: TaskId,
    /// What to do.
    pub spec: Rc<Spec>,
    /// To be told with whatever becomes of it.
    pub fence: u64,
    /// 1 at first.
    pub attempt: u32,
}

/// Why a worker must end a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Somebody does not want it any more.
    Cancelled,
    /// Its attempt or the task took too long.
    TooLong,
    /// It is not that worker's any more.
    Stale,
}

/// A task that a worker has.
#[derive(Debug)]
struct Running {
    key: Key,
    id: TaskId,
    kind: Kind,
    /// What it takes of what a worker may hold.
    size: usize,
    /// Nobody, after a restart, until it comes back.
    worker: Option<WorkerKey>,
    /// 1 at first.
    attempt: u32,
    /// When this attempt must have ended, by the loop's clock.
    until: Option<Duration>,
    /// Its worker was told to end it.
    is_stopped: bool,
    /// Its worker was asked to give it back, if it has not begun it.
    is_recalled: bool,
    /// What it said last.
    progress: Option<Progress>,
}

impl Running {
    fn new(key: Key, record: &Record, worker: Option<WorkerKey>) -> Self {
        let (id, kind) = (record.id.clone(), record.spec.kind.clone());
        let (attempt, size) = (record.attempts, size_of(record));
        Self {
            key,
            id,
            kind,
            size,
            worker,
            attempt,
            until: None,
            is_stopped: false,
            is_recalled: false,
            progress: None,
        }
    }
}

impl<S: Store> Coordinator<S> {
    /// What is to be done next.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The changes, which are to be made durable.
    pub fn journal(&mut self) -> &mut Journal<S> {
        &mut self.journal
    }

    /// How many tasks wait for a worker.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many tasks workers have.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing new begins: no task is given to a worker, and none is due; [`on_time`](Self::on_time) makes up for
    /// it. For a store that cannot be written.
    pub fn hold(&mut self, on: bool) {
        self.is_held = on;
    }

    fn changed(&mut self, key: Key) {
        let batch = self.journal.number();
        self.effects.push_back(Effect::Changed { key, batch });
    }
}

impl<S> fmt::Debug for Coordinator<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Coordinator")
            .field("queued", &self.queue.len())
            .field("running", &self.running.len())
            .field("is_draining", &self.is_draining)
            .finish_non_exhaustive()
    }
}

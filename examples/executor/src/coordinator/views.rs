//! What is told of a coordinator and its tasks. All of it is JSON on the wire.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::store::{Counts, Key};
use crate::task::{Kind, Phase, Record, State, TaskId, Timestamp, beginning};

/// The most of a text that a list shows, in bytes.
const MOST_SHOWN: usize = 256;

/// How a coordinator is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// When this was so.
    pub now: Timestamp,
    /// How many tasks are where.
    pub tasks: PhaseCounts,
    /// The same for each kind; at most 100 of them.
    pub kinds: Vec<KindView>,
    /// What has happened since the coordinator began.
    pub totals: Totals,
    /// How many tasks end in a second, over the last ten.
    pub per_second: f64,
    /// Who is connected, in the order in which they came; at most 500.
    pub workers: Vec<WorkerView>,
    /// How many are connected.
    pub worker_count: usize,
    /// No new tasks are taken, and none is given to workers.
    pub is_draining: bool,
    /// Why nothing can be written to the store now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_error: Option<Box<str>>,
}

/// How many tasks are in each [`Phase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the phase of this name")]
pub struct PhaseCounts {
    pub blocked: u64,
    pub delayed: u64,
    pub queued: u64,
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// Tasks of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindView {
    /// Which.
    pub kind: Kind,
    /// How many are where.
    pub tasks: PhaseCounts,
}

/// What has happened since a coordinator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// New tasks.
    pub submitted: u64,
    /// How often a task was given to a worker.
    pub assigned: u64,
    /// Tasks that ended well.
    pub succeeded: u64,
    /// Tasks whose last attempt failed.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// How often a task was to be tried again after it had failed, by itself or by hand.
    pub retried: u64,
    /// How often a task's worker was lost.
    pub lost: u64,
}

/// A worker that is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Which, for as long as it is connected.
    pub key: u64,
    /// Its name, for people.
    pub name: Rc<str>,
    /// What it runs; at most 100 kinds, and 4096 of all workers.
    pub kinds: Rc<[Kind]>,
    /// How many tasks it runs at once.
    pub slots: usize,
    /// How many tasks it takes, those included that wait for a slot; 0: it is shutting down.
    pub capacity: usize,
    /// How many wait for a slot.
    pub waiting: usize,
    /// What runs, by its slot; at most 256, and 4096 of all workers.
    pub running: Vec<SlotView>,
}

/// What runs in a slot of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// Which slot; 0 is the first.
    pub slot: usize,
    /// The task.
    pub id: TaskId,
    /// What it does.
    pub kind: Kind,
    /// Since when.
    pub since: Timestamp,
}

/// Something that has run in a slot of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The worker's [key](WorkerView::key).
    pub worker: u64,
    /// Which slot.
    pub slot: usize,
    /// The task.
    pub id: TaskId,
    /// What it does.
    pub kind: Kind,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// How many tasks: short ones of a kind one after the other are one span, which has the first one's id.
    pub count: u64,
    /// How that ended.
    pub end: SpanEnd,
}

/// How a [`Span`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanEnd {
    /// The task has succeeded.
    Succeeded,
    /// The attempt has failed.
    Failed,
    /// It was stopped: cancelled, or its time was over.
    Stopped,
    /// The worker has given it back.
    GivenBack,
    /// The worker was lost.
    Lost,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Phase>,
    /// Those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

/// Some tasks, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// The tasks. There may be fewer than were asked for, and even none, while there are more.
    pub tasks: Vec<TaskView>,
    /// What to ask for next; `None`: there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A task in a list. Long texts are cut after 256 bytes, with `…` at their end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    /// Its number, which grows with each task that is submitted.
    pub key: u64,
    /// Which one.
    pub id: TaskId,
    /// What it does.
    pub kind: Kind,
    /// What it does it with: JSON, if it is not cut.
    pub args: Box<str>,
    /// 0 to 9.
    pub priority: u8,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// Where it is.
    pub state: State,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// How often its worker was lost.
    pub losses: u32,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// What it returned: JSON, if it is not cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<str>>,
}

impl PhaseCounts {
    /// How many are there.
    pub fn of(&self, phase: Phase) -> u64 {
        match phase {
            Phase::Blocked => self.blocked,
            Phase::Delayed => self.delayed,
            Phase::Queued => self.queued,
            Phase::Running => self.running,
            Phase::Succeeded => self.succeeded,
            Phase::Failed => self.failed,
            Phase::Cancelled => self.cancelled,
        }
    }
}

impl From<Counts> for PhaseCounts {
    fn from(counts: Counts) -> Self {
        Self {
            blocked: counts.of(Phase::Blocked),
            delayed: counts.of(Phase::Delayed),
            queued: counts.of(Phase::Queued),
            running: counts.of(Phase::Running),
            succeeded: counts.of(Phase::Succeeded),
            failed: counts.of(Phase::Failed),
            cancelled: counts.of(Phase::Cancelled),
        }
    }
}

impl TaskView {
    /// What a list shows of a task.
    pub fn new(key: Key, record: &Record) -> Self {
        Self::with_texts(key, record, MOST_SHOWN)
    }

    /// The same, with longer texts: of at most `most` bytes each.
    pub fn with_texts(key: Key, record: &Record, most: usize) -> Self {
        let cut = |text: &str| cut(text, most);
        Self {
            key: key.0,
            id: record.id.clone(),
            kind: record.spec.kind.clone(),
            args: cut(record.spec.args.get()),
            priority: record.spec.priority.level(),
            submitted: record.submitted,
            state: record.state.clone(),
            attempts: record.attempts,
            losses: record.losses,
            error: record.error.as_deref().map(&cut),
            result: record.result.as_ref().map(|result| cut(result.get())),
        }
    }
}

fn cut(text: &str, most: usize) -> Box<str> {
    if text.len() <= most {
        return text.into();
    }
    format!("{}…", beginning(text, most)).into()
}

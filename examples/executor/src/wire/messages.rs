use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::output::{AskOutput, OutputPage, Written};
use super::{AskedSchedule, Ended, ListedSchedules};
use crate::coordinator::{Filter, Overview, Page, Stop};
use crate::task::{Kind, Record, Spec, TaskId};

/// Of this protocol. Peers of another are refused.
pub const VERSION: u32 = 1;

/// What workers and clients say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToCoordinator {
    /// First.
    Hello(Hello),
    /// A client asks for something. Answers may come in another order.
    Request(Asked),
    /// A worker lives. So does everything else that it says.
    Alive,
    /// How many tasks a worker takes from now on; 0: it is shutting down.
    Takes(usize),
    /// What came of an assignment. A worker says it again when it is connected again, until it is recorded.
    Report(Reported),
    /// What an assignment has written. A worker says it again when it is connected again, until it is kept, and says
    /// nothing more of it before.
    Output(Written),
}

/// Who is there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// What the coordinator wants to hear from those who may talk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Box<str>>,
    /// What this connection is for.
    pub role: Role,
}

/// What a connection is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Role {
    /// It submits, and asks.
    Client,
    /// It runs tasks.
    Worker {
        /// For people.
        name: Box<str>,
        /// What it can run.
        kinds: Vec<Kind>,
        /// How many tasks it takes.
        capacity: usize,
        /// How many of them run at once; all that it takes if it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slots: Option<usize>,
        /// Assignments that it has from a former connection.
        #[serde(default)]
        fences: Vec<u64>,
    },
}

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Comes back with the answer.
    pub number: u64,
    /// What.
    pub ask: Ask,
}

/// What a client can ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ask {
    /// New tasks; answered by [`Answer::Submitted`] when they are on the disk.
    Submit(Vec<Spec>),
    /// New tasks, as by `submit`, and their ends, as by `watch`.
    Run(Vec<Spec>),
    /// Ends of tasks, which are told by [`FromCoordinator::Ended`] as they come; answered by [`Answer::Changed`] at once.
    Watch(Vec<TaskId>),
    /// Their ends are not to be told any more; answered by [`Answer::Changed`] at once.
    Unwatch(Vec<TaskId>),
    /// A task; answered by [`Answer::Task`] at once.
    Status(TaskId),
    /// A task once it has ended; answered by [`Answer::Task`] then.
    Wait(TaskId),
    /// A task is not wanted any more; answered by [`Answer::Changed`] when that is on the disk.
    Cancel(TaskId),
    /// Tasks are not wanted any more; answered by [`Answer::Count`]: of how many that changes anything.
    CancelAll(Vec<TaskId>),
    /// What a task has written; answered by [`Answer::Output`].
    Output(AskOutput),
    /// A task that did not succeed is tried again; answered by [`Answer::Changed`].
    Retry(TaskId),
    /// How the coordinator is; answered by [`Answer::Overview`] at once.
    Overview,
    /// Tasks, the newest first; answered by [`Answer::Listed`] at once.
    List(AskedList),
    /// Something about tasks that are submitted again and again.
    Schedule(AskedSchedule),
    /// No new tasks are taken and none is given to workers, or they are again; answered by [`Answer::Changed`].
    Drain(bool),
    /// A copy of the store is taken as it is now; answered by [`Answer::Copied`] when it is there.
    BackUp,
    /// The part of the copy that begins at this offset; answered by [`Answer::Part`].
    ReadBackUp(u64),
}

impl Ask {
    /// Whether it changes nothing, so that it can be answered while nothing can be written.
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Watch(_)
                | Self::Unwatch(_)
                | Self::Status(_)
                | Self::Wait(_)
                | Self::Output(_)
                | Self::Overview
                | Self::List(_)
                | Self::Schedule(AskedSchedule::List { .. })
        )
    }

    /// Whether it is about the coordinator itself, which not everybody who submits may touch.
    pub fn operates(&self) -> bool {
        matches!(self, Self::Drain(_) | Self::BackUp | Self::ReadBackUp(_))
    }
}

/// Which tasks a client asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedList {
    /// Those to be shown.
    #[serde(default)]
    pub filter: Filter,
    /// At most so many; a page has 200 at most.
    pub limit: usize,
    /// Those that are older than this: [`Page::next`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// What became of an assignment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// Which.
    pub fence: u64,
    /// What.
    pub outcome: Replied,
}

/// What can become of an assignment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replied {
    /// It succeeded with this.
    Succeeded(Box<RawValue>),
    /// It failed, and why.
    Failed(Box<str>),
    /// It failed, and would fail again: it is not tried again.
    FailedForGood(Box<str>),
    /// It was stopped, as the coordinator asked.
    Stopped,
    /// The worker does not do it after all.
    GivenBack,
}

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FromCoordinator {
    /// The peer may talk.
    Welcome {
        /// A worker of which nothing is heard for so long is lost, in milliseconds.
        lease: u64,
    },
    /// It may not, or said what is not allowed; the end of the connection follows.
    Refused(Box<str>),
    /// What a client asked for.
    Answer {
        /// As in the request.
        number: u64,
        /// What.
        answer: Answer,
    },
    /// Tasks that a client watches have ended, which is on the disk.
    Ended(Vec<Ended>),
    /// A worker gets a task.
    Assign(Assign),
    /// A worker must end a task. It reports then.
    Stop {
        /// Which assignment.
        fence: u64,
        /// Why.
        why: Stop,
    },
    /// Another worker has a slot for this assignment: one that has not begun it gives it back.
    Recall(u64),
    /// What a worker reported is on the disk.
    Recorded(u64),
    /// What a worker reported, or what its task has written, is not recorded: another has the task by now, or it has
    /// ended.
    Stale(u64),
    /// What an assignment has written is on the disk.
    Kept(u64),
    /// The coordinator ends, and with it the connection. What it has not answered it has not done: whoever said it says it
    /// again to the one that follows.
    Goodbye {
        /// That one is there at once, so there is no need to wait before connecting again.
        restarts: bool,
    },
}

/// What a coordinator answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// The ids of the tasks, or why one was not taken, in the order of the request.
    Submitted(Vec<Result<TaskId, Box<str>>>),
    /// A task; `None`: there is none with this id.
    Task(Option<Box<TaskStatus>>),
    /// What a task has written; `None`: there is none with this id.
    Output(Option<OutputPage>),
    /// Whether anything has changed.
    Changed(bool),
    /// How many have changed.
    Count(u64),
    /// How the coordinator is.
    Overview(Box<Overview>),
    /// Some tasks.
    Listed(Page),
    /// Some schedules.
    Schedules(ListedSchedules),
    /// A copy of the store is there, and has so many bytes.
    Copied(u64),
    /// Some bytes of it, as base64.
    Part(Box<str>),
    /// It cannot be done, and why.
    Failed(Box<str>),
}

/// What is told of a task: all that is kept of it.
pub type TaskStatus = Record;

/// A task for a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Its name.
    pub id: TaskId,
    /// To be told with the report.
    pub fence: u64,
    /// 1 at first.
    pub attempt: u32,
    /// What to do.
    pub spec: Rc<Spec>,
}

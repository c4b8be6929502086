//! Where a dashboard has its data from.

use std::collections::VecDeque;
use std::pin::Pin;

use serde::Serialize;

use crate::coordinator::{Filter, Overview, Page, Span, TaskView};
use crate::store::Key;
use crate::task::{Record, TaskId, Timestamp};
use crate::wire::{AskOutput, OutputPage};

/// The most of arguments, errors and results that is shown, in bytes each.
const MOST_SHOWN: usize = 64 * 1024;
/// The most parents that are shown.
const MOST_PARENTS: usize = 100;

/// What is answered later, or why it cannot be.
pub type Future<T> = Pin<Box<dyn std::future::Future<Output = Result<T, Box<str>>>>>;

/// What a dashboard shows.
pub trait Source: 'static {
    /// How it is now. Called some ten times a second while somebody looks, and once a second else.
    fn overview(&self) -> Overview;

    /// Some tasks: see [`Coordinator::list`](crate::coordinator::Coordinator::list).
    fn list(&self, filter: Filter, before: Option<u64>, limit: usize) -> Future<Page>;

    /// All about one task; `None`: there is none with this id.
    fn task(&self, id: TaskId) -> Future<Option<Detail>>;

    /// What a task has written, as it is now, whether or not somebody would follow it; `None`: there is none with this id.
    fn output(&self, ask: AskOutput) -> Future<Option<OutputPage>>;

    /// A task is not wanted any more. Whether anything has changed, for good.
    fn cancel(&self, id: TaskId) -> Future<bool>;

    /// A task that did not succeed is tried again. Whether anything has changed, for good.
    fn retry(&self, id: TaskId) -> Future<bool>;

    /// Whether [`spans`](Self::spans) are kept.
    fn watch_spans(&self, on: bool);

    /// What has run since the last call, and how much more of which nothing is kept.
    fn spans(&self) -> (VecDeque<Span>, u64);
}

/// All that is shown of a task. Long texts are cut after 64 KiB.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// What a list shows, with longer texts.
    #[serde(flatten)]
    pub task: TaskView,
    /// How often it has failed.
    pub failures: u32,
    /// How often it is tried again.
    pub retries: u32,
    /// How long one attempt may take, in milliseconds.
    pub timeout: Option<u64>,
    /// Not before then.
    pub at: Option<Timestamp>,
    /// Until when it must have ended.
    pub deadline: Option<Timestamp>,
    /// Tasks that it comes after; at most 100.
    pub after: Vec<TaskId>,
}

impl Detail {
    /// What is shown of a task.
    pub fn new(key: Key, record: &Record) -> Self {
        let spec = &record.spec;
        Self {
            task: TaskView::with_texts(key, record, MOST_SHOWN),
            failures: record.failures,
            retries: spec.retries,
            timeout: spec.timeout,
            at: spec.at,
            deadline: spec.deadline,
            after: spec.after.iter().take(MOST_PARENTS).cloned().collect(),
        }
    }
}

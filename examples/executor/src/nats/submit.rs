//! A new task is put into the stream.

use std::rc::Rc;
use std::time::Duration;

use wharf_protocols::nats::NatsError;

use super::decide::Parent;
use super::names::key;
use super::records::Records;
use super::task::QueuedTask;
use crate::coordinator::Refused;
use crate::task::{Outcome, Spec, TaskId, Timestamp, milliseconds};

/// It is there, or why it cannot be.
pub(super) type Taken = Result<Submitted, Box<str>>;

/// A task that is in the stream, or was.
pub(super) struct Submitted {
    pub(super) id: TaskId,
    /// It was not there before.
    pub(super) is_new: bool,
}

/// Puts a task into the stream unless there is one with its id, which nobody looks for if `is_own`: it was made up just now.
/// It waits for servers that can take it.
pub(super) async fn submit(
    records: Records,
    keep: Duration,
    is_own: bool,
    id: TaskId,
    mut spec: Spec,
) -> Result<Taken, NatsError> {
    if let Err(why) = check(&spec, keep) {
        return Ok(Err(why));
    }
    if !is_own && records.find(&id).await?.is_some() {
        return Ok(Ok(Submitted { id, is_new: false }));
    }
    if let Err(why) = check_parents(&records, &spec.after).await? {
        return Ok(Err(why));
    }
    spec.id = None;
    let now = Timestamp::now();
    // By this clock: there is no other that everybody knows.
    spec.begin_delay(now);
    let is_later = !spec.after.is_empty() || spec.at.is_some_and(|at| at > now);
    let subject = if is_later {
        records.names.later(&id)
    } else {
        records.names.queue(spec.priority, &spec.kind, &id)
    };
    let task = QueuedTask { id, spec: Rc::new(spec), submitted: now, again: None };
    let is_new = records.publish(subject, &task, &key(&task.id)).await?;
    Ok(Ok(Submitted { id: task.id, is_new }))
}

/// What JetStream cannot do is refused.
pub(super) fn check(spec: &Spec, keep: Duration) -> Result<(), Box<str>> {
    spec.check().map_err(|error| error.to_string())?;
    let keep = milliseconds(keep);
    // Zero: for ever.
    if keep > 0 && spec.keep > keep {
        let text = format!("records are kept for {keep} ms on this NATS: not for {} ms", spec.keep);
        return Err(text.into());
    }
    if keep > 0 && spec.backoff.longest > keep / 2 {
        let text = format!("records are kept for {keep} ms: no retry waits longer than half of it");
        return Err(text.into());
    }
    Ok(())
}

async fn check_parents(
    records: &Records,
    parents: &[TaskId],
) -> Result<Result<(), Box<str>>, NatsError> {
    for id in parents {
        let why = match records.parent(id).await? {
            Parent::Pending | Parent::Ended(Outcome::Succeeded) => continue,
            Parent::Gone => Refused::UnknownParent(id.clone()).to_string(),
            Parent::Ended(_) => format!("it comes after {id}, which did not succeed"),
        };
        return Ok(Err(why.into()));
    }
    Ok(Ok(()))
}

//! New tasks.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use wharf_protocols::nats::NatsError;

use super::NatsClient;
use crate::coordinator::Refused;
use crate::nats::decide::Parent;
use crate::nats::names::key;
use crate::nats::records::Records;
use crate::nats::task::QueuedTask;
use crate::task::{Outcome, Spec, TaskId, Timestamp, milliseconds};
use crate::wire::Answer;

type Taken = Result<TaskId, Box<str>>;
type Submitting = Pin<Box<dyn Future<Output = Result<Taken, NatsError>>>>;

impl NatsClient {
    /// Submits tasks, all at once. Each is in the stream when this completes.
    pub(super) async fn submit(&self, specs: Vec<Spec>) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        let (_, keep) = self.session.records().await?;
        let mut submitting = Vec::with_capacity(specs.len());
        for spec in specs {
            self.session.connection.writable().await?;
            let one: Submitting = match spec.id.clone() {
                Some(id) => Box::pin(one(records.clone(), keep, self.is_own(&id), id, spec)),
                // Nobody else could.
                None => Box::pin(async { Ok(Err("its client has chosen no id".into())) }),
            };
            submitting.push(self.session.event_loop.create_task(one));
        }
        let mut taken = Vec::with_capacity(submitting.len());
        for one in submitting {
            taken.push(match one.await.map_err(|_| NatsError::Closed)? {
                Ok(taken) => taken,
                Err(NatsError::Closed) => return Err(NatsError::Closed),
                Err(error) => Err(error.to_string().into()),
            });
        }
        Ok(Answer::Submitted(taken))
    }
}

async fn one(
    records: Records,
    keep: Duration,
    is_own: bool,
    id: TaskId,
    mut spec: Spec,
) -> Result<Taken, NatsError> {
    if let Err(why) = check(&spec, keep) {
        return Ok(Err(why));
    }
    // An id that was made up just now is nobody else's.
    if !is_own && records.find(&id).await?.is_some() {
        return Ok(Ok(id));
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
    records.publish(subject, &task, &key(&task.id)).await?;
    Ok(Ok(task.id))
}

/// What JetStream cannot do is refused.
fn check(spec: &Spec, keep: Duration) -> Result<(), Box<str>> {
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

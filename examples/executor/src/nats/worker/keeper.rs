//! Tasks that cannot run yet: each worker looks at some of them, and puts those that can into their queues.

use std::rc::Rc;
use std::time::Duration;

use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::JetStreamMessage;

use super::NatsWorker;
use crate::nats::decide::{Later, Parent, Settle, end, later};
use crate::nats::names::key;
use crate::nats::records::Records;
use crate::nats::setup;
use crate::nats::task::QueuedTask;
use crate::task::{MOST_ARGUMENTS, Outcome, TaskId, Timestamp};

/// How many are looked at at once.
const MOST: usize = 200;
/// How long one is looked at before another has its turn.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is looked whether what it comes after has ended, if nothing is heard of that.
const POLL: Duration = Duration::from_secs(2);
/// One that waits for less time is kept here.
const SOON: Duration = Duration::from_secs(2);
/// How long one is not looked at.
const REST: Duration = Duration::from_secs(3);
/// The longest time that is not looked at again: clocks may be set.
const LONGEST: Duration = Duration::from_secs(300);
/// How long until a consumer is asked again.
const PAUSE: Duration = Duration::from_millis(250);

impl NatsWorker {
    /// Looks at tasks that cannot run yet for as long as it is not closed.
    pub(super) async fn keep(self: Rc<Self>, records: Records) {
        let event_loop = self.session.event_loop.clone();
        loop {
            let room = MOST.saturating_sub(self.later.borrow().len());
            if room == 0 {
                event_loop.sleep(PAUSE).await;
                continue;
            }
            match self.fetch_later(&records, room).await {
                Ok(messages) => {
                    for message in messages {
                        self.look(&records, message);
                    }
                }
                Err(NatsError::Closed) => return,
                Err(_) => event_loop.sleep(PAUSE).await,
            }
        }
    }

    async fn fetch_later(
        &self,
        records: &Records,
        room: usize,
    ) -> Result<Vec<JetStreamMessage>, NatsError> {
        let lease = self.lease.get();
        let consumer = setup::later(&records.jetstream, &self.session.names, lease).await?;
        self.keep_lease_of(&consumer);
        let messages = consumer.fetch_now(room).await?;
        if messages.is_empty() {
            return consumer.fetch(1, Duration::from_secs(20)).await;
        }
        Ok(messages)
    }

    fn look(self: &Rc<Self>, records: &Records, message: JetStreamMessage) {
        let number = message.metadata().stream_sequence;
        let Ok(task) = serde_json::from_slice::<QueuedTask>(message.payload()) else {
            eprintln!("{}: what is there is no task", message.subject());
            let _ = message.term();
            return;
        };
        let (worker, records, looked_at) = (Rc::clone(self), records.clone(), message.clone());
        let looking = self.session.event_loop.create_task(async move {
            let settled = worker.look_at(&records, &task).await;
            let _ = match settled {
                Ok(Settle::Ack) => looked_at.ack(),
                Ok(Settle::Again(wait)) => looked_at.nak(wait),
                Err(_) => Ok(()),
            };
            let done = worker.later.borrow_mut().remove(&number);
            drop(done);
        });
        let former = self.later.borrow_mut().insert(number, (message, looking));
        drop(former);
    }

    async fn look_at(&self, records: &Records, task: &QueuedTask) -> Result<Settle, NatsError> {
        let event_loop = &self.session.event_loop;
        let until = event_loop.time() + LOOK;
        if records.read(&task.id).await?.is_some() {
            // It was cancelled, or is in its queue and has run.
            return Ok(Settle::Ack);
        }
        loop {
            let mut parents = Vec::with_capacity(task.spec.after.len());
            for id in &task.spec.after {
                parents.push(records.parent(id).await?);
            }
            match later(task, &parents, Timestamp::now()) {
                Later::Ready => return self.make_ready(records, task).await,
                Later::End(record) => {
                    let recorded = self.record(records, record, 0, Settle::Ack).await?;
                    return Ok(recorded.unwrap_or(Settle::Again(REST)));
                }
                Later::Until(wait) if wait < SOON => event_loop.sleep(wait).await,
                Later::Until(wait) => return Ok(Settle::Again(wait.min(LONGEST))),
                Later::After(_) if event_loop.time() >= until => return Ok(Settle::Again(REST)),
                Later::After(parent) => self.wait_for(records, &parent).await?,
            }
        }
    }

    /// Puts a task into its queue, with what those before it have returned.
    async fn make_ready(&self, records: &Records, task: &QueuedTask) -> Result<Settle, NatsError> {
        let task = &match filled_in(records, task).await? {
            Ok(task) => task,
            Err(why) => {
                let record = end(task.later_record(), Outcome::Failed, &why, Timestamp::now());
                let recorded = self.record(records, record, 0, Settle::Ack).await?;
                return Ok(recorded.unwrap_or(Settle::Again(REST)));
            }
        };
        let spec = &task.spec;
        let subject = records.names.queue(spec.priority, &spec.kind, &task.id);
        // Its id was that of the message that is here.
        records.publish(subject, task, &format!("{}.ready", key(&task.id))).await?;
        Ok(Settle::Ack)
    }

    /// Waits until a task may have ended.
    async fn wait_for(&self, records: &Records, id: &TaskId) -> Result<(), NatsError> {
        let mut told = self.session.connection.subscribe(self.session.names.ended(id))?;
        // It may have ended before that.
        if matches!(records.parent(id).await?, Parent::Pending) {
            let _ = self.session.event_loop.timeout(POLL, told.next()).await;
        }
        Ok(())
    }
}

/// The task with its arguments, or why it cannot have them.
async fn filled_in(
    records: &Records,
    task: &QueuedTask,
) -> Result<Result<QueuedTask, Rc<str>>, NatsError> {
    if task.spec.input.is_none() {
        return Ok(Ok(task.clone()));
    }
    let (mut results, mut length) = (Vec::new(), 0);
    for id in &task.spec.after {
        let Some(result) = records.read(id).await?.and_then(|(record, _)| record.result) else {
            return Ok(Err(format!("what {id} returned is not there any more").into()));
        };
        length += result.get().len();
        results.push(result);
        if length > MOST_ARGUMENTS {
            // That is too much whatever follows.
            break;
        }
    }
    let filled = task.spec.filled_in(&results);
    Ok(filled.map(|spec| QueuedTask { spec: Rc::new(spec), ..task.clone() }))
}

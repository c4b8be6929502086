//! The life of a message that a worker holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::{LoopFuture, Task};
use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::JetStreamMessage;

use super::NatsWorker;
use super::pull::Place;
use super::slots::Slot;
use crate::coordinator::SpanEnd;
use crate::nats::decide::{Settle, Take, must_read, running, settle, take};
use crate::nats::names::key;
use crate::nats::records::{Records, Written, json};
use crate::nats::task::QueuedTask;
use crate::task::{Record, State, Timestamp};
use crate::wire::{Assign, Replied};

/// A task that runs for longer is recorded as running.
const RECORDED_AFTER: Duration = Duration::from_millis(250);
/// A longer record is not told, but read by who wants it.
const MOST_TOLD: usize = 64 * 1024;
/// When what went wrong with a message is tried again, at first and at most.
const TROUBLE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// The longest time until a message comes again: clocks may be set, and servers cannot wait for ever.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A message, and what is done for it.
pub(super) struct Held {
    task: QueuedTask,
    key: String,
    message: RefCell<JetStreamMessage>,
    fence: Cell<Option<u64>>,
    /// The number of the attempt that runs.
    attempt: Cell<u32>,
    /// Since when it runs, and in which slot.
    since: Cell<Timestamp>,
    slot: Cell<usize>,
    /// How much attempts before it have written, once that is known.
    written_before: Cell<Option<u64>>,
    life: RefCell<Option<Task<()>>>,
}

/// An attempt that runs, or has ended.
struct Attempt {
    fence: u64,
    record: Record,
    /// Of the record that is kept; 0: there is none.
    revision: u64,
    since: Timestamp,
    report: LoopFuture<Replied>,
}

impl Held {
    pub(super) fn new(task: QueuedTask, message: JetStreamMessage) -> Self {
        let key = key(&task.id);
        let message = RefCell::new(message);
        Self {
            task,
            key,
            message,
            fence: Cell::default(),
            attempt: Cell::default(),
            since: Cell::new(Timestamp(0)),
            slot: Cell::default(),
            written_before: Cell::default(),
            life: RefCell::default(),
        }
    }

    pub(super) fn begin(&self, life: Task<()>) {
        *self.life.borrow_mut() = Some(life);
    }

    /// Nothing more is done for it.
    pub(super) fn end(&self) {
        let life = self.life.borrow_mut().take();
        drop(life);
    }

    pub(super) fn task(&self) -> &QueuedTask {
        &self.task
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn message(&self) -> JetStreamMessage {
        self.message.borrow().clone()
    }

    pub(super) fn delivered_again(&self, message: JetStreamMessage) {
        *self.message.borrow_mut() = message;
    }

    pub(super) fn fence(&self) -> Option<u64> {
        self.fence.get()
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt.get()
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since.get()
    }

    pub(super) fn slot(&self) -> usize {
        self.slot.get()
    }

    pub(super) fn written_before(&self) -> Option<u64> {
        self.written_before.get()
    }

    pub(super) fn set_written_before(&self, bytes: u64) {
        self.written_before.set(Some(bytes));
    }
}

impl NatsWorker {
    /// From the delivery of a message until it is settled.
    pub(super) async fn live(self: Rc<Self>, records: Records, place: Place, held: Rc<Held>) {
        let settled = match self.slots.turn(place.queue().class).await {
            Some(slot) => self.run(&records, &place, &held, slot).await,
            None => Ok(Some(Settle::Again(Duration::ZERO))),
        };
        let message = held.message();
        // An answer that is lost is as none: the message comes again, and its record says what it is.
        let _ = match settled {
            Ok(Some(Settle::Ack)) => message.ack(),
            Ok(Some(Settle::Again(wait))) if wait.is_zero() => message.nak(None),
            Ok(Some(Settle::Again(wait))) => message.nak(wait.min(LONGEST)),
            Ok(None) | Err(NatsError::Closed) => Ok(()),
            Err(error) => {
                eprintln!("{}: {error}", held.task.id);
                // It may be as wrong the next time.
                let times = u32::try_from(message.metadata().delivered).unwrap_or(u32::MAX);
                message.nak(TROUBLE.0.saturating_mul(times).min(TROUBLE.1))
            }
        };
        if let Some(fence) = held.fence() {
            self.runner.forget_report(fence);
        }
        drop(place);
        self.held.borrow_mut().remove(&message.metadata().stream_sequence);
    }

    /// Decides, runs, and records. `None`: the message is somebody else's.
    async fn run(
        &self,
        records: &Records,
        place: &Place,
        held: &Held,
        slot: Slot,
    ) -> Result<Option<Settle>, NatsError> {
        let (task, delivered) = (&held.task, held.message().metadata().delivered);
        let known = if must_read(task, delivered) { records.read(&task.id).await? } else { None };
        let revision = known.as_ref().map_or(0, |(_, revision)| *revision);
        let (record, revision) = match take(task, delivered, known, &self.name, Timestamp::now()) {
            Take::Nothing => return Ok(Some(Settle::Ack)),
            Take::Later(wait) => return Ok(Some(Settle::Again(wait))),
            Take::End(record) => return self.record(records, record, revision, Settle::Ack).await,
            Take::Run(record) => (record, revision),
            Take::Claim(record) => match records.write(&record, revision).await? {
                Written::At(revision) => (record, revision),
                // It has changed meanwhile: it is decided again.
                Written::Lost => return Ok(Some(Settle::Again(Duration::ZERO))),
            },
        };
        held.slot.set(slot.number());
        let mut attempt = self.attempt(held, record, revision);
        let replied = self.watch(records, place.queue().keep, &mut attempt).await?;
        self.ran(held, end_of(replied.as_ref()));
        drop(slot);
        let Some(replied) = replied else {
            self.runner.stop(attempt.fence, false);
            return self.lost(records, &attempt.record).await;
        };
        let Attempt { mut record, revision, .. } = attempt;
        if matches!(replied, Replied::GivenBack) && revision == 0 {
            return Ok(Some(Settle::Again(Duration::ZERO)));
        }
        if let State::Running { .. } = record.state {
            record.error = None;
        }
        let random = &self.random;
        let (ended, settled) =
            settle(record.clone(), replied, Timestamp::now(), &mut random.borrow_mut());
        match self.record(records, ended, revision, settled).await {
            Err(NatsError::Refused(error)) => {
                let why = format!("its result is too large: {error}");
                let failed = Replied::Failed(why.into());
                let (ended, settled) =
                    settle(record, failed, Timestamp::now(), &mut random.borrow_mut());
                self.record(records, ended, revision, settled).await
            }
            recorded => recorded,
        }
    }

    /// Has a task run.
    fn attempt(&self, held: &Held, record: Record, revision: u64) -> Attempt {
        let fence = self.next_fence.get();
        self.next_fence.set(fence + 1);
        held.fence.set(Some(fence));
        held.attempt.set(record.attempts);
        held.since.set(Timestamp::now());
        let (promise, report) = self.session.event_loop.create_future();
        self.reports.borrow_mut().insert(fence, promise);
        self.runner.run(Assign {
            id: record.id.clone(),
            fence,
            attempt: record.attempts,
            spec: Rc::clone(&record.spec),
        });
        Attempt { fence, record, revision, since: Timestamp::now(), report }
    }

    /// Waits for what comes of an attempt; records that it runs, if it runs for long, and looks whether it still may.
    /// `None`: it may not.
    async fn watch(
        &self,
        records: &Records,
        keep: Duration,
        attempt: &mut Attempt,
    ) -> Result<Option<Replied>, NatsError> {
        let event_loop = &self.session.event_loop;
        let mut recorded = event_loop.time();
        let mut wait = RECORDED_AFTER;
        loop {
            if let Ok(report) = event_loop.timeout(wait, &mut attempt.report).await {
                return Ok(report.ok());
            }
            wait = self.lease.get() / 3;
            let is_recorded = matches!(attempt.record.state, State::Running { .. });
            let age = event_loop.time().saturating_duration_since(recorded);
            // A record that is not written again would expire.
            if is_recorded && (keep.is_zero() || age < keep / 4) {
                match records.read(&attempt.record.id).await? {
                    Some((_, revision)) if revision == attempt.revision => continue,
                    _ => return Ok(None),
                }
            }
            attempt.record = running(attempt.record.clone(), &self.name, attempt.since);
            match records.write(&attempt.record, attempt.revision).await? {
                Written::At(revision) => attempt.revision = revision,
                Written::Lost => return Ok(None),
            }
            recorded = event_loop.time();
        }
    }

    /// Writes a record, and tells of it if the task has ended.
    pub(super) async fn record(
        &self,
        records: &Records,
        record: Record,
        revision: u64,
        settled: Settle,
    ) -> Result<Option<Settle>, NatsError> {
        let json = json(&record)?;
        if records.write_json(&record.id, &json, revision).await? == Written::Lost {
            return self.lost(records, &record).await;
        }
        if record.outcome().is_some() {
            let told = if json.len() > MOST_TOLD { &[][..] } else { &json };
            // Who does not hear it looks after a while.
            let _ = self.session.connection.publish(&self.session.names.ended(&record.id), told);
        }
        Ok(Some(settled))
    }

    /// Somebody else has changed the record. A message of a task that has ended is done with; else it is that one's.
    async fn lost(&self, records: &Records, record: &Record) -> Result<Option<Settle>, NatsError> {
        let known = records.read(&record.id).await?;
        let has_ended = known.is_some_and(|(record, _)| record.outcome().is_some());
        Ok(has_ended.then_some(Settle::Ack))
    }
}

/// How what ran in a slot has ended.
fn end_of(replied: Option<&Replied>) -> SpanEnd {
    match replied {
        Some(Replied::Succeeded(_)) => SpanEnd::Succeeded,
        Some(Replied::Failed(_) | Replied::FailedForGood(_)) => SpanEnd::Failed,
        Some(Replied::Stopped) => SpanEnd::Stopped,
        Some(Replied::GivenBack) => SpanEnd::GivenBack,
        // It is somebody else's now.
        None => SpanEnd::Lost,
    }
}

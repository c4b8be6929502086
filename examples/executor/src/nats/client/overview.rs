//! How all is, by streams, records, and workers that answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Promise, Task};
use wharf_protocols::nats::jetstream::{Operation, Update, Watch};
use wharf_protocols::nats::{Message, NatsError, Publish, SubscriptionHandle};

use super::NatsClient;
use super::live::{Listed, Live};
use crate::coordinator::{Filter, Overview, Page, WorkerView};
use crate::nats::decide::is_expired;
use crate::nats::records::Records;
use crate::nats::setup::LATER;
use crate::task::{Record, Timestamp};
use crate::wire::Answer;

/// How long workers are waited for.
const ANSWERS: Duration = Duration::from_millis(250);
/// The most that are known.
const MOST_WORKERS: usize = 4096;
/// The most that are shown.
const MOST_SHOWN: usize = 500;

/// What is known for overviews, from the first one on.
#[derive(Default)]
pub(super) struct Watching {
    live: Rc<RefCell<Live>>,
    /// Sees records as they change.
    watch: RefCell<Option<Task<()>>>,
    workers: Rc<Workers>,
    /// Hears what workers answer.
    answers: RefCell<Option<(String, SubscriptionHandle)>>,
}

#[derive(Default)]
struct Workers {
    /// How often they were asked.
    round: Cell<u64>,
    /// What each has answered last, and when it was asked.
    answers: RefCell<BTreeMap<u64, (u64, WorkerView)>>,
    /// Who waits until all have answered.
    waiting: RefCell<Option<Promise<()>>>,
}

impl NatsClient {
    /// How all is. The first one reads all records; from then on they are told as they change.
    pub(super) async fn overview(&self) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        self.watch(&records).await?;
        let workers = self.workers().await?;
        let stream = records.names.stream();
        let info = async || records.jetstream.stream_info(&stream).await;
        let in_stream = records.patiently(info).await?.state.messages;
        let later = self.cannot_run_yet(&records).await?;
        let is_draining = records.is_draining().await?;
        let now = Timestamp::now();
        let mut live = self.watching.live.borrow_mut();
        live.expire(now);
        let (mut tasks, mut totals) = (live.counts(), live.totals());
        let pending = tasks.running + tasks.delayed + tasks.queued;
        // What runs for a short time has no record yet.
        let running: usize = workers.iter().map(|worker| worker.running.len()).sum();
        tasks.running = tasks.running.max(running as u64);
        let with_record = tasks.running + tasks.delayed;
        tasks.queued = in_stream.saturating_sub(later).saturating_sub(with_record);
        tasks.delayed += later;
        // Those that have no record yet.
        totals.submitted += in_stream.saturating_sub(pending);
        let overview = Overview {
            now,
            tasks,
            kinds: live.kinds(),
            totals,
            per_second: live.per_second(now),
            worker_count: workers.len(),
            workers: workers.into_iter().take(MOST_SHOWN).collect(),
            is_draining,
            store_error: None,
        };
        Ok(Answer::Overview(Box::new(overview)))
    }

    /// Tasks that come later, or after others.
    async fn cannot_run_yet(&self, records: &Records) -> Result<u64, NatsError> {
        let stream = records.names.stream();
        let info = async || records.jetstream.consumer_info(&stream, LATER).await;
        match records.patiently(info).await {
            Ok(info) => Ok(info.num_pending + info.num_ack_pending),
            // No worker has come yet.
            Err(NatsError::JetStream(error)) if error.is_not_found() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sees all records, and then each change.
    async fn watch(&self, records: &Records) -> Result<(), NatsError> {
        if self.watching.watch.borrow().as_ref().is_some_and(|watch| !watch.is_done()) {
            return Ok(());
        }
        let live = Rc::clone(&self.watching.live);
        live.replace(Live::default());
        let mut watch = records.watch().await?;
        while see(&live, &mut watch).await? {}
        let task = self.session.event_loop.create_task(async move {
            // After an error the next overview begins anew.
            while see(&live, &mut watch).await.is_ok() {}
        });
        let former = self.watching.watch.replace(Some(task));
        drop(former);
        Ok(())
    }

    /// Those that answer in time, or have not answered once.
    pub(super) async fn workers(&self) -> Result<Vec<WorkerView>, NatsError> {
        let (connection, workers) = (&self.session.connection, &self.watching.workers);
        let known = self.watching.answers.borrow().as_ref().map(|(inbox, _)| inbox.clone());
        let inbox = match known {
            Some(inbox) => inbox,
            None => {
                let (inbox, own) = (connection.new_inbox(), Rc::clone(workers));
                let hear = move |message: Message| own.hear(&message);
                let handle = connection.subscription(&inbox).on_message(hear)?;
                *self.watching.answers.borrow_mut() = Some((inbox.clone(), handle));
                inbox
            }
        };
        let (promise, all) = self.session.event_loop.create_future();
        *workers.waiting.borrow_mut() = Some(promise);
        workers.round.set(workers.round.get() + 1);
        let subject = self.session.names.workers();
        let wanted = self.spans.wanted();
        connection.publish_message(Publish::new(&subject, wanted).reply(&inbox))?;
        let _ = self.session.event_loop.timeout(ANSWERS, all).await;
        workers.forget_silent();
        Ok(workers.answers.borrow().values().map(|(_, view)| view.clone()).collect())
    }
}

impl Watching {
    /// Nothing is seen any more.
    pub(super) fn close(&self) {
        let watch = self.watch.take();
        drop(watch);
        let answers = self.answers.take();
        drop(answers);
    }

    /// The records that fit, if all are known: see [`Live::list`].
    pub(super) fn listed(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Option<Listed> {
        let watch = self.watch.borrow();
        watch.as_ref().filter(|watch| !watch.is_done())?;
        self.live.borrow().list(filter, before, limit)
    }

    /// The last failed tasks, if so many are at hand.
    pub(super) fn failed(&self, limit: usize) -> Option<Page> {
        let watch = self.watch.borrow();
        watch.as_ref().filter(|watch| !watch.is_done())?;
        self.live.borrow().failed(limit).map(|(tasks, next)| Page { tasks, next })
    }
}

/// Sees a change; `false`: all that was there was told.
async fn see(live: &RefCell<Live>, watch: &mut Watch) -> Result<bool, NatsError> {
    let entry = match watch.next().await? {
        Update::Entry(entry) => entry,
        Update::Current => {
            live.borrow_mut().is_current_from(Timestamp::now());
            return Ok(false);
        }
        _ => return Ok(true),
    };
    let now = Timestamp::now();
    if entry.operation == Operation::Put
        && let Ok(record) = serde_json::from_slice::<Record>(&entry.value)
        && !is_expired(&record, now)
    {
        live.borrow_mut().see(&record, entry.revision, now);
    }
    Ok(true)
}

impl Workers {
    fn hear(&self, message: &Message) {
        let round = self.round.get();
        let mut answers = self.answers.borrow_mut();
        if let Ok(view) = serde_json::from_slice::<WorkerView>(message.payload())
            && (answers.len() < MOST_WORKERS || answers.contains_key(&view.key))
        {
            answers.insert(view.key, (round, view));
        }
        // At first nobody knows how many there are; who has nobody to ask is told so.
        let have_all = round > 1 && answers.values().all(|(answered, _)| *answered == round);
        if have_all || message.status() == Some(503) {
            let waiting = self.waiting.borrow_mut().take();
            if let Some(promise) = waiting {
                let _ = promise.set_result(());
            }
        }
    }

    fn forget_silent(&self) {
        let round = self.round.get();
        self.answers.borrow_mut().retain(|_, (answered, _)| *answered + 1 >= round);
    }
}

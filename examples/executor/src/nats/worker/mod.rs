//! A worker on NATS: for those who run tasks it is the coordinator.

mod held;
mod keeper;
mod output;
mod pull;
mod schedules;
mod slots;
mod spans;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Promise, Result, Task};
use wharf_protocols::nats::jetstream::JetStreamMessage;
use wharf_protocols::nats::{Event, NatsError};

use super::names::Class;
use super::options::NatsOptions;
use super::records::Records;
use super::session::{Access, Session};
use crate::coordinator::SpanEnd;
use crate::wire::{Replied, Reported, ToCoordinator};
use crate::work::{CLOSED, Runner};
use held::Held;
use pull::Queue;
use schedules::Schedules;
use slots::Slots;
use spans::Spans;

/// Takes tasks from the stream, has them run, and records what came of them.
pub(crate) struct NatsWorker {
    session: Session,
    runner: Rc<Runner>,
    name: Rc<str>,
    /// Who it is, for those who ask. JavaScript can hold it.
    key: u64,
    slots: Slots,
    spans: Spans,
    /// Messages that are not settled, by their number in the stream.
    held: RefCell<BTreeMap<u64, Rc<Held>>>,
    /// Tasks that cannot run yet and are looked at, by the same.
    later: RefCell<BTreeMap<u64, (JetStreamMessage, Task<()>)>>,
    /// Those who wait for what comes of an attempt, by its fence.
    reports: RefCell<BTreeMap<u64, Promise<Replied>>>,
    next_fence: Cell<u64>,
    random: RefCell<fastrand::Rng>,
    /// How long a message may be without an acknowledgement.
    lease: Cell<Duration>,
    /// What goes on until this is closed.
    tasks: RefCell<Vec<Task<()>>>,
    pulls: RefCell<Vec<Task<()>>>,
    /// It takes nothing more, ever.
    is_leaving: Cell<bool>,
}

impl NatsWorker {
    /// Begins to connect, and to have tasks run.
    ///
    /// # Errors
    /// An address or the name is none, or the loop is closed.
    pub(crate) fn start<A: AsRef<str>>(
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
        options: NatsOptions,
        runner: &Rc<Runner>,
    ) -> Result<Rc<Self>> {
        let lease = options.lease.max(Duration::from_secs(1));
        let access =
            Access { token: runner.options().token.as_deref(), tls: runner.options().tls.as_ref() };
        let worker = Rc::new(Self {
            session: Session::start(event_loop, servers, access, options)?,
            name: runner.options().name.as_ref().into(),
            key: fastrand::u64(..1 << 53),
            spans: Spans::default(),
            slots: Slots::new(event_loop, runner.options().slots.max(1)),
            runner: Rc::clone(runner),
            held: RefCell::default(),
            later: RefCell::default(),
            reports: RefCell::default(),
            next_fence: Cell::new(1),
            random: RefCell::new(fastrand::Rng::new()),
            lease: Cell::new(lease),
            tasks: RefCell::default(),
            pulls: RefCell::default(),
            is_leaving: Cell::default(),
        });
        let own = Rc::clone(&worker);
        worker.spawn(async move {
            if let Err(error) = own.begin().await
                && !matches!(error, NatsError::Closed)
            {
                eprintln!("NATS does not want this worker: {error}");
                own.runner.refuse(error.to_string().into());
            }
        });
        Ok(worker)
    }

    /// Calls `callback` each time that a server is connected to, and each time that none is any more, with why.
    pub(crate) fn on_connection(
        &self,
        callback: impl Fn(std::result::Result<&str, &str>) + 'static,
    ) {
        self.session.connection.on_event(move |event| match event {
            Event::Connected { address } => callback(Ok(address)),
            Event::Disconnected { error: Some(error) } => callback(Err(&format!("{error:#}"))),
            Event::Disconnected { error: None } => callback(Err(CLOSED)),
            _ => {}
        });
    }

    /// What those who run tasks say.
    pub(crate) fn heard(self: &Rc<Self>, message: &ToCoordinator) {
        match message {
            ToCoordinator::Report(Reported { fence, outcome }) => {
                let waiting = self.reports.borrow_mut().remove(fence);
                match waiting {
                    Some(promise) => drop(promise.set_result(outcome.clone())),
                    None => self.runner.forget_report(*fence),
                }
            }
            ToCoordinator::Output(written) => self.wrote(written),
            ToCoordinator::Takes(0) => {
                self.is_leaving.set(true);
                self.stop_taking();
            }
            _ => {}
        }
    }

    /// Ends everything at once, after what was published is sent. What it had is delivered to others when its lease ends.
    pub(crate) fn close(&self) {
        self.slots.close();
        for tasks in [&self.pulls, &self.tasks] {
            let tasks = std::mem::take(&mut *tasks.borrow_mut());
            drop(tasks);
        }
        let later = std::mem::take(&mut *self.later.borrow_mut());
        drop(later);
        let held = std::mem::take(&mut *self.held.borrow_mut());
        held.values().for_each(|held| held.end());
        self.session.connection.close();
    }

    /// Waits until what was said has arrived.
    pub(crate) async fn flush(&self) {
        let flushed = self.session.connection.flush();
        let _ = self.session.event_loop.timeout(Duration::from_secs(1), flushed).await;
    }

    async fn begin(self: &Rc<Self>) -> Result<(), NatsError> {
        let (records, keep) = self.session.records().await?;
        let weak = Rc::downgrade(self);
        let looking = records.clone();
        let cancelled = move |message: wharf_protocols::nats::Message| {
            if let Some(worker) = weak.upgrade() {
                let key = worker.session.names.key_of(message.subject()).to_owned();
                worker.may_be_cancelled(&looking, &key);
            }
        };
        let subject = self.session.names.all_cancelled();
        self.session.connection.subscription(subject).on_message(cancelled)?.detach();
        self.answer()?;
        let (schedules, watch) = Schedules::open(self, &records, keep).await?;
        if !schedules.is_draining() {
            self.take(&records, keep);
        }
        self.spawn(schedules.watch(watch));
        let renewing = Rc::clone(self).renew();
        self.spawn(renewing);
        Ok(())
    }

    /// Begins to take tasks, unless it does.
    fn take(self: &Rc<Self>, records: &Records, keep: Duration) {
        if self.is_leaving.get() || !self.pulls.borrow().is_empty() {
            return;
        }
        self.slots.open();
        let mut pulls = self.pulls.borrow_mut();
        for kind in self.runner.kinds() {
            for class in Class::ALL {
                let queue = Rc::new(Queue::new(class, kind.clone(), keep));
                let pulling = Rc::clone(self).pull(records.clone(), queue);
                pulls.push(self.session.event_loop.create_task(pulling));
            }
        }
        let keeping = Rc::clone(self).keep(records.clone());
        pulls.push(self.session.event_loop.create_task(keeping));
    }

    /// Takes nothing more, and gives back what has not begun.
    fn stop_taking(&self) {
        let pulls = std::mem::take(&mut *self.pulls.borrow_mut());
        drop(pulls);
        self.slots.close();
    }

    /// Nothing new begins, or does again.
    fn drain(self: &Rc<Self>, on: bool, records: &Records, keep: Duration) {
        if on {
            self.stop_taking();
        } else {
            self.take(records, keep);
        }
    }

    /// Messages are this worker's for as long as it lives.
    async fn renew(self: Rc<Self>) {
        loop {
            self.session.event_loop.sleep(self.lease.get() / 3).await;
            // One that cannot be sent now is sent the next time, or it is somebody else's.
            for held in self.held.borrow().values() {
                let _ = held.message().in_progress();
            }
            for (message, _) in self.later.borrow().values() {
                let _ = message.in_progress();
            }
        }
    }

    /// Somebody says that a task was cancelled.
    fn may_be_cancelled(self: &Rc<Self>, records: &Records, key: &str) {
        let held = self.held.borrow().values().find(|held| held.key() == key).cloned();
        let Some(held) = held else { return };
        let (worker, records) = (Rc::clone(self), records.clone());
        self.spawn(async move {
            let is_over = |record: &crate::task::Record| record.outcome().is_some();
            if let Ok(Some((record, _))) = records.read(&held.task().id).await
                && is_over(&record)
            {
                worker.forget(&held);
                let _ = held.message().ack();
            }
        });
    }

    /// A message is not held any more; what runs for it ends.
    fn forget(&self, held: &Rc<Held>) {
        let number = held.message().metadata().stream_sequence;
        self.held.borrow_mut().remove(&number);
        held.end();
        if let Some(fence) = held.fence() {
            let waiting = self.reports.borrow_mut().remove(&fence);
            if waiting.is_some() {
                self.ran(held, SpanEnd::Stopped);
            }
            drop(waiting);
            self.runner.stop(fence, false);
        }
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let task = self.session.event_loop.create_task(future);
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| !task.is_done());
        tasks.push(task);
    }
}

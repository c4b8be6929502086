//! Schedules, and whether anything new begins: what the bucket of these says.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use wharf::TimerHandle;
use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::{Entry, Update, Watch};

use super::NatsWorker;
use crate::nats::control::{Claim, Control, KeptSchedule, Said, said};
use crate::nats::names::schedule_key;
use crate::nats::records::{Records, Written};
use crate::nats::submit::{Taken, submit};
use crate::schedule::{ScheduleName, ScheduleRecord, Timing};
use crate::task::Timestamp;

/// It is looked so often at least: clocks may be set.
const LONGEST: Duration = Duration::from_secs(30);
/// How many are dealt with at once.
const MOST_AT_ONCE: usize = 32;
/// When what went wrong with one is tried again.
const TROUBLE: Duration = Duration::from_secs(5);
/// How long until the bucket is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// What a worker knows of schedules. Whichever worker comes first submits what is due: it claims the run, as a change of the
/// schedule that only one can make, submits the task, and says that it has. What it does not say, others do after a lease.
pub(super) struct Schedules {
    worker: Weak<NatsWorker>,
    control: Control,
    records: Records,
    /// How long records are kept.
    keep: Duration,
    /// By their keys.
    table: RefCell<BTreeMap<String, Known>>,
    is_draining: Cell<bool>,
    timer: RefCell<Option<TimerHandle>>,
}

struct Known {
    kept: KeptSchedule,
    /// None, if it is not understood here.
    timing: Option<Timing>,
    revision: u64,
    /// Since when it is so.
    seen: Instant,
}

impl Schedules {
    pub(super) async fn open(
        worker: &Rc<NatsWorker>,
        records: &Records,
        keep: Duration,
    ) -> Result<(Rc<Self>, Watch), NatsError> {
        let control = Control::new(records);
        let mut watch = control.watch().await?;
        let schedules = Rc::new(Self {
            worker: Rc::downgrade(worker),
            control,
            records: records.clone(),
            keep,
            table: RefCell::default(),
            is_draining: Cell::default(),
            timer: RefCell::default(),
        });
        while let Update::Entry(entry) = watch.next().await? {
            schedules.see(&entry);
        }
        Ok((schedules, watch))
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Does what the bucket says for as long as it is not dropped.
    pub(super) async fn watch(self: Rc<Self>, mut watch: Watch) {
        let busy = Rc::default();
        loop {
            self.look(&busy);
            match watch.next().await {
                Ok(Update::Entry(entry)) => self.see(&entry),
                Ok(_) => {}
                Err(NatsError::Closed) => return,
                Err(_) => match self.again().await {
                    Ok(new) => watch = new,
                    Err(NatsError::Closed) => return,
                    Err(_) => {}
                },
            }
        }
    }

    /// Somebody has deleted the bucket, for example.
    async fn again(&self) -> Result<Watch, NatsError> {
        self.records.event_loop().sleep(PAUSE).await;
        let replicas = self.worker.upgrade().map_or(1, |worker| worker.session.options.replicas);
        self.control.make(replicas).await?;
        let watch = self.control.watch().await?;
        // What is not there any more, the watch does not tell.
        self.table.borrow_mut().clear();
        self.drain(self.records.is_draining().await?);
        Ok(watch)
    }

    fn see(&self, entry: &Entry) {
        match said(entry) {
            Some(Said::Schedule(kept)) => self.put(*kept, entry.revision),
            Some(Said::Removed) => self.forget(&entry.key, entry.revision),
            Some(Said::Drain(on)) => self.drain(on),
            Some(Said::NotUnderstood(why)) => {
                eprintln!("{}: what is there is no schedule: {why}", entry.key);
                self.forget(&entry.key, entry.revision);
            }
            None => {}
        }
    }

    fn drain(&self, on: bool) {
        self.is_draining.set(on);
        if let Some(worker) = self.worker.upgrade() {
            worker.drain(on, &self.records, self.keep);
        }
    }

    fn put(&self, mut kept: KeptSchedule, revision: u64) {
        let key = schedule_key(&kept.record.schedule.name);
        let mut table = self.table.borrow_mut();
        if table.get(&key).is_none_or(|known| known.revision < revision) {
            let timing = kept.record.understood();
            let seen = self.records.event_loop().time();
            table.insert(key, Known { kept, timing, revision, seen });
        }
    }

    fn forget(&self, key: &str, revision: u64) {
        let mut table = self.table.borrow_mut();
        if table.get(key).is_some_and(|known| known.revision < revision) {
            table.remove(key);
        }
    }

    /// Deals with what is due, and looks again when something is.
    fn look(self: &Rc<Self>, busy: &Rc<RefCell<BTreeSet<String>>>) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
        let Some(worker) = self.worker.upgrade() else { return };
        if worker.slots.is_closed() {
            return;
        }
        let (due, wait) = self.due(&busy.borrow(), worker.lease.get());
        for key in due {
            busy.borrow_mut().insert(key.clone());
            let (schedules, busy) = (Rc::clone(self), Rc::clone(busy));
            worker.spawn(async move {
                if let Err(error) = schedules.tend(&key).await
                    && !matches!(error, NatsError::Closed)
                {
                    eprintln!("{key}: {error}");
                    schedules.records.event_loop().sleep(TROUBLE).await;
                }
                busy.borrow_mut().remove(&key);
                schedules.look(&busy);
            });
        }
        let (weak, busy) = (Rc::downgrade(self), Rc::clone(busy));
        let timer = self.records.event_loop().call_later(wait, move || {
            if let Some(schedules) = weak.upgrade() {
                schedules.look(&busy);
            }
        });
        *self.timer.borrow_mut() = Some(timer);
    }

    /// Which are to be dealt with now, and how long until another is. If there are more than can be at once, those go first
    /// that have waited longest: each has its turn, however often others are due.
    fn due(&self, busy: &BTreeSet<String>, lease: Duration) -> (Vec<String>, Duration) {
        let (now, time) = (Timestamp::now(), self.records.event_loop().time());
        let table = self.table.borrow();
        let (mut due, mut wait) = (Vec::new(), LONGEST);
        for (key, known) in &*table {
            match known.due_in(now, time, lease) {
                Some(Duration::ZERO) if !busy.contains(key) => {
                    due.push((known.kept.record.next, key));
                }
                Some(Duration::ZERO) | None => {}
                Some(left) => wait = wait.min(left),
            }
        }
        due.sort_unstable();
        let room = MOST_AT_ONCE.saturating_sub(busy.len());
        (due.into_iter().take(room).map(|(_, key)| key.clone()).collect(), wait)
    }

    /// A schedule is due, or what another has claimed is not submitted.
    async fn tend(&self, key: &str) -> Result<(), NatsError> {
        let (kept, timing, revision) = {
            let table = self.table.borrow();
            let Some(known) = table.get(key) else { return Ok(()) };
            (known.kept.clone(), known.timing.clone(), known.revision)
        };
        let (kept, revision) = match kept.claim {
            Some(_) => (kept, revision),
            None => match self.claim(kept.record, timing.as_ref(), revision).await? {
                Some(claimed) => claimed,
                None => return Ok(()),
            },
        };
        let KeptSchedule { record, claim: Some(claim) } = kept else { return Ok(()) };
        let schedule = &record.schedule;
        let name = schedule.name.clone();
        let (id, spec) = (name.task_id(claim.time), schedule.task_at(claim.time, Timestamp::now()));
        let taken = submit(self.records.clone(), self.keep, false, id, spec).await?;
        self.submitted(&name, record, revision, &claim, &taken).await
    }

    /// Takes a run that is due, which nobody else can then. `None`: nothing is to be submitted here.
    async fn claim(
        &self,
        mut record: ScheduleRecord,
        timing: Option<&Timing>,
        revision: u64,
    ) -> Result<Option<(KeptSchedule, u64)>, NatsError> {
        let now = Timestamp::now();
        let Some(at) = record.next.filter(|next| *next <= now) else { return Ok(None) };
        let mut time = record.due(at, timing, now);
        if time.is_some() && self.overlaps(&record).await? {
            time = None;
        }
        let name = self.worker.upgrade().map(|worker| Rc::clone(&worker.name)).unwrap_or_default();
        // Answers that are lost must not let two believe that it is theirs.
        let by = || format!("{name}-{:016x}", fastrand::u64(..)).into();
        let claim = time.map(|time| Claim { time, by: by() });
        record.skipped = record.skipped.saturating_add(u64::from(claim.is_none()));
        let kept = KeptSchedule { record, claim };
        let revision = self.write(&kept, revision).await?;
        Ok(revision.map(|revision| (kept, revision)).filter(|(kept, _)| kept.claim.is_some()))
    }

    /// Whether the last task is in the way of the next.
    async fn overlaps(&self, record: &ScheduleRecord) -> Result<bool, NatsError> {
        let Some(last) = record.may_be_in_the_way() else { return Ok(false) };
        let last = self.records.find(last).await?;
        Ok(last.is_some_and(|(record, _)| record.outcome().is_none()))
    }

    /// What was claimed is done.
    async fn submitted(
        &self,
        name: &ScheduleName,
        mut record: ScheduleRecord,
        mut revision: u64,
        claim: &Claim,
        taken: &Taken,
    ) -> Result<(), NatsError> {
        loop {
            match taken {
                Ok(task) => {
                    record.runs = record.runs.saturating_add(1);
                    record.last_task = Some(task.id.clone());
                    record.error = None;
                }
                Err(why) => record.error = Some(why.as_ref().into()),
            }
            if self.write(&KeptSchedule { record, claim: None }, revision).await?.is_some() {
                return Ok(());
            }
            // Somebody has paused it, for example, or has done the same.
            (record, revision) = match self.control.schedule(name).await? {
                (Some(KeptSchedule { record, claim: Some(same) }), revision)
                    if same.by == claim.by =>
                {
                    (record, revision)
                }
                _ => return Ok(()),
            };
        }
    }

    /// Writes a schedule. `None`: it has changed, and is known now as it is.
    async fn write(&self, kept: &KeptSchedule, revision: u64) -> Result<Option<u64>, NatsError> {
        if let Written::At(revision) = self.control.write(kept, revision).await? {
            self.put(kept.clone(), revision);
            return Ok(Some(revision));
        }
        let name = &kept.record.schedule.name;
        let key = schedule_key(name);
        // What was known is not there any more, also where the numbers begin anew: in a new bucket.
        if self.table.borrow().get(&key).is_some_and(|known| known.revision == revision) {
            self.table.borrow_mut().remove(&key);
        }
        if let (Some(kept), revision) = self.control.schedule(name).await? {
            self.put(kept, revision);
        }
        Ok(None)
    }
}

impl Known {
    /// How long until something is to be done; `None`: nothing ever.
    fn due_in(&self, now: Timestamp, time: Instant, lease: Duration) -> Option<Duration> {
        self.timing.as_ref()?;
        if self.kept.claim.is_some() {
            return Some((self.seen + lease).saturating_duration_since(time));
        }
        self.kept.record.next.map(|next| now.until(next))
    }
}

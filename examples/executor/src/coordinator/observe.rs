//! What can be seen of a coordinator: counts, workers, and lists of tasks. Looking costs the same with a million tasks.

use std::collections::VecDeque;
use std::rc::Rc;

use super::views::{
    Filter, KindView, Overview, Page, PhaseCounts, SlotView, Span, SpanEnd, TaskView, Totals,
    WorkerView,
};
use super::{Coordinator, WorkerKey};
use crate::store::{Key, Store, StoreError};
use crate::task::{Now, Timestamp};

/// The most tasks in one page.
const MOST_LISTED: usize = 200;
/// The most that is read for one page, in bytes of arguments and results.
const MOST_READ: usize = 1024 * 1024;
/// The most kinds in an overview.
const MOST_KINDS: usize = 100;
/// The most workers in an overview.
const MOST_WORKERS: usize = 500;
/// The most slots of one worker in an overview, and of all together: it must fit into a message.
const MOST_SLOTS: usize = 256;
const MOST_SLOTS_OF_ALL: usize = 4_096;
/// The most kinds of one worker in an overview, and of all together.
const MOST_WORKER_KINDS: usize = 100;
const MOST_KINDS_OF_ALL: usize = 4_096;

/// How much more an overview takes.
struct Left {
    slots: usize,
    kinds: usize,
}

impl<S: Store> Coordinator<S> {
    /// How it is.
    pub fn overview(&mut self, now: Now) -> Overview {
        let index = self.journal.index();
        let changes = index.changes();
        let (tasks, ended) = (index.counts().into(), PhaseCounts::from(changes.ended));
        let kinds = index.kinds().filter(|(_, counts)| counts.sum() > 0);
        let kinds =
            kinds.map(|(kind, counts)| KindView { kind: kind.clone(), tasks: counts.into() });
        let kinds = kinds.take(MOST_KINDS).collect();
        let workers = self.workers.keys().take(MOST_WORKERS);
        let mut left = Left { slots: MOST_SLOTS_OF_ALL, kinds: MOST_KINDS_OF_ALL };
        let workers = workers.filter_map(|key| self.worker_view(key, &mut left)).collect();
        let totals = Totals {
            submitted: changes.submitted,
            assigned: self.meter.assigned,
            succeeded: ended.succeeded,
            failed: ended.failed,
            cancelled: ended.cancelled,
            retried: self.meter.retried,
            lost: self.meter.lost,
        };
        Overview {
            now: now.wall,
            tasks,
            kinds,
            totals,
            per_second: self.meter.per_second(now.elapsed),
            workers,
            worker_count: self.workers.len(),
            is_draining: self.is_draining,
            store_error: None,
        }
    }

    /// At most `limit` tasks, 200 at most, that were submitted before the one with the number `before`: what the page
    /// before this one says. A call looks at a part of all tasks, so that others get a turn.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Filter { state, kind } = filter;
        let limit = limit.clamp(1, MOST_LISTED);
        let index = self.journal.index();
        let found = index.find(*state, kind.as_ref(), before.map(Key), limit);
        let (mut tasks, mut read) = (Vec::with_capacity(found.keys.len()), 0);
        for key in found.keys {
            let Some(record) = self.journal.record(key)? else { continue };
            if kind.as_ref().is_some_and(|kind| *kind != record.spec.kind) {
                continue;
            }
            read += record.spec.args.get().len();
            read += record.result.as_ref().map_or(0, |result| result.get().len());
            tasks.push(TaskView::new(key, &record));
            if read >= MOST_READ {
                return Ok(Page { tasks, next: Some(key.0) });
            }
        }
        Ok(Page { tasks, next: found.before.map(|key| key.0) })
    }

    /// Whether [`spans`](Self::spans) are kept.
    pub fn watch_spans(&mut self, on: bool) {
        self.spans.watch(on);
    }

    /// What has run since the last call while [somebody watched](Self::watch_spans), in the order in which it ended; and
    /// how many more did, of which nothing is kept. Short tasks one after the other are one span.
    pub fn spans(&mut self) -> (VecDeque<Span>, u64) {
        self.spans.take()
    }

    /// Whether no new tasks are taken.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Something has run in a worker's slot.
    pub(super) fn ran(
        &mut self,
        worker: WorkerKey,
        fence: u64,
        place: Option<(usize, Timestamp)>,
        end: SpanEnd,
        now: Now,
    ) {
        if !self.spans.is_watched() {
            return;
        }
        let Some((slot, since)) = place else { return };
        let Some(running) = self.running.get(&fence) else { return };
        let (id, kind) = (running.id.clone(), running.kind.clone());
        let (worker, until) = (worker.0, now.wall);
        self.spans.add(Span { worker, slot, id, kind, since, until, count: 1, end });
    }

    fn worker_view(&self, key: WorkerKey, left: &mut Left) -> Option<WorkerView> {
        let worker = self.workers.get(key)?;
        let most = MOST_SLOTS.min(left.slots);
        let running = worker.slots.held().take(most).filter_map(|(slot, held)| {
            let running = self.running.get(&held.fence)?;
            let (id, kind) = (running.id.clone(), running.kind.clone());
            Some(SlotView { slot, id, kind, since: held.since })
        });
        let running: Vec<_> = running.collect();
        left.slots -= running.len();
        let kinds = match worker.kinds.get(..MOST_WORKER_KINDS.min(left.kinds)) {
            Some(first) if first.len() < worker.kinds.len() => first.into(),
            _ => Rc::clone(&worker.kinds),
        };
        left.kinds -= kinds.len();
        Some(WorkerView {
            key: key.0,
            name: Rc::clone(&worker.name),
            kinds,
            slots: worker.slots.len(),
            capacity: worker.capacity,
            waiting: worker.slots.waiting(),
            running,
        })
    }
}

//! A coordinator seen by a dashboard in the same process.

use std::collections::VecDeque;
use std::future::ready;
use std::rc::Rc;

use wharf::LoopFuture;

use super::CoordinatorServer;
use super::server::{Shared, State};
use crate::coordinator::{Filter, Overview, Page, Span};
use crate::dashboard::{Detail, Future, Source};
use crate::store::{Key, StoreError};
use crate::task::{Now, TaskId};
use crate::wire::{AskOutput, OutputPage};

/// A change of a task.
type Change = fn(&mut State, Key, Now) -> Result<Option<u64>, StoreError>;

impl Source for CoordinatorServer {
    fn overview(&self) -> Overview {
        self.shared.state.borrow_mut().overview(self.shared.now())
    }

    fn list(&self, filter: Filter, before: Option<u64>, limit: usize) -> Future<Page> {
        let state = self.shared.state.borrow();
        Box::pin(ready(state.coordinator.list(&filter, before, limit).map_err(told)))
    }

    fn task(&self, id: TaskId) -> Future<Option<Detail>> {
        let found = self.shared.state.borrow().coordinator.find(&id);
        let detail = found.map(|found| found.map(|(key, record)| Detail::new(key, &record)));
        Box::pin(ready(detail.map_err(told)))
    }

    fn output(&self, ask: AskOutput) -> Future<Option<OutputPage>> {
        let mut state = self.shared.state.borrow_mut();
        let page = match state.coordinator.find(&ask.id) {
            Ok(Some((key, _))) => state.page(key, &ask).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        Box::pin(ready(page.map_err(told)))
    }

    fn cancel(&self, id: TaskId) -> Future<bool> {
        let shared = Rc::clone(&self.shared);
        Box::pin(shared.change(id, |state, key, now| state.coordinator.cancel(key, now)))
    }

    fn retry(&self, id: TaskId) -> Future<bool> {
        let shared = Rc::clone(&self.shared);
        Box::pin(shared.change(id, |state, key, now| state.coordinator.retry(key, now)))
    }

    fn watch_spans(&self, on: bool) {
        self.shared.state.borrow_mut().coordinator.watch_spans(on);
    }

    fn spans(&self) -> (VecDeque<Span>, u64) {
        self.shared.state.borrow_mut().coordinator.spans()
    }
}

impl Shared {
    /// Changes a task, and waits until that is on the disk.
    async fn change(self: Rc<Self>, id: TaskId, change: Change) -> Result<bool, Box<str>> {
        let (has_changed, durable) = self.begin_change(&id, change)?;
        self.settle_soon();
        if let Some(durable) = durable {
            durable.await.map_err(|_| "the coordinator is closed")?;
        }
        Ok(has_changed)
    }

    fn begin_change(
        &self,
        id: &TaskId,
        change: Change,
    ) -> Result<(bool, Option<LoopFuture<()>>), Box<str>> {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        if let Some(error) = &state.commits.failed {
            return Err(error.to_string().into());
        }
        let found = state.coordinator.find(id).map_err(told)?;
        let Some((key, _)) = found else { return Ok((false, None)) };
        let changed = change(&mut state, key, now).map_err(told)?;
        let durable = changed.and_then(|batch| state.durable(&self.event_loop, batch));
        Ok((changed.is_some(), durable))
    }
}

impl State {
    /// How the coordinator and its store are.
    pub(super) fn overview(&mut self, now: Now) -> Overview {
        let mut overview = self.coordinator.overview(now);
        overview.store_error = self.commits.failed.as_ref().map(|error| error.0.clone());
        overview
    }
}

fn told(error: StoreError) -> Box<str> {
    error.to_string().into()
}

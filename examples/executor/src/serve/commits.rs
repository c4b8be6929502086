//! Batches go to the disk, one at a time.

use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, LoopFuture};

use super::server::{PeerKey, Shared, State};
use crate::store::{Batch, DiskWriter, EncodedBatch, StoreError};
use crate::wire::{Answer, FromCoordinator};

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Commits {
    writer: DiskWriter,
    is_writing: bool,
    /// Why nothing can be written now.
    pub(super) failed: Option<StoreError>,
}

impl Commits {
    pub(super) fn new(writer: DiskWriter) -> Self {
        Self { writer, is_writing: false, failed: None }
    }

    /// Who writes the store.
    pub(super) fn writer(&self) -> DiskWriter {
        self.writer.clone()
    }

    /// As a disk that does not answer.
    #[cfg(test)]
    pub(super) fn pretend_to_write(&mut self, on: bool) {
        self.is_writing = on;
    }
}

impl Shared {
    /// Writes what has changed, unless something is being written: then it follows that.
    pub(super) fn commit(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.commits.is_writing || self.broken().is_some() {
            return;
        }
        state.is_taken();
        let Some(batch) = state.coordinator.journal().take_batch() else { return };
        state.commits.is_writing = true;
        drop(state);
        self.write(batch);
    }

    fn write(self: &Rc<Self>, batch: Batch) {
        let writer = self.state.borrow().commits.writer.clone();
        let Some(encoded) = self.check(EncodedBatch::new(&batch)) else { return };
        let written = self.event_loop.run_in_executor(move || writer.commit(&[encoded]));
        let shared = Rc::clone(self);
        self.event_loop
            .create_task(async move {
                let outcome = match written.await {
                    Ok(outcome) => outcome,
                    Err(error) => Err(StoreError(error.to_string().into())),
                };
                shared.written(batch, outcome);
            })
            .detach();
    }

    fn written(self: &Rc<Self>, batch: Batch, outcome: Result<(), StoreError>) {
        let mut state = self.state.borrow_mut();
        if let Err(error) = outcome {
            self.not_written(&mut state, batch, error);
            drop(state);
            self.settle_soon();
            return;
        }
        let has_recovered = state.commits.failed.take().is_some();
        state.commits.is_writing = false;
        state.coordinator.journal().committed(&batch);
        state.is_durable(batch.number);
        state.wake_who_leaves();
        drop(state);
        if has_recovered {
            self.go_on();
        }
        self.commit();
        self.state.borrow_mut().send();
    }

    /// What was held begins.
    fn go_on(self: &Rc<Self>) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        state.coordinator.hold(false);
        let done = state.coordinator.on_time(now);
        drop(state);
        self.check(done);
        self.settle_soon();
    }

    /// Nothing new begins until the batch is written after all.
    fn not_written(self: &Rc<Self>, state: &mut State, batch: Batch, error: StoreError) {
        if state.commits.failed.is_none() {
            self.event_loop.call_exception_handler(&error.to_string(), None);
            state.coordinator.hold(true);
        }
        state.is_not_durable(&error);
        state.is_taken();
        state.commits.failed = Some(error);
        let shared = Rc::clone(self);
        self.event_loop.call_later(RETRY, move || shared.write(batch));
    }
}

impl State {
    /// Says something to somebody once a batch is on the disk.
    pub(super) fn say_later(&mut self, peer: PeerKey, message: FromCoordinator, batch: u64) {
        match self.coordinator.journal().awaited(batch) {
            Some(batch) => self.later.entry(batch).or_default().push((peer, message)),
            None => self.tell(peer, &message),
        }
    }

    /// Completes once a batch is on the disk; `None`: it is.
    pub(super) fn durable(&mut self, event_loop: &EventLoop, batch: u64) -> Option<LoopFuture<()>> {
        let batch = self.coordinator.journal().awaited(batch)?;
        let (promise, future) = event_loop.create_future();
        self.waking.entry(batch).or_default().push(promise);
        Some(future)
    }

    /// All up to this batch is on the disk: who waits for it is told.
    fn is_durable(&mut self, number: u64) {
        let rest = self.later.split_off(&(number + 1));
        for (peer, message) in std::mem::replace(&mut self.later, rest).into_values().flatten() {
            if let FromCoordinator::Kept(fence) = message {
                self.unkept.kept(peer, fence);
            }
            self.tell_or_keep(peer, &message);
        }
        let rest = self.waking.split_off(&(number + 1));
        for promise in std::mem::replace(&mut self.waking, rest).into_values().flatten() {
            // Whoever waited may be gone.
            let _ = promise.set_result(());
        }
        self.tell_of_ends();
        self.output_is_durable(number);
    }

    /// Clients that have asked for a change, and wait for the disk, are told what is known. What workers have reported
    /// waits.
    fn is_not_durable(&mut self, error: &StoreError) {
        let is_change = |message: &FromCoordinator| {
            matches!(
                message,
                FromCoordinator::Answer { answer: Answer::Submitted(_) | Answer::Changed(_), .. }
            )
        };
        let mut told = Vec::new();
        for waiting in self.later.values_mut() {
            told.extend(waiting.extract_if(.., |(_, message)| is_change(message)));
        }
        let text: Box<str> =
            format!("{error}; it may be done when the disk takes it: ask again").into();
        for (peer, message) in told {
            if let FromCoordinator::Answer { number, .. } = message {
                let answer = Answer::Failed(text.clone());
                self.tell(peer, &FromCoordinator::Answer { number, answer });
            }
        }
    }
}

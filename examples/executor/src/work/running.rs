//! Tasks that a worker has.

use std::rc::Rc;
use std::time::Duration;

use wharf::Task;

use super::functions::{Call, Returned};
use super::worker::Shared;
use crate::wire::{Assign, Replied, Reported, ToCoordinator};

/// A task, which ends when this is dropped.
pub(super) struct Running {
    _task: Task<()>,
}

impl Shared {
    /// Runs a task as soon as a slot is free.
    pub(super) fn run(self: &Rc<Self>, assign: Assign) {
        let fence = assign.fence;
        let shared = Rc::clone(self);
        let task = self.event_loop.create_task(async move {
            let outcome = match shared.slots.acquire().await {
                Ok(_slot) => match shared.attempt(assign).await {
                    Ok(result) => Replied::Succeeded(result),
                    Err(error) if error.is_permanent() => {
                        Replied::FailedForGood(error.text().into())
                    }
                    Err(error) => Replied::Failed(error.text().into()),
                },
                Err(_) => Replied::GivenBack,
            };
            shared.report(fence, outcome);
            let ended = shared.running.borrow_mut().remove(&fence);
            drop(ended);
            shared.check_idle();
        });
        self.running.borrow_mut().insert(fence, Running { _task: task });
    }

    async fn attempt(&self, assign: Assign) -> Returned {
        let spec = &assign.spec;
        let Some(function) = self.functions.of(&spec.kind) else {
            return Err(format!("this worker cannot run {}", spec.kind).into());
        };
        let call = Call {
            event_loop: self.event_loop.clone(),
            threads: self.threads.clone(),
            arguments: spec.args.clone(),
            id: assign.id.as_str().into(),
            attempt: assign.attempt,
            deadline: spec
                .timeout
                .and_then(|most| self.event_loop.time().checked_add(Duration::from_millis(most))),
        };
        let running = function(call);
        match spec.timeout {
            None => running.await,
            Some(most) => wharf::timeout(Duration::from_millis(most), running)
                .await
                .unwrap_or_else(|_| Err(format!("it took longer than {most} ms").into())),
        }
    }

    /// The coordinator does not want a task's result any more.
    pub(super) fn stop(&self, fence: u64, is_recorded: bool) {
        let stopped = self.running.borrow_mut().remove(&fence);
        let was_running = stopped.is_some();
        drop(stopped);
        if is_recorded && was_running {
            self.report(fence, Replied::Stopped);
        }
        if !is_recorded {
            self.forget_report(fence);
        }
    }

    /// Tells what came of a task, now and after each new connection, until it is recorded.
    pub(super) fn report(&self, fence: u64, outcome: Replied) {
        self.reports.borrow_mut().insert(fence, outcome.clone());
        self.say(&ToCoordinator::Report(Reported { fence, outcome }));
    }

    /// What came of a task is recorded, or nobody wants to know.
    pub(super) fn forget_report(&self, fence: u64) {
        self.reports.borrow_mut().remove(&fence);
        self.check_idle();
    }

    /// Waits until nothing runs and all that has ended is recorded.
    pub(super) async fn until_idle(&self) {
        if !self.is_idle() {
            let (promise, idle) = self.event_loop.create_future();
            self.idle.borrow_mut().push(promise);
            // An error is the end of the loop.
            let _ = idle.await;
        }
    }

    fn check_idle(&self) {
        if self.is_idle() {
            for promise in self.idle.take() {
                // Who has stopped waiting is no error.
                let _ = promise.set_result(());
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.running.borrow().is_empty() && self.reports.borrow().is_empty()
    }
}

//! Tasks that a worker has.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wharf::{CapacityToken, Promise, Task};

use super::functions::{Call, End, Returned};
use super::occupied::Occupied;
use super::output::{Chunk, TaskOutput};
use super::stop::{StopSignal, Why, beside, race};
use super::unrecorded::MOST_REPORTS;
use super::worker::Runner;
use crate::wire::{Assign, Replied, Reported, ToCoordinator, Written};

/// How often progress is told at most.
const PROGRESS: Duration = Duration::from_millis(200);

/// A task, which ends at once when this is dropped.
pub(super) struct Running {
    _task: Task<()>,
    stop: Rc<StopSignal>,
    /// It has a slot.
    has_begun: Rc<Cell<bool>>,
}

/// What a task has written, which the coordinator has not kept yet.
pub(super) struct Unkept {
    pub(super) written: Written,
    /// Is told whether it is kept.
    kept: Promise<bool>,
}

impl Runner {
    /// Whether a coordinator may give this assignment: it gives none twice, and no more than this worker takes at most. One
    /// that records nothing of what is reported comes to an end, too.
    pub(super) fn check_assignment(&self, fence: u64) -> Result<(), &'static str> {
        let most = self.most_tasks();
        let (running, unrecorded) = (self.running.borrow(), self.reports.len());
        if running.contains_key(&fence) || self.reports.contains(fence) {
            return Err("an assignment that this worker has already");
        }
        if running.len() >= most {
            return Err("more tasks than this worker takes");
        }
        if running.len() + unrecorded >= most.saturating_add(MOST_REPORTS) {
            return Err("more tasks, and nothing of what was reported is recorded");
        }
        Ok(())
    }

    /// Runs a task as soon as a slot is free.
    pub(crate) fn run(self: &Rc<Self>, assign: Assign) {
        let fence = assign.fence;
        let shared = Rc::clone(self);
        let stop = Rc::new(StopSignal::default());
        let signal = Rc::clone(&stop);
        let has_begun = Rc::new(Cell::new(false));
        let own = Rc::clone(&has_begun);
        let task = self.event_loop.create_task(async move {
            let begins = async {
                shared.reports.room().await;
                shared.slots.acquire().await
            };
            let outcome = match race(begins, signal.stopped()).await {
                Ok(Ok(slot)) => {
                    own.set(true);
                    shared.outcome(assign, &signal, slot).await
                }
                Ok(Err(_)) => Replied::GivenBack,
                Err(_) => Replied::Stopped,
            };
            shared.report(fence, outcome);
            let ended = shared.running.borrow_mut().remove(&fence);
            drop(ended);
            shared.check_idle();
        });
        self.running.borrow_mut().insert(fence, Running { _task: task, stop, has_begun });
    }

    /// Runs a task, while what it writes is sent. It has ended when all of that is kept.
    async fn outcome(
        self: &Rc<Self>,
        assign: Assign,
        stop: &Rc<StopSignal>,
        slot: CapacityToken,
    ) -> Replied {
        let output = Arc::new(TaskOutput::default());
        let mut sending = pin!(self.send_output(assign.fence, &output));
        let mut is_sent = false;
        let attempt = self.attempt(assign, stop, &output, slot);
        let outcome = beside(attempt, sending.as_mut(), &mut is_sent).await;
        output.close();
        if !is_sent {
            sending.await;
        }
        outcome
    }

    /// The slot is free when it has ended, or later: see [`End::GoesOn`].
    async fn attempt(
        self: &Rc<Self>,
        assign: Assign,
        stop: &Rc<StopSignal>,
        output: &Arc<TaskOutput>,
        slot: CapacityToken,
    ) -> Replied {
        let spec = &assign.spec;
        let Some(function) = self.functions.of(&spec.kind) else {
            return Replied::Failed(format!("this worker cannot run {}", spec.kind).into());
        };
        let is_stopped = Arc::default();
        let call = Call {
            event_loop: self.event_loop.clone(),
            threads: self.threads.clone(),
            arguments: spec.args.clone(),
            id: assign.id.as_str().into(),
            attempt: assign.attempt,
            deadline: spec
                .timeout
                .and_then(|most| self.event_loop.time().checked_add(Duration::from_millis(most))),
            output: Arc::clone(output),
            stop: Rc::clone(stop),
            is_stopped: Arc::clone(&is_stopped),
        };
        let running = (function.run)(call);
        let mut running = Occupied::new(self, slot, running, is_stopped, function.end);
        match race(&mut running, to_end(stop, spec.timeout)).await {
            Ok(returned) => replied(returned, None),
            Err(why) if function.end == End::Itself => {
                stop.stop(why);
                replied(running.await, Some(why))
            }
            Err(Why::Told) => Replied::Stopped,
            Err(Why::Timeout(most)) => {
                Replied::Failed(format!("it took longer than {most} ms").into())
            }
        }
    }

    /// Sends what a task writes, each part when the one before is kept, until that is closed or nobody wants it.
    async fn send_output(&self, fence: u64, output: &TaskOutput) {
        while let Some(chunk) = output.next().await {
            let Chunk { offset, pieces, progress } = chunk;
            let is_text = !pieces.is_empty();
            if !self.is_kept(Written { fence, offset, pieces, progress }).await {
                output.throw_away();
                return;
            }
            if !is_text {
                let _ = wharf::move_on_after(PROGRESS, output.has_text()).await;
            }
        }
    }

    /// Says what a task has written, on this connection or the next, until it is kept; `false`: nobody wants it.
    async fn is_kept(&self, written: Written) -> bool {
        let (fence, message) = (written.fence, ToCoordinator::Output(written.clone()));
        let (promise, kept) = self.event_loop.create_future();
        self.unkept.borrow_mut().insert(fence, Unkept { written, kept: promise });
        self.say(&message);
        kept.await.unwrap_or(false)
    }

    /// What a task has written is kept, or nobody wants it.
    pub(crate) fn kept(&self, fence: u64, is_kept: bool) {
        let unkept = self.unkept.borrow_mut().remove(&fence);
        if let Some(unkept) = unkept {
            // Whose task is gone is no error.
            let _ = unkept.kept.set_result(is_kept);
        }
    }

    /// The coordinator does not want a task's result any more. One that is another's by now ends at once.
    pub(crate) fn stop(&self, fence: u64, is_recorded: bool) {
        if is_recorded {
            if let Some(running) = self.running.borrow().get(&fence) {
                running.stop.stop(Why::Told);
            }
            return;
        }
        let stopped = self.running.borrow_mut().remove(&fence);
        drop(stopped);
        self.kept(fence, false);
        self.forget_report(fence);
    }

    /// What waits for a slot goes back: there is none.
    pub(super) fn give_back_what_waits(&self) {
        let all: Vec<_> = self.running.borrow().keys().copied().collect();
        for fence in all {
            self.give_back(fence);
        }
    }

    /// A task goes back, unless it has begun or is not there.
    pub(super) fn give_back(&self, fence: u64) {
        let waits = |running: &Running| !running.has_begun.get();
        if !self.running.borrow().get(&fence).is_some_and(waits) {
            return;
        }
        let running = self.running.borrow_mut().remove(&fence);
        drop(running);
        self.report(fence, Replied::GivenBack);
    }

    /// Tells what came of a task, now and after each new connection, until it is recorded.
    pub(super) fn report(&self, fence: u64, outcome: Replied) {
        self.reports.insert(fence, outcome.clone());
        self.say(&ToCoordinator::Report(Reported { fence, outcome }));
    }

    /// What came of a task is recorded, or nobody wants to know.
    pub(crate) fn forget_report(&self, fence: u64) {
        self.reports.remove(fence);
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
        self.running.borrow().is_empty() && self.reports.len() == 0
    }
}

/// Waits until a task is to end.
async fn to_end(stop: &StopSignal, timeout: Option<u64>) -> Why {
    let Some(most) = timeout else { return stop.stopped().await };
    let time = wharf::sleep(Duration::from_millis(most));
    race(stop.stopped(), time).await.unwrap_or(Why::Timeout(most))
}

fn replied(returned: Returned, why: Option<Why>) -> Replied {
    match returned {
        Ok(result) => Replied::Succeeded(result),
        Err(_) if why == Some(Why::Told) => Replied::Stopped,
        Err(error) if error.is_permanent() => Replied::FailedForGood(error.text().into()),
        Err(error) => Replied::Failed(error.text().into()),
    }
}

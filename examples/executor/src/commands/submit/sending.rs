//! Tasks go to the coordinator, and results come back in any order.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;

use serde_json::json;
use wharf::{CapacityLimiter, EventLoop, Executor, Result, TaskGroup, task_group};

use super::lines::Lines;
use crate::client::{Client, ClientError, SubmittedTask};
use crate::commands::ended;
use crate::commands::exit::{CommandError, Exit};
use crate::commands::output::Output;
use crate::commands::progress::ProgressBar;
use crate::task::{Outcome, Spec};

/// How many tasks are waited for at once, so that a file of any length needs little memory: the next is submitted when one
/// of them has ended.
const MOST_WAITED: usize = 10_000;

/// Submits tasks, and tells what comes of them.
pub(super) struct Sending {
    client: Client,
    waits: bool,
    output: Output,
    turns: CapacityLimiter,
    /// Nobody waits for its thread, which may read from a pipe that says nothing.
    reader: Executor,
    progress: RefCell<ProgressBar>,
    submitted: Cell<usize>,
    ended: Cell<usize>,
    failed: Cell<usize>,
    refused: Cell<usize>,
}

impl Sending {
    pub(super) fn new(event_loop: &EventLoop, client: Client, waits: bool, output: Output) -> Self {
        Self {
            client,
            waits,
            output,
            turns: CapacityLimiter::new(event_loop, MOST_WAITED),
            reader: Executor::new(1),
            progress: RefCell::new(ProgressBar::new("tasks")),
            submitted: Cell::new(0),
            ended: Cell::new(0),
            failed: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    pub(super) async fn one(self: &Rc<Self>, spec: Spec) -> Result {
        match self.client.submit_spec(spec).await {
            Ok(task) => {
                add(&self.submitted);
                if self.waits { self.wait(task).await } else { self.print_id(&task) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All of them, up to a line that is wrong. What was submitted before that is waited for.
    pub(super) async fn file(self: &Rc<Self>, lines: Lines, event_loop: &EventLoop) -> Result {
        let own = Rc::clone(self);
        let event_loop = event_loop.clone();
        let error = task_group(async move |group| own.lines(lines, &event_loop, &group).await);
        match error.await? {
            Some(error) => Err(CommandError::new(Exit::Usage, error).into()),
            None => Ok(()),
        }
    }

    async fn lines(
        self: Rc<Self>,
        mut lines: Lines,
        event_loop: &EventLoop,
        group: &TaskGroup<Option<String>>,
    ) -> Result<Option<String>> {
        loop {
            let (rest, chunk) = lines.next(event_loop, &self.reader).await?;
            lines = rest;
            let is_end = chunk.tasks.is_empty();
            let (numbers, specs): (Vec<_>, Vec<_>) = chunk.tasks.into_iter().unzip();
            if !is_end {
                let outcomes = self.client.submit_all(specs).await?;
                for (number, outcome) in numbers.into_iter().zip(outcomes) {
                    self.submitted(number, outcome, group).await?;
                }
            }
            if is_end || chunk.error.is_some() {
                return Ok(chunk.error);
            }
        }
    }

    async fn submitted(
        self: &Rc<Self>,
        number: usize,
        outcome: Result<SubmittedTask, ClientError>,
        group: &TaskGroup<Option<String>>,
    ) -> Result {
        match outcome {
            Ok(task) if self.waits => {
                add(&self.submitted);
                let turn = self.turns.acquire().await?;
                let own = Rc::clone(self);
                group.spawn(async move {
                    let _turn = turn;
                    own.wait(task).await
                });
                Ok(())
            }
            Ok(task) => {
                add(&self.submitted);
                self.print_id(&task)
            }
            Err(error) => {
                add(&self.refused);
                self.progress.borrow_mut().clear();
                let exit = Exit::of_client(&error);
                exit.tell(&format!("line {number}: {error}"), self.output.json);
                Ok(())
            }
        }
    }

    fn print_id(&self, task: &SubmittedTask) -> Result {
        self.output.print(&json!({"id": task.id()}), task.id())
    }

    async fn wait(&self, task: SubmittedTask) -> Result {
        self.show();
        let ended = task.outcome().await?;
        add(&self.ended);
        if ended.outcome != Some(Outcome::Succeeded) {
            add(&self.failed);
        }
        self.progress.borrow_mut().clear();
        ended::print(&ended, self.output)?;
        self.show();
        Ok(())
    }

    fn show(&self) {
        let (ended, submitted) = (self.ended.get(), self.submitted.get());
        self.progress.borrow_mut().show(ended, submitted, self.failed.get());
    }

    /// Of all tasks.
    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.refused.get(), self.failed.get()) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => Exit::TaskFailed.into(),
            _ => Exit::Refused.into(),
        }
    }

    /// What to say on SIGINT.
    pub(super) fn interrupted(&self) -> CommandError {
        self.progress.borrow_mut().clear();
        let (ended, submitted) = (self.ended.get(), self.submitted.get());
        let text = if self.waits {
            let left = submitted - ended;
            format!(
                "interrupted: {left} of {submitted} tasks have not ended, and go on: \
                 `result ID` waits for one, `cancel ID` ends it"
            )
        } else {
            format!("interrupted: {submitted} tasks were submitted, and go on")
        };
        CommandError::new(Exit::Interrupted, text)
    }
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

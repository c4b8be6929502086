//! What a worker can do.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use wharf::{EventLoop, Executor};

use super::Failure;
use super::output::TaskOutput;
use super::stop::StopSignal;
use crate::Function;
use crate::task::{InvalidName, Kind, Progress, check_result};

/// Functions by the kind of the tasks that they run.
#[derive(Clone, Default)]
pub struct Functions(BTreeMap<Kind, Runner>);

/// What is known about a task besides its arguments.
#[derive(Clone, Debug)]
pub struct Job {
    id: Box<str>,
    attempt: u32,
    deadline: Option<Instant>,
    is_stopped: Arc<AtomicBool>,
    output: Arc<TaskOutput>,
}

/// A result as JSON, or an error.
pub(super) type Returned = Result<Box<RawValue>, Failure>;

/// A task that runs.
pub(super) type Running = Pin<Box<dyn Future<Output = Returned>>>;

/// What runs tasks of a kind.
#[derive(Clone)]
pub(super) struct Runner {
    /// Runs a task with its arguments.
    pub(super) run: Rc<dyn Fn(Call) -> Running>,
    /// What a task does when it is to end.
    pub(super) end: End,
}

/// What a task does when it is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is dropped where it waits.
    Dropped,
    /// It is told, and goes on for as long as it likes, on the thread of its slot; nobody waits for what it returns.
    GoesOn,
    /// It is told, ends in its own time, and what it returns counts.
    Itself,
}

/// A task that is to be run.
pub(super) struct Call {
    pub(super) event_loop: EventLoop,
    pub(super) threads: Executor,
    pub(super) arguments: Box<RawValue>,
    pub(super) id: Box<str>,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Instant>,
    pub(super) output: Arc<TaskOutput>,
    pub(super) stop: Rc<StopSignal>,
    /// Nobody wants what it returns any more.
    pub(super) is_stopped: Arc<AtomicBool>,
}

impl Functions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks of `kind` are run by `function`, on a thread of the slot: it may block and compute. It replaces a former one.
    ///
    /// A task whose arguments do not fit has failed. One whose function returns an `Err` or panics is tried again, unless
    /// it is [`Failure::permanent`]. A task that is cancelled or takes too
    /// long cannot be stopped from outside: a function that takes long asks [`Job::is_cancelled`] from time to time. Its slot is
    /// free when it has returned, and not before.
    ///
    /// # Errors
    /// `kind` is no name.
    pub fn add<A, R, E>(
        &mut self,
        kind: &str,
        function: impl Fn(A, &Job) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<&mut Self, InvalidName>
    where
        A: DeserializeOwned,
        R: Serialize,
        E: Into<Failure>,
    {
        let function = Arc::new(function);
        let run = move |call: Call| {
            let function = Arc::clone(&function);
            let Call { event_loop, threads, arguments, id, attempt, .. } = call;
            let (deadline, output, is_stopped) = (call.deadline, call.output, call.is_stopped);
            let work = event_loop.create_job(move |_| {
                let job = Job { id, attempt, deadline, is_stopped, output };
                let arguments = parsed(&arguments)?;
                returned(function(arguments, &job))
            });
            let work = work.executor(&threads).start();
            let running: Running = Box::pin(async move {
                match work.await {
                    Ok(returned) => returned,
                    Err(error) => Err(error.to_string().into()),
                }
            });
            running
        };
        self.insert(kind, Runner { run: Rc::new(run), end: End::GoesOn })
    }

    /// Tasks of `kind` are run by an async function on the loop: for what waits. It replaces a former one.
    ///
    /// A task that is cancelled or takes too long is dropped where it waits.
    ///
    /// # Errors
    /// `kind` is no name.
    pub fn add_async<A, R, E>(
        &mut self,
        kind: &str,
        function: impl AsyncFn(A, Job) -> Result<R, E> + 'static,
    ) -> Result<&mut Self, InvalidName>
    where
        A: DeserializeOwned + 'static,
        R: Serialize,
        E: Into<Failure>,
    {
        let function = Rc::new(function);
        let run = move |call: Call| {
            let function = Rc::clone(&function);
            let running: Running = Box::pin(Contained::new(Box::pin(async move {
                let Call { arguments, id, attempt, deadline, output, is_stopped, .. } = call;
                let job = Job { id, attempt, deadline, is_stopped, output };
                let arguments = parsed(&arguments)?;
                returned(function(arguments, job).await)
            })));
            running
        };
        self.insert(kind, Runner { run: Rc::new(run), end: End::Dropped })
    }

    /// Tasks of a [`Function`] are run as by [`add`](Self::add).
    pub fn define<A, R, E>(
        &mut self,
        function: &Function<A, R>,
        runs: impl Fn(A, &Job) -> Result<R, E> + Send + Sync + 'static,
    ) -> &mut Self
    where
        A: DeserializeOwned,
        R: Serialize,
        E: Into<Failure>,
    {
        match self.add(function.name(), runs) {
            Ok(functions) => functions,
            Err(_) => unreachable!("{function:?} has a name"),
        }
    }

    /// Tasks of a [`Function`] are run as by [`add_async`](Self::add_async).
    pub fn define_async<A, R, E>(
        &mut self,
        function: &Function<A, R>,
        runs: impl AsyncFn(A, Job) -> Result<R, E> + 'static,
    ) -> &mut Self
    where
        A: DeserializeOwned + 'static,
        R: Serialize,
        E: Into<Failure>,
    {
        match self.add_async(function.name(), runs) {
            Ok(functions) => functions,
            Err(_) => unreachable!("{function:?} has a name"),
        }
    }

    /// The kinds of tasks that can be run.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.0.keys()
    }

    pub(super) fn of(&self, kind: &Kind) -> Option<&Runner> {
        self.0.get(kind)
    }

    pub(super) fn insert(
        &mut self,
        kind: &str,
        function: Runner,
    ) -> Result<&mut Self, InvalidName> {
        self.0.insert(Kind::new(kind)?, function);
        Ok(self)
    }
}

impl Job {
    /// The task's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How often the task was given to a worker, this time included. A task may run more than once: an attempt above 1
    /// may find traces of a former one.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When this attempt must have ended, by the clock of the worker's loop; `None`: it may take as long as it wants.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes a text to the task's output, for those who follow it or look at it later. `write!` and `writeln!` work on a
    /// job, too.
    ///
    /// It returns at once. A function that writes faster than the coordinator keeps loses the oldest of what is not sent
    /// when that is more than half a MiB; after 16 MiB only the end is kept, which is sent when the task has ended. The
    /// coordinator keeps 256 KiB of each task, if nobody said otherwise: its beginning and its end.
    pub fn write(&self, text: &str) {
        self.output.write(false, text);
    }

    /// As [`write`](Self::write), for errors and warnings.
    pub fn write_error(&self, text: &str) {
        self.output.write(true, text);
    }

    /// What `write!` calls.
    pub fn write_fmt(&self, arguments: fmt::Arguments<'_>) {
        match arguments.as_str() {
            Some(text) => self.write(text),
            None => self.write(&arguments.to_string()),
        }
    }

    /// Says how far the task is. It may be said as often as one likes: the last counts, and is sent a few times in a
    /// second at most.
    pub fn progress(&self, done: u64, of: impl Into<Option<u64>>) {
        self.output.set_progress(Progress { done, of: of.into() });
    }

    /// Whether nobody wants the result any more.
    pub fn is_cancelled(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.kinds()).finish()
    }
}

/// A task of somebody else's code on the loop. A panic is an error of the task, also one of what is dropped when it is to
/// end before its time: it must not end what reports that.
struct Contained(Option<Running>);

impl Contained {
    fn new(running: Running) -> Self {
        Self(Some(running))
    }

    fn end(&mut self) -> Result<(), Failure> {
        let running = self.0.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(running)));
        dropped.map_err(|panic| panic_text(&*panic).into())
    }
}

impl Future for Contained {
    type Output = Returned;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Returned> {
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let poll = AssertUnwindSafe(|| running.as_mut().poll(context));
        let outcome = match catch_unwind(poll) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => Err(panic_text(&*panic).into()),
        };
        let dropped = self.end();
        Poll::Ready(outcome.and_then(|result| dropped.map(|()| result)))
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // It was told to end: what becomes of it does not matter any more.
        let _ = self.end();
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("no text"))
}

/// It is the same text each time: arguments that do not fit never will.
pub(super) fn parsed<A: DeserializeOwned>(arguments: &RawValue) -> Result<A, Failure> {
    serde_json::from_str(arguments.get())
        .map_err(|error| Failure::permanent(format_args!("its arguments do not fit: {error}")))
}

pub(super) fn returned<R: Serialize, E: Into<Failure>>(outcome: Result<R, E>) -> Returned {
    let result = to_raw_value(&outcome.map_err(E::into)?)
        .map_err(|error| Failure::permanent(format_args!("its result is no JSON: {error}")))?;
    check_result(&result)?;
    Ok(result)
}

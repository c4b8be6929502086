//! What a worker can do.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use wharf::{CancelFlag, EventLoop, Executor};

use crate::task::{InvalidName, Kind, check_result};

/// Functions by the kind of the tasks that they run.
#[derive(Clone, Default)]
pub struct Functions(BTreeMap<Kind, Function>);

/// What is known about a task besides its arguments.
#[derive(Clone, Debug)]
pub struct Job {
    id: Box<str>,
    attempt: u32,
    cancelled: CancelFlag,
}

/// A result as JSON, or the text of an error.
pub(super) type Returned = Result<Box<RawValue>, Box<str>>;

/// Runs a task with its arguments.
pub(super) type Function = Rc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Returned>>>>;

/// A task that is to be run.
pub(super) struct Call {
    pub(super) event_loop: EventLoop,
    pub(super) threads: Executor,
    pub(super) arguments: Box<RawValue>,
    pub(super) id: Box<str>,
    pub(super) attempt: u32,
}

impl Functions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks of `kind` are run by `function`, on a thread of the slot: it may block and compute. It replaces a former one.
    ///
    /// Arguments that do not fit make the task fail, as an `Err` and a panic do. A task that is cancelled or takes too
    /// long cannot be stopped from outside: a function that takes long asks [`Job::is_cancelled`] from time to time.
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
        E: Display,
    {
        let function = Arc::new(function);
        let run = move |call: Call| {
            let function = Arc::clone(&function);
            let Call { event_loop, threads, arguments, id, attempt } = call;
            let work = event_loop.create_job(move |cancelled| {
                let job = Job { id, attempt, cancelled: cancelled.clone() };
                let arguments = parsed(&arguments)?;
                returned(function(arguments, &job))
            });
            let work = work.executor(&threads).start();
            let running: Pin<Box<dyn Future<Output = Returned>>> = Box::pin(async move {
                match work.await {
                    Ok(returned) => returned,
                    Err(error) => Err(error.to_string().into()),
                }
            });
            running
        };
        self.insert(kind, Rc::new(run))
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
        E: Display,
    {
        let function = Rc::new(function);
        let run = move |call: Call| {
            let function = Rc::clone(&function);
            let running: Pin<Box<dyn Future<Output = Returned>>> = Box::pin(async move {
                let Call { arguments, id, attempt, .. } = call;
                let job = Job { id, attempt, cancelled: CancelFlag::default() };
                let arguments = parsed(&arguments)?;
                returned(function(arguments, job).await)
            });
            running
        };
        self.insert(kind, Rc::new(run))
    }

    /// The kinds of tasks that can be run.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.0.keys()
    }

    pub(super) fn of(&self, kind: &Kind) -> Option<&Function> {
        self.0.get(kind)
    }

    fn insert(&mut self, kind: &str, function: Function) -> Result<&mut Self, InvalidName> {
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

    /// Whether nobody wants the result any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.kinds()).finish()
    }
}

fn parsed<A: DeserializeOwned>(arguments: &RawValue) -> Result<A, Box<str>> {
    serde_json::from_str(arguments.get())
        .map_err(|error| format!("its arguments do not fit: {error}").into())
}

fn returned<R: Serialize, E: Display>(outcome: Result<R, E>) -> Returned {
    match outcome {
        Ok(result) => {
            let result =
                to_raw_value(&result).map_err(|error| format!("its result is no JSON: {error}"))?;
            check_result(&result)?;
            Ok(result)
        }
        Err(error) => Err(error.to_string().into()),
    }
}

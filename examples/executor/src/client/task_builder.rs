use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use super::error::ClientError;
use super::handle::Shared;
use super::results::{Subscription, result_of};
use super::tasks::{SubmittedTask, TypedTask};
use crate::Function;
use crate::task::{Backoff, Input, InvalidName, Kind, Spec, TaskId, milliseconds};

/// A task that is to be submitted, and its options. Nothing happens before it is submitted or awaited.
///
/// `T` is what a submit returns: a [`SubmittedTask`], or a [`TypedTask`] of a [`Function`]. The latter can be awaited
/// itself: it is submitted, and its result comes.
#[must_use = "nothing is submitted yet"]
pub struct TaskBuilder<T> {
    shared: Rc<Shared>,
    options: Options,
    returns: PhantomData<fn() -> T>,
}

/// Options of a task, or the first that is wrong.
#[derive(Clone)]
pub(super) struct Options(pub(super) Result<Spec, ClientError>);

/// The options that every builder has.
macro_rules! options {
    ($($field:ident).+) => {
        /// Who goes first: 0 to 9, 9 first, 5 by default. A level is worth a minute of waiting.
        pub fn priority(self, level: u8) -> Self {
            self.option(|spec| {
                spec.priority = level.try_into()?;
                Ok(())
            })
        }

        /// Not before so long after it was taken, by the coordinator's clock.
        pub fn delay(self, wait: std::time::Duration) -> Self {
            self.option(|spec| {
                spec.delay = Some(crate::task::milliseconds(wait));
                Ok(())
            })
        }

        /// Not before then.
        pub fn at(self, time: std::time::SystemTime) -> Self {
            self.option(|spec| {
                spec.at = Some(crate::task::Timestamp::from_system_time(time));
                Ok(())
            })
        }

        /// It must have ended until then, all attempts included: else it has failed.
        pub fn deadline(self, time: std::time::SystemTime) -> Self {
            self.option(|spec| {
                spec.deadline = Some(crate::task::Timestamp::from_system_time(time));
                Ok(())
            })
        }

        /// How often it is tried again after it has failed; 3 by default, 1,000 at most.
        pub fn retries(self, retries: u32) -> Self {
            self.option(|spec| {
                spec.retries = retries;
                Ok(())
            })
        }

        /// How long it waits before it is tried again: twice as long each time, with jitter.
        pub fn backoff(self, initial: std::time::Duration, longest: std::time::Duration) -> Self {
            self.option(|spec| {
                spec.backoff = super::task_builder::backoff(initial, longest);
                Ok(())
            })
        }

        /// How long one attempt may take; as long as it wants by default.
        pub fn timeout(self, most: std::time::Duration) -> Self {
            self.option(|spec| {
                spec.timeout = Some(crate::task::milliseconds(most));
                Ok(())
            })
        }

        /// How long what became of it is kept once it has ended; one day by default.
        pub fn keep(self, time: std::time::Duration) -> Self {
            self.option(|spec| {
                spec.keep = crate::task::milliseconds(time);
                Ok(())
            })
        }

        fn option(
            mut self,
            set: impl FnOnce(&mut crate::task::Spec) -> Result<(), &'static str>,
        ) -> Self {
            self.$($field).+.set(set);
            self
        }
    };
}
pub(super) use options;

impl<T> TaskBuilder<T> {
    pub(super) fn new(shared: &Rc<Shared>, options: Options) -> Self {
        Self { shared: Rc::clone(shared), options, returns: PhantomData }
    }

    options!(options);

    /// Which task this is: a second one with the same id is the same task. Letters, digits, `.`, `_`, `:`, `-`; at most 64
    /// bytes. Made up by default.
    pub fn unique_id(self, id: &str) -> Self {
        self.option(|spec| {
            spec.id = Some(TaskId::new(id).map_err(|_| InvalidName::TEXT)?);
            Ok(())
        })
    }

    /// These must have succeeded before. If one does not, this one is not run: see [`ClientError::NotRun`].
    pub fn after(self, tasks: &[SubmittedTask]) -> Self {
        self.option(|spec| {
            spec.after.extend(tasks.iter().map(|task| task.id().clone()));
            Ok(())
        })
    }
}

impl<T: From<SubmittedTask>> TaskBuilder<T> {
    /// Submits it. It is on the coordinator's disk when this completes. Dropping this before leaves open whether it was
    /// submitted.
    ///
    /// # Errors
    /// An option or the arguments are not valid, the coordinator refuses, or the client is closed or gives up.
    pub async fn submit(self) -> Result<T, ClientError> {
        SubmittedTask::submit(&self.shared, self.options.0?).await.map(T::from)
    }
}

impl<R: DeserializeOwned + 'static> IntoFuture for TaskBuilder<TypedTask<R>> {
    type Output = Result<R, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    /// Submits it and waits for its result, with one request. Dropping this leaves the task alone.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let subscription = Subscription::new(&self.shared);
            subscription.run(vec![(0, self.options.0?)]);
            match subscription.next().await {
                Some((_, delivery)) => result_of(delivery),
                None => Err(ClientError::Closed),
            }
        })
    }
}

impl Options {
    pub(super) fn of_kind(kind: &str, arguments: &impl Serialize) -> Self {
        let spec = || {
            let kind =
                Kind::new(kind).map_err(|_| ClientError::Refused(InvalidName::TEXT.into()))?;
            Ok(Spec::new(kind, to_raw_value(arguments)?))
        };
        Self(spec())
    }

    pub(super) fn of<A, R>(function: &Function<A, R>, arguments: &impl Serialize) -> Self {
        Self::of_kind(function.name(), arguments)
    }

    /// A task that gets what others return.
    pub(super) fn input(mut self, input: Input, after: Vec<TaskId>) -> Self {
        self.set(|spec| {
            (spec.input, spec.after) = (Some(input), after);
            Ok(())
        });
        self
    }

    pub(super) fn set(&mut self, set: impl FnOnce(&mut Spec) -> Result<(), &'static str>) {
        if let Ok(spec) = &mut self.0
            && let Err(why) = set(spec)
        {
            self.0 = Err(ClientError::Refused(why.into()));
        }
    }

    /// The same with other arguments.
    pub(super) fn with(&self, arguments: &impl Serialize) -> Result<Spec, ClientError> {
        let mut spec = self.0.clone()?;
        spec.args = to_raw_value(arguments)?;
        Ok(spec)
    }
}

impl<T> fmt::Debug for TaskBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("TaskBuilder").field(&self.options.0).finish()
    }
}

pub(super) fn backoff(initial: std::time::Duration, longest: std::time::Duration) -> Backoff {
    Backoff { initial: milliseconds(initial), longest: milliseconds(longest) }
}

//! What becomes of a task's output.

use std::any::Any;
use std::panic::Location;

use super::detached::take_error;
use super::table::Rare;
use crate::error::Error;
use crate::event_loop::Core;

/// Who wants a task's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It has a [`Task`](crate::Task), or it is an operation of the engine.
    Held,
    /// Nobody, but it is to go on, and its error is reported.
    Detached,
    /// Nobody: it is cancelled.
    Dropped,
}

/// What is left of a task's record when it is finished.
pub(super) struct Finished {
    pub(super) wanted: Wanted,
    place: &'static Location<'static>,
    rare: Option<Box<Rare>>,
}

impl Finished {
    pub(super) fn new(
        wanted: Wanted,
        place: &'static Location<'static>,
        rare: Option<Box<Rare>>,
    ) -> Self {
        Self { wanted, place, rare }
    }

    /// Whether the outcome goes to who holds the task, as nearly always.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.wanted == Wanted::Held && self.rare.is_none()
    }

    /// The `Promise` of the output, if somebody has added a done callback.
    pub(super) fn take_promise(&mut self) -> Option<Box<dyn Any>> {
        self.rare.as_mut()?.promise.take()
    }

    /// The outcome of a task that nobody waits for.
    pub(super) fn abandon<T: 'static>(self, core: &Core, outcome: Result<T, Error>) {
        match outcome {
            Err(error) if error.is_cancelled() => {}
            Err(error) => core.report_unretrieved(&self.failure(), error),
            Ok(value) if self.wanted == Wanted::Detached => {
                let mut value = Some(value);
                if let Some(error) = take_error(&mut value) {
                    core.report_unretrieved(&self.failure(), error);
                }
                core.drop_user(value, "result");
            }
            Ok(value) => core.discard_user(value, "result"),
        }
    }

    #[cold]
    fn failure(&self) -> String {
        let kind = if self.wanted == Wanted::Detached { "detached " } else { "" };
        let place = self.place;
        match self.rare.as_ref().and_then(|rare| rare.name.as_ref()) {
            Some(name) => format!("the {kind}task `{name}` ({place}) failed"),
            None => format!("a {kind}task ({place}) failed"),
        }
    }
}

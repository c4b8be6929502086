//! The body of a group or a scope, and what comes out of it in the end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::child::discard_value;
use crate::error::{Error, Failure, Kind};
use crate::event_loop::Core;
use crate::fence::Panic;

/// Whether tasks can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Body and tasks are being dropped.
    Ending,
    Over,
}

/// What has come out of a group or a scope so far.
pub(super) struct Outcome<T> {
    /// In the order in which they came.
    errors: RefCell<Vec<Error>>,
    /// The body's.
    panic: Cell<Option<Panic>>,
    /// What `finish` was called with.
    finished: Cell<Option<T>>,
    /// What the body returned.
    returned: Cell<Option<T>>,
}

impl<T> Outcome<T> {
    pub(super) fn note_error(&self, error: Error) {
        self.errors.borrow_mut().push(error);
    }

    pub(super) fn note_finished(&self, value: T) {
        self.finished.set(Some(value));
    }

    /// One step of the body, which is dropped when it has ended. Returns whether it has failed, so that the tasks
    /// have to end.
    pub(super) fn step_body<F>(
        &self,
        core: &Core,
        mut body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> bool
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let Some(steps) = body.as_mut().as_pin_mut() else { return false };
        let has_failed = match core.run_inside(|| steps.poll(context)) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(Ok(value))) => {
                self.returned.set(Some(value));
                false
            }
            Ok(Poll::Ready(Err(failure))) => {
                self.note_error(failure.into());
                true
            }
            Err(panic) => {
                self.panic.set(Some(panic));
                true
            }
        };
        drop_body(core, body);
        has_failed
    }

    /// The result, or the body's panic. What is noted later is [abandoned](Self::abandon).
    pub(super) fn conclude(&self, core: &Core) -> Result<T, Error> {
        let (errors, panic) = (self.errors.take(), self.panic.take());
        let (finished, returned) = (self.finished.take(), self.returned.take());
        if panic.is_some() || !errors.is_empty() {
            discard_value(core, (finished, returned));
            if let Some(panic) = panic {
                report(core, errors);
                panic.resume();
            }
            return Err(Error::group(errors));
        }
        match (finished, returned) {
            (Some(value), unwanted) => {
                discard_value(core, unwanted);
                Ok(value)
            }
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::bare(Kind::Cancelled)),
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn abandon(&self, core: &Core) {
        discard_value(core, (self.finished.take(), self.returned.take()));
        let panic = self.panic.take().map(Panic::into_error);
        report(core, self.errors.take().into_iter().chain(panic));
    }
}

impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self {
            errors: RefCell::default(),
            panic: Cell::new(None),
            finished: Cell::new(None),
            returned: Cell::new(None),
        }
    }
}

pub(super) fn drop_body<F>(core: &Core, mut body: Pin<&mut Option<F>>) {
    core.run_caught("dropping the body of a task group failed", || body.set(None));
}

/// Reports errors that nobody will be told of otherwise.
fn report(core: &Core, errors: impl IntoIterator<Item = Error>) {
    for error in errors {
        core.report_when_free("an error of a task group was never retrieved", error, None);
    }
}

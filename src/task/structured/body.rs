//! The body of a group or a scope, and what comes out of it in the end.

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

/// How a body ended.
pub(super) enum BodyEnd<T> {
    Returned(T),
    Failed(Error),
    Panicked(Panic),
}

/// One step of the body. It is dropped when it has ended.
pub(super) fn step<F, T>(
    core: &Core,
    mut body: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Option<BodyEnd<T>>
where
    F: Future<Output = Result<T, Failure>>,
{
    let steps = body.as_mut().as_pin_mut()?;
    let end = match core.run_inside(|| steps.poll(context)) {
        Ok(Poll::Pending) => return None,
        Ok(Poll::Ready(Ok(value))) => BodyEnd::Returned(value),
        Ok(Poll::Ready(Err(failure))) => BodyEnd::Failed(failure.into()),
        Err(panic) => BodyEnd::Panicked(panic),
    };
    drop_body(core, body);
    Some(end)
}

pub(super) fn drop_body<F>(core: &Core, mut body: Pin<&mut Option<F>>) {
    core.run_caught("dropping the body of a task group failed", || body.set(None));
}

/// What a group has come to.
pub(super) struct Outcome<T> {
    /// In the order in which they came.
    pub(super) errors: Vec<Error>,
    /// The body's.
    pub(super) panic: Option<Panic>,
    /// What `finish` was called with.
    pub(super) finished: Option<T>,
    /// What the body returned.
    pub(super) returned: Option<T>,
}

impl<T> Outcome<T> {
    /// The result, or the body's panic.
    pub(super) fn conclude(self, core: &Core) -> Result<T, Error> {
        let Self { errors, panic, finished, returned } = self;
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
    pub(super) fn abandon(self, core: &Core) {
        discard_value(core, (self.finished, self.returned));
        let panic = self.panic.map(Panic::into_error);
        report(core, self.errors.into_iter().chain(panic));
    }
}

/// Reports errors that nobody will be told of otherwise.
fn report(core: &Core, errors: impl IntoIterator<Item = Error>) {
    for error in errors {
        core.report_when_free("an error of a task group was never retrieved", error, None);
    }
}

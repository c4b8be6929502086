//! What a loop adds to the [fence](crate::fence): it reports what fails behind it, and drops users'
//! values one after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::core::{Core, State};
use super::entries::{Ready, discard};
use super::exceptions::Exception;
use super::ready::Callback;
use crate::driver::TransportId;
use crate::error::Error;
use crate::fence::{Panic, run};

thread_local! {
    static UNFENCED: Cell<u64> = const { Cell::new(0) };
}

/// How many panics have passed through ticks of this thread's loops: none should.
pub(crate) fn unfenced_panics() -> u64 {
    UNFENCED.get()
}

/// What waits to be dropped or called, and how a report of its failure begins.
type Waiting = (Box<dyn FnOnce()>, String);

/// What a loop knows of the foreign code that runs in it.
#[derive(Default)]
pub(crate) struct Fence {
    /// One of the user's closures, tasks or `Drop`s runs. Protocols have [`Core::gathering`].
    inside: Cell<bool>,
    dropping: Cell<Dropping>,
    /// The loop is closed for good: no exception handler is kept any more, since it may hold the loop.
    pub(super) keeps_no_handler: Cell<bool>,
    /// The exception handler runs: what it does wrong itself goes to the default one, at once.
    handling: Cell<bool>,
    dropped: RefCell<VecDeque<Waiting>>,
}

/// Whether a `Drop` runs. Those that it leads to wait in `dropped`, so that chains need no stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Dropping {
    #[default]
    Nothing,
    One,
    OthersWait,
}

impl Core {
    /// Whether foreign code runs now, as far as the loop has called it.
    pub(crate) fn is_in_callback(&self) -> bool {
        self.fence.inside.get() || self.is_in_protocol()
    }

    /// Whether a `Drop` or a cancel action of the user's runs, behind which others wait.
    pub(crate) fn is_dropping(&self) -> bool {
        self.fence.dropping.get() != Dropping::Nothing
    }

    /// As [`run`], for everything but protocols' callbacks: what is reported meanwhile waits.
    #[inline]
    pub(crate) fn run_inside<R>(&self, action: impl FnOnce() -> R) -> Result<R, Panic> {
        let former = self.fence.inside.replace(true);
        let outcome = run(action);
        self.fence.inside.set(former);
        outcome
    }

    /// Runs a user's closure; a panic of it is reported and goes no further.
    pub(crate) fn run_caught(&self, what: &str, action: impl FnOnce()) {
        if let Err(panic) = self.run_inside(action) {
            self.report_when_free(what, panic.into_error(), None);
        }
    }

    /// Drops what is the user's; a panic of its `Drop` is reported and goes no further.
    ///
    /// Inside another `Drop` it is dropped when that is done: a chain of any length needs no stack.
    #[inline]
    pub(crate) fn drop_user<T: 'static>(&self, value: T, what: &str) {
        if std::mem::needs_drop::<T>() {
            self.run_flat(move || drop(value), what, drop_failed);
        }
    }

    /// As [`drop_user`](Self::drop_user), for what nobody took of a result: it closes what it leads to.
    pub(crate) fn discard_user<T: 'static>(&self, value: T, what: &str) {
        if std::mem::needs_drop::<T>() {
            self.run_flat(move || discard(value), what, drop_failed);
        }
    }

    /// Calls a user's closure from the middle of something: in the next round if a callback runs, else
    /// now.
    pub(crate) fn call_when_free(&self, action: Box<dyn FnOnce()>, failure: &'static str) {
        if self.is_in_callback() && self.state.get() != State::Closed {
            self.push_ready(Ready::Callback(Rc::new(Later {
                action: Cell::new(Some(action)),
                failure,
            })));
        } else {
            self.run_flat(action, failure, str::to_owned);
        }
    }

    /// `failure` makes the beginning of a report from `what`.
    #[inline]
    fn run_flat(&self, work: impl FnOnce() + 'static, what: &str, failure: fn(&str) -> String) {
        if self.fence.dropping.get() != Dropping::Nothing {
            return self.run_after_this(Box::new(work), failure(what));
        }
        self.fence.dropping.set(Dropping::One);
        if let Err(panic) = self.run_inside(work) {
            self.report_when_free(&failure(what), panic.into_error(), None);
        }
        if self.fence.dropping.get() == Dropping::OthersWait {
            self.run_others();
        }
        self.fence.dropping.set(Dropping::Nothing);
    }

    #[cold]
    fn run_after_this(&self, work: Box<dyn FnOnce()>, failure: String) {
        self.fence.dropped.borrow_mut().push_back((work, failure));
        self.fence.dropping.set(Dropping::OthersWait);
    }

    #[cold]
    fn run_others(&self) {
        loop {
            let next = self.fence.dropped.borrow_mut().pop_front();
            let Some((work, failure)) = next else { break };
            if let Err(panic) = self.run_inside(work) {
                self.report_when_free(&failure, panic.into_error(), None);
            }
        }
    }

    /// Tells the exception handler: in the next round if a callback runs, since it is one too.
    #[cold]
    pub(crate) fn report_when_free(
        &self,
        message: &str,
        error: Error,
        transport: Option<TransportId>,
    ) {
        let waits = self.is_in_callback() && !self.fence.handling.get();
        if waits && self.state.get() != State::Closed {
            self.report_later(message, error, transport);
        } else {
            self.report_now(message, error, transport);
        }
    }

    /// Reports an error that nobody has asked for.
    #[cold]
    pub(crate) fn report_unretrieved(&self, message: &str, error: Error) {
        if self.may_be_in_callback() {
            // The exception handler is a callback, too: it must not run inside the one that drops
            // this.
            self.report_later(message, error, None);
        } else {
            self.report_now(message, error, None);
        }
    }

    /// Tells the exception handler, and drops the error, which may be the user's.
    #[cold]
    pub(crate) fn report_now(&self, message: &str, error: Error, transport: Option<TransportId>) {
        self.report(&Exception::new(message, Some(&error), transport));
        self.drop_user(error, "user's error");
    }

    /// Tells the exception handler in the next round. May be called while something is borrowed or
    /// taken out of its place.
    #[cold]
    pub(crate) fn report_later(&self, message: &str, error: Error, transport: Option<TransportId>) {
        let error = Cell::new(Some(error));
        let report = Rc::new(Report { message: message.to_owned(), error, transport });
        self.push_ready(Ready::Callback(report));
    }

    /// Runs the exception handler.
    pub(super) fn run_handler(&self, action: impl FnOnce()) -> Result<(), Panic> {
        let former = self.fence.handling.replace(true);
        let outcome = self.run_inside(action);
        self.fence.handling.set(former);
        outcome
    }

    /// Puts in order what is left of a tick that something has unwound through: a bug of ours, since
    /// nothing should. The loop goes on.
    #[cold]
    pub(crate) fn recover(self: &Rc<Self>, panic: Panic) {
        self.gathering.set(false);
        self.fence.inside.set(false);
        self.fence.handling.set(false);
        UNFENCED.set(UNFENCED.get() + 1);
        // What an interrupted callback wrote would go out on whichever connection writes next.
        self.gather.borrow_mut().clear();
        self.datagrams.forget_gathered();
        self.run_others();
        self.fence.dropping.set(Dropping::Nothing);
        self.mark_unsettled();
        let error = panic.into_error();
        self.go_on_or_end_all(&error);
        self.report(&Exception::new("a panic passed through the event loop", Some(&error), None));
    }
}

#[cold]
fn drop_failed(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("dropping {article} {what} failed")
}

/// A user's closure that was to be called while a callback ran.
struct Later {
    action: Cell<Option<Box<dyn FnOnce()>>>,
    failure: &'static str,
}

impl Callback for Later {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.discard(core);
    }

    /// It ends an operation: that is wanted also when the loop closes.
    fn discard(self: Rc<Self>, core: &Core) {
        if let Some(action) = self.action.take() {
            core.run_caught(self.failure, action);
        }
    }
}

/// A report that could not be made at once.
struct Report {
    message: String,
    error: Cell<Option<Error>>,
    transport: Option<TransportId>,
}

impl Callback for Report {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.discard(core);
    }

    fn discard(self: Rc<Self>, core: &Core) {
        if let Some(error) = self.error.take() {
            core.report_now(&self.message, error, self.transport);
        }
    }
}

/// Something of the user's that is dropped behind the fence, on whichever way its owner is left.
pub(crate) struct Guarded<T: 'static> {
    core: Rc<Core>,
    value: Option<T>,
    what: &'static str,
}

impl<T: 'static> Guarded<T> {
    pub(crate) fn new(core: &Rc<Core>, value: T, what: &'static str) -> Self {
        Self { core: Rc::clone(core), value: Some(value), what }
    }

    pub(crate) fn take(mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T: 'static> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.core.drop_user(value, self.what);
        }
    }
}

#[cfg(test)]
mod tests;

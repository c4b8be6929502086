//! What a future and its promise share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use super::super::detached::take_error;
use super::super::table::Waits;
use super::done_callbacks::DoneCallbacks;
use crate::error::{Error, Kind};
use crate::event_loop::{Callback, Core, Ready, SlowWatch, WakerSlot};

/// Values, callbacks, actions and wakers in it are the user's: they are called and dropped behind the
/// fence, each by itself.
pub(super) struct Shared<T: 'static> {
    pub(super) core: Rc<Core>,
    pub(super) state: Cell<State>,
    /// There from the completion until it is taken.
    pub(super) result: RefCell<Option<Result<T, Error>>>,
    pub(super) callbacks: DoneCallbacks<T>,
    pub(super) waker: WakerSlot,
    /// Ends the operation that the future stands for.
    pub(super) on_cancel: Cell<Option<OnCancel>>,
    /// Nobody needs to wait for the operation to go on.
    pub(super) detached: Cell<bool>,
    /// An operation awaits it, and passes its error on in its own.
    pub(super) is_step: Cell<bool>,
    /// There is no `LoopFuture` any more.
    pub(super) dropped: Cell<bool>,
    /// Somebody took the result or was told of it.
    pub(super) told: Cell<bool>,
    /// What the result was, also when it is taken or lent.
    pub(super) cancelled: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    /// Completed; done callbacks are about to be called, and come before whoever awaits.
    Telling,
    Done,
}

/// What is done when the future is cancelled.
pub(super) enum OnCancel {
    /// By the engine: at once.
    Own(Box<dyn FnOnce()>),
    /// By the user: not inside another callback.
    User(Box<dyn FnOnce()>),
}

impl<T: 'static> Shared<T> {
    pub(super) fn new(core: &Rc<Core>) -> Self {
        Self {
            core: Rc::clone(core),
            state: Cell::new(State::Pending),
            result: RefCell::new(None),
            callbacks: DoneCallbacks::default(),
            waker: WakerSlot::default(),
            on_cancel: Cell::new(None),
            detached: Cell::new(false),
            is_step: Cell::new(false),
            dropped: Cell::new(false),
            told: Cell::new(false),
            cancelled: Cell::new(false),
        }
    }

    pub(super) fn complete(
        self: &Rc<Self>,
        result: Result<T, Error>,
    ) -> Result<(), Result<T, Error>> {
        if self.state.get() != State::Pending {
            return Err(result);
        }
        self.cancelled.set(matches!(&result, Err(error) if error.is_cancelled()));
        *self.result.borrow_mut() = Some(result);
        let action = self.on_cancel.take();
        if self.callbacks.is_empty() {
            self.finish();
        } else {
            self.tell_soon();
        }
        self.drop_on_cancel(action);
        Ok(())
    }

    pub(super) fn cancel(self: &Rc<Self>) -> bool {
        if self.state.get() != State::Pending {
            return false;
        }
        let action = self.on_cancel.take();
        let _ = self.complete(Err(Error::bare(Kind::Cancelled)));
        if let Some(action) = action {
            self.run_on_cancel(action);
        }
        true
    }

    /// Cancels what nobody waits for.
    pub(super) fn cancel_if_unwanted(self: &Rc<Self>) {
        let is_wanted = !self.dropped.get() || self.detached.get() || !self.callbacks.is_empty();
        if !is_wanted && self.state.get() == State::Pending {
            self.told.set(true);
            self.cancel();
        }
    }

    pub(super) fn run_on_cancel(&self, action: OnCancel) {
        match action {
            OnCancel::Own(action) => action(),
            OnCancel::User(action) => self.core.call_when_free(action, "a cancel action failed"),
        }
    }

    pub(super) fn drop_on_cancel(&self, action: Option<OnCancel>) {
        if let Some(OnCancel::Own(action) | OnCancel::User(action)) = action {
            self.core.drop_user(action, "cancel action");
        }
    }

    /// Has `waker` woken at the end. It is cloned only if it is another than the last.
    #[inline]
    pub(super) fn wait(&self, waker: &Waker) {
        self.core.tasks.note_wait(Waits::Future);
        self.waker.keep(&self.core, waker);
        // Its clone may have completed the future.
        if self.state.get() == State::Done {
            self.waker.wake(&self.core);
        }
    }

    /// Schedules the done callbacks on the loop.
    pub(super) fn tell_soon(self: &Rc<Self>) {
        self.state.set(State::Telling);
        if self.core.is_finished() {
            return self.tell_nobody();
        }
        self.core.push_ready(Ready::Callback(Rc::new(Tell(Rc::clone(self)))));
    }

    fn tell(self: &Rc<Self>, core: &Rc<Core>) {
        // Out of its place while the callbacks look at it: they may use the future.
        let result = self.result.borrow_mut().take();
        // Those that are added meanwhile are called in the next round.
        let end = self.callbacks.end();
        while let Some(callback) = self.callbacks.pop_before(end) {
            let Some(result) = &result else {
                core.drop_user(callback, "done callback");
                continue;
            };
            self.told.set(true);
            core.counters.count_callback();
            let watch = SlowWatch::start(core);
            core.run_caught("a done callback failed", || callback(result));
            watch.stop(core, "a done callback");
        }
        if let Some(result) = result {
            *self.result.borrow_mut() = Some(result);
        }
        if self.callbacks.is_empty() {
            self.finish();
        }
    }

    /// The loop is closed: no callback is called any more.
    fn tell_nobody(&self) {
        self.callbacks.cancel_all(&self.core);
        self.finish();
    }

    fn finish(&self) {
        self.state.set(State::Done);
        self.waker.wake(&self.core);
    }
}

impl<T: 'static> Drop for Shared<T> {
    fn drop(&mut self) {
        self.callbacks.cancel_all(&self.core);
        self.waker.clear(&self.core);
        self.drop_on_cancel(self.on_cancel.take());
        let Some(result) = self.result.get_mut().take() else { return };
        match result {
            Err(error) if !self.told.get() && !error.is_cancelled() && !self.is_step.get() => {
                self.core.report_unretrieved("an error of a future was never retrieved", error);
            }
            Ok(value) if !self.told.get() && self.detached.get() => {
                let mut value = Some(value);
                if let Some(error) = take_error(&mut value) {
                    self.core.report_unretrieved("a detached task failed", error);
                }
                self.core.drop_user(value, "result");
            }
            Ok(value) if !self.told.get() => {
                self.core.discard_user(value, "result");
            }
            result => self.core.drop_user(result, "result"),
        }
    }
}

/// The entry of the ready list that calls the done callbacks.
struct Tell<T: 'static>(Rc<Shared<T>>);

impl<T: 'static> Callback for Tell<T> {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.tell(core);
    }

    fn discard(self: Rc<Self>, _: &Core) {
        self.0.tell_nobody();
    }
}

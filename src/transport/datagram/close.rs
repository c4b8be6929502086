//! The end of an endpoint.

use std::rc::Rc;

use super::DatagramEndpoint;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::{Callback, Core};
use crate::timeout::TimeoutKind;
use crate::transport::options;

impl DatagramEndpoint {
    pub(crate) fn close(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            self.set(Flags::CLOSING);
            self.end_run(core);
            self.discard_kept();
            self.update_soon(core);
        }
    }

    pub(crate) fn abort(self: &Rc<Self>, core: &Core) {
        self.end(core, None);
    }

    /// Something unwound through a tick. An endpoint whose callback it interrupted is closed; any other
    /// has its turn again, since what it was told of is not told twice.
    #[cold]
    pub(crate) fn go_on_or_end(self: &Rc<Self>, core: &Core, error: &Error) {
        if self.has(Flags::IN_CALLBACK) {
            self.clear(Flags::IN_CALLBACK.union(Flags::GATHERS));
            self.end(core, Some(error.clone()));
        } else if !self.has(Flags::CLOSED) {
            self.set(Flags::NEEDS_UPDATE);
            self.clear(Flags::QUEUED);
            self.enqueue(core);
        }
    }

    /// The endpoint is closed now: nothing more is sent or delivered but `connection_lost`.
    pub(super) fn end(self: &Rc<Self>, core: &Core, error: Option<Error>) {
        if self.has(Flags::CLOSED) {
            return core.drop_user(error, "user's error");
        }
        self.set(Flags::CLOSED.union(Flags::CLOSING));
        self.end_run(core);
        let error = error.map(Error::of_transport);
        self.ended.0.borrow_mut().clone_from(&error);
        self.end.set(error);
        self.count_discarded(self.queue_datagrams());
        *self.queue.borrow_mut() = None;
        self.close_lanes();
        self.discard_kept();
        self.cancel_timers(core);
        core.datagrams.push_lost(core, Rc::clone(self));
    }

    /// The running callback may send no more: not even what is like the last it sent.
    fn end_run(&self, core: &Core) {
        // It is borrowed while it is handed over: what is left then goes to the queue, or nowhere.
        if self.has(Flags::GATHERS)
            && let Ok(mut gather) = core.datagrams.gather.try_borrow_mut()
        {
            gather.seal();
        }
    }

    /// What waits is not sent for ever.
    pub(super) fn arm_linger(self: &Rc<Self>, core: &Rc<Core>) {
        if let Some(timer) = self.linger.take() {
            return self.linger.set(Some(timer));
        }
        let deadline = core.after(options::LINGER);
        let timer = core.add_timer(deadline, Box::new(Rc::new(Linger(Rc::clone(self)))));
        self.linger.set(Some(timer));
    }
}

/// The deadline of a close.
struct Linger(Rc<DatagramEndpoint>);

impl Callback for Linger {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.linger.set(None);
        self.0.end(core, Some(Error::timeout(TimeoutKind::Linger)));
    }
}

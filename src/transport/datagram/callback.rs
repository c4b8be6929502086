//! Calling protocols: they are out of their place meanwhile, what they send is gathered, and their
//! panics are caught.

use std::rc::Rc;
use std::time::Duration;

use super::access::Lent;
use super::flags::Flags;
use super::transport::DatagramTransport;
use super::{DatagramEndpoint, DropPolicy};
use crate::cell::put_back;
use crate::driver::TransportId;
use crate::error::{Error, Result};
use crate::event_loop::{Core, SlowWatch, Subject};
use crate::fence::{self, Trip};
use crate::protocol::{DatagramProtocol, type_name_in};

/// Why a callback gave nothing.
pub(super) enum Failed {
    /// The protocol is inside another of its callbacks, or gone.
    Busy,
    With(Error),
}

/// Why a callback that the loop called did not succeed; what it failed with is reported.
pub(super) enum NotDone {
    Busy,
    Failed,
}

impl DatagramEndpoint {
    /// Calls the protocol, and sends what it sent. Whether it succeeded: a failure is reported, and
    /// the endpoint goes on.
    #[inline]
    pub(super) fn call(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn DatagramProtocol, &dyn DatagramTransport) -> Result,
    ) -> std::result::Result<(), NotDone> {
        debug_assert!(!core.gathering.get(), "a callback would run inside another");
        match self.run_callback(core, name, callback) {
            Ok(()) => Ok(()),
            Err(Failed::Busy) => Err(NotDone::Busy),
            Err(Failed::With(error)) => {
                self.report_failure(core, name, &error);
                core.drop_user(error, "user's error");
                Err(NotDone::Failed)
            }
        }
    }

    #[cold]
    fn report_failure(&self, core: &Rc<Core>, name: &'static str, error: &Error) {
        core.report_callback(&self.subject(), self.name_of(name), error);
    }

    #[cold]
    fn report_slow(&self, core: &Rc<Core>, name: &'static str, took: Duration) {
        core.report_slow_callback(&self.subject(), self.name_of(name), took);
    }

    /// What a report says of this endpoint.
    fn subject(&self) -> Subject {
        let info = self.info();
        let peer = info.peer_address.clone();
        let type_name = type_name_in(&self.protocol);
        let mut subject = Subject::new(TransportId(self.key), type_name, peer);
        if let Some(local) = &info.local_address {
            subject.otherwise = format!("at {local}");
        }
        subject
    }

    /// Which of its callbacks the user wrote: for those that take datagrams one by one, the loop calls
    /// the default that calls theirs.
    fn name_of(&self, name: &'static str) -> &'static str {
        if name == "datagrams_received" && self.has(Flags::ONE_BY_ONE) {
            "datagram_received"
        } else {
            name
        }
    }

    /// The call itself.
    #[inline]
    pub(super) fn run_callback<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn DatagramProtocol, &dyn DatagramTransport) -> Result<R>,
    ) -> std::result::Result<R, Failed> {
        let Some(mut protocol) = self.protocol.take() else { return Err(Failed::Busy) };
        core.debug_assert_nothing_borrowed();
        // Inside another's callback (`Endpoint::with`) datagrams are queued: one gathers at a time.
        let is_outermost = !core.gathering.replace(true);
        // Where there may be no room the answer to each send says so, which only the queue can tell.
        let gathers = is_outermost && self.drop_policy.get() != DropPolicy::Refuse;
        if is_outermost {
            self.set(Flags::IN_CALLBACK);
        }
        if gathers {
            self.set(Flags::GATHERS);
        }
        let shared = &core.datagrams;
        let gather = if gathers { &shared.gather } else { &shared.never };
        core.counters.count_callback();
        let watch = SlowWatch::start(core);
        let outcome =
            fence::run(|| callback(&mut *protocol, &Lent { core, endpoint: self, gather }));
        // First of all: what unwinds from here on does not take the protocol along.
        put_back(&self.protocol, protocol);
        fence::trip(Trip::EndOfCallback);
        let slow = watch.took_too_long(core);
        if is_outermost {
            self.flush_gathered(core);
            self.clear(Flags::IN_CALLBACK.union(Flags::GATHERS));
            core.gathering.set(false);
        }
        // The handler may send: no callback gathers any more.
        if let Some(took) = slow {
            self.report_slow(core, name, took);
        }
        match outcome {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(failure)) => Err(Failed::With(Error::from(failure))),
            Err(panic) => Err(Failed::With(panic.into_error())),
        }
    }

    /// The first callback.
    pub(crate) fn begin(self: &Rc<Self>, core: &Rc<Core>) {
        self.set(Flags::MADE);
        core.counters.connection_opened();
        let name = "connection_made";
        let made = self
            .run_callback(core, name, |protocol, transport| protocol.connection_made(transport));
        if let Err(Failed::With(error)) = made {
            self.report_failure(core, name, &error);
            self.end(core, Some(error));
        }
        self.update(core);
        if self.has(Flags::READABLE) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// The last callback; then everything is released.
    ///
    /// If it unwinds it is called again, and goes on behind what it has done.
    pub(crate) fn finish(self: &Rc<Self>, core: &Rc<Core>) {
        let mut end = End { endpoint: self, error: self.end.take() };
        fence::trip(Trip::Finish);
        if self.has(Flags::MADE) {
            if !self.has(Flags::TOLD_LOST) {
                let error = end.error.as_ref();
                // A failure is reported; there is nothing left that could go on.
                let _ = self.call(core, "connection_lost", |protocol, transport| {
                    self.set(Flags::TOLD_LOST);
                    protocol.connection_lost(transport, error)
                });
            }
            if !self.has(Flags::RELEASED) {
                self.set(Flags::RELEASED);
                core.counters.connection_closed();
            }
        }
        let error = end.error.take();
        // While the socket is still open: see `BoundPath`.
        self.path.set(None);
        let socket = self.socket.replace(crate::driver::DatagramSocket::Closed);
        core.driver.deregister_datagram(&socket);
        drop(socket);
        core.free_slot(self.key);
        fence::trip(Trip::LetGo);
        core.drop_user(self.protocol.take(), "protocol");
        core.drop_user(error, "user's error");
        if Rc::strong_count(&self.ended) == 1 {
            // No handle will ask.
            let error = self.ended.0.borrow_mut().take();
            core.drop_user(error, "user's error");
        }
    }
}

/// What `connection_lost` is told. It goes back to its place if something unwinds before it was.
struct End<'a> {
    endpoint: &'a DatagramEndpoint,
    error: Option<Error>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            self.endpoint.end.set(Some(error));
        }
    }
}

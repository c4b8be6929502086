//! Calling the protocol of a process: it is out of its place meanwhile, and its panics are caught.

use std::process::ExitStatus;
use std::rc::Rc;

use super::ProcessHandle;
use super::protocol::ProcessProtocol;
use super::state::{Phase, ProcessState};
use super::transport::ProcessTransport;
use crate::cell::put_back;
use crate::driver::TransportId;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, SlowWatch, Subject};
use crate::fence;
use crate::protocol::type_name_in;

impl ProcessState {
    /// Calls the protocol. Once a callback has failed nothing but `connection_lost` is called.
    pub(super) fn call(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn ProcessProtocol, &dyn ProcessTransport) -> Result,
    ) {
        if self.phase.get() >= Phase::Failed {
            return;
        }
        if let Err(error) = self.run_callback(core, name, callback) {
            core.report_callback(&self.subject(), name, &error);
            self.fail(core, error);
        }
    }

    fn run_callback(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn ProcessProtocol, &dyn ProcessTransport) -> Result,
    ) -> Result<(), Error> {
        let watch = SlowWatch::start(core);
        core.counters.count_callback();
        let outcome =
            self.lend(core, |protocol, process| fence::run(|| callback(protocol, process)));
        if let Some(took) = watch.took_too_long(core) {
            core.report_slow_callback(&self.subject(), name, took);
        }
        match outcome {
            // Nothing the loop calls finds a protocol busy.
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(failure))) => Err(Error::from(failure)),
            Some(Err(panic)) => Err(panic.into_error()),
        }
    }

    /// Takes the protocol out of its place and calls `action`, which must not panic; `None` if it
    /// is not there.
    pub(super) fn lend<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        action: impl FnOnce(&mut dyn ProcessProtocol, &dyn ProcessTransport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.take()?;
        core.debug_assert_nothing_borrowed();
        // What it writes is queued and goes out at the end of the round.
        let inside = core.gathering.replace(true);
        let handle = ProcessHandle::new(Rc::clone(core), Rc::clone(self));
        let result = action(&mut *protocol, &handle);
        core.gathering.set(inside);
        put_back(&self.protocol, protocol);
        Some(result)
    }

    /// Why [`lend`](Self::lend) gave nothing.
    pub(super) fn why_not_lent(&self) -> Error {
        if self.phase.get() != Phase::Lost {
            return Error::bare(Kind::Busy);
        }
        match &*self.error.borrow() {
            Some(error) => Error::with_source(Kind::Closed, "the process was lost", error.clone()),
            None => Error::bare(Kind::Closed),
        }
    }

    pub(super) fn tell_exit(self: &Rc<Self>, core: &Rc<Core>, status: ExitStatus) {
        self.call(core, "process_exited", |protocol, process| {
            protocol.process_exited(process, status)
        });
    }

    /// The last callback, when nothing else will come; then everything is released.
    pub(super) fn finish_if_over(self: &Rc<Self>, core: &Rc<Core>) {
        if self.phase.get() == Phase::Lost || !self.is_over() {
            return;
        }
        self.phase.set(Phase::Lost);
        // It stays in its place as well: handles say why the process is closed.
        let error = self.error.borrow().clone();
        let name = "connection_lost";
        let outcome = self.run_callback(core, name, |protocol, process| {
            protocol.connection_lost(process, error.as_ref())
        });
        if let Err(error) = outcome {
            core.report_callback(&self.subject(), name, &error);
            core.drop_user(error, "user's error");
        }
        core.processes.remove(self.key());
        if !self.keeps_group(core) {
            core.free_slot(self.key());
        }
        core.drop_user(self.protocol.take(), "protocol");
        core.drop_user(error, "user's error");
    }

    /// What a report says of this process.
    #[cold]
    fn subject(&self) -> Subject {
        let type_name = type_name_in(&self.protocol);
        let mut subject = Subject::new(TransportId(self.key()), type_name, None);
        subject.otherwise = format!("process {}", self.pid());
        subject
    }
}

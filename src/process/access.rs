//! One implementation of [`ProcessTransport`] for everything that leads to a process.

use std::process::ExitStatus;
use std::rc::Rc;

use super::protocol::ChildFd;
use super::transport::{ProcessTransport, sealed};
use super::{ProcessHandle, signals};
use crate::driver::TransportId;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::transport::TransportHandle;

/// What leads to a process: its handle, or what owns it.
pub(crate) trait Access {
    fn process(&self) -> &ProcessHandle;
}

impl<A: Access> sealed::Sealed for A {}

impl<A: Access> ProcessTransport for A {
    fn pid(&self) -> u32 {
        self.process().state().pid()
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        self.process().state().exit_status()
    }

    fn pipe_transport(&self, fd: ChildFd) -> Option<TransportHandle> {
        self.process().state().pipe_transport(self.process().core(), fd)
    }

    fn hold_reading(&self) {
        self.process().state().hold_reading(self.process().core());
    }

    fn send_signal(&self, signal: i32) -> Result<(), Error> {
        self.process().state().send_signal(signals::from_number(signal)?)
    }

    fn send_signal_to_group(&self, signal: i32) -> Result<(), Error> {
        self.process().state().send_signal_to_group(signals::from_number(signal)?)
    }

    fn close(&self) {
        self.process().state().close(self.process().core());
    }

    fn is_closing(&self) -> bool {
        self.process().state().is_closing()
    }

    fn id(&self) -> TransportId {
        TransportId(self.process().state().key())
    }

    fn handle(&self) -> ProcessHandle {
        self.process().clone()
    }

    fn event_loop(&self) -> EventLoop {
        EventLoop::from_core(Rc::clone(self.process().core()))
    }
}

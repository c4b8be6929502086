//! This end of a child's pipes: streams whose protocol passes everything on to the process's
//! protocol.

use std::rc::Rc;

use super::protocol::ChildFd;
use super::state::{Phase, ProcessState};
use crate::driver::Key;
use crate::error::{Error, Result};
use crate::event_loop::Core;
use crate::protocol::{Eof, Protocol};
use crate::transport::{Stream, Transport, TransportHandle};

/// A pipe of a process that is not gone.
pub(super) struct Pipe {
    pub(super) fd: ChildFd,
    pub(super) stream: Key,
    /// The child reads from it.
    pub(super) is_input: bool,
}

/// The protocol of the stream at this end of a pipe.
pub(super) struct PipeProtocol {
    process: Rc<ProcessState>,
    fd: ChildFd,
    lost: bool,
}

impl PipeProtocol {
    pub(super) fn new(process: Rc<ProcessState>, fd: ChildFd) -> Self {
        Self { process, fd, lost: false }
    }
}

impl Protocol for PipeProtocol {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.process.deliver(transport.event_loop().core(), self.fd, data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::Close)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        let fd = self.fd;
        self.process.call(transport.event_loop().core(), "pause_writing", |protocol, process| {
            protocol.pause_writing(process, fd)
        });
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        let core = transport.event_loop();
        let core = core.core();
        self.process.release_hold(core);
        let fd = self.fd;
        self.process
            .call(core, "resume_writing", |protocol, process| protocol.resume_writing(process, fd));
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.lost = true;
        self.process.pipe_lost(transport.event_loop().core(), self.fd, error);
        Ok(())
    }
}

impl Drop for PipeProtocol {
    /// Another protocol has taken the pipe over: it is no longer the process's.
    fn drop(&mut self) {
        if !self.lost
            && let Some(core) = self.process.core.upgrade()
        {
            self.process.forget_pipe(&core, self.fd);
            self.process.enqueue(&core);
        }
    }
}

impl ProcessState {
    pub(super) fn pipe_transport(&self, core: &Rc<Core>, fd: ChildFd) -> Option<TransportHandle> {
        let pipes = self.pipes.borrow();
        let pipe = pipes.iter().find(|pipe| pipe.fd == fd)?;
        Some(TransportHandle::of(core, &*core.stream(pipe.stream)?))
    }

    /// Hands on what the child wrote. When that makes what waits for the child pass its high-water
    /// mark, the pause that follows may ask for a hold.
    fn deliver(self: &Rc<Self>, core: &Rc<Core>, fd: ChildFd, data: &[u8]) {
        if self.phase.get() != Phase::Open {
            return;
        }
        let was_full = self.is_input_full(core);
        self.call(core, "pipe_data_received", |protocol, process| {
            protocol.pipe_data_received(process, fd, data)
        });
        if !was_full && self.is_input_full(core) {
            self.overflowed_in_read.set(true);
        }
    }

    /// Whether more waits for the child than the high-water mark of one of its inputs.
    fn is_input_full(&self, core: &Rc<Core>) -> bool {
        let pipes = self.pipes.borrow();
        let mut inputs = pipes.iter().filter(|pipe| pipe.is_input);
        inputs
            .any(|pipe| core.stream(pipe.stream).is_some_and(|stream| stream.is_above_high_water()))
    }

    pub(super) fn hold_reading(&self, core: &Rc<Core>) {
        if self.overflowed_in_read.get() {
            for stream in self.streams(core, |pipe| !pipe.is_input) {
                stream.hold();
            }
        }
    }

    fn release_hold(&self, core: &Rc<Core>) {
        if self.overflowed_in_read.replace(false) {
            for stream in self.streams(core, |pipe| !pipe.is_input) {
                stream.release_hold(core);
            }
        }
    }

    /// The last that is heard of a pipe.
    fn pipe_lost(self: &Rc<Self>, core: &Rc<Core>, fd: ChildFd, error: Option<&Error>) {
        self.forget_pipe(core, fd);
        self.call(core, "pipe_connection_lost", |protocol, process| {
            protocol.pipe_connection_lost(process, fd, error)
        });
        self.finish_if_over(core);
    }

    fn forget_pipe(&self, core: &Rc<Core>, fd: ChildFd) {
        let mut pipes = self.pipes.borrow_mut();
        let was_input = pipes.iter().any(|pipe| pipe.fd == fd && pipe.is_input);
        pipes.retain(|pipe| pipe.fd != fd);
        drop(pipes);
        if was_input {
            // It drains no more.
            self.release_hold(core);
        }
    }

    pub(super) fn abort_pipes(&self, core: &Rc<Core>) {
        for stream in self.streams(core, |_| true) {
            stream.abort(core);
        }
    }

    fn streams(&self, core: &Rc<Core>, which: impl Fn(&Pipe) -> bool) -> Vec<Rc<Stream>> {
        let pipes = self.pipes.borrow();
        let keys = pipes.iter().filter(|pipe| which(pipe)).map(|pipe| pipe.stream);
        keys.filter_map(|key| core.stream(key)).collect()
    }
}

//! Starting a child: either there is a process afterwards, or nothing is left.

use std::rc::Rc;

use super::ProcessHandle;
use super::exit::ExitWatch;
use super::owned::Process;
use super::pipes::{Pipe, PipeProtocol};
use super::prepare::Prepared;
use super::protocol::ProcessProtocol;
use super::settings::ProcessSettings;
use super::state::{NewProcess, ProcessState};
use crate::driver::{Direction, Key};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Guarded, Source, closed};
use crate::fence::{self, Panic};
use crate::task::{LoopFuture, future};

/// Starts a child in the loop's next round.
pub(super) fn start<P: ProcessProtocol, T: 'static>(
    core: &Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    finish: Box<dyn FnOnce(Process<P>) -> T>,
    settings: Box<ProcessSettings>,
) -> LoopFuture<T> {
    let (promise, result) = future(core);
    if core.is_closed() {
        promise.set(Err(closed()));
        return result;
    }
    let own = Rc::clone(core);
    EventLoop::from_core(Rc::clone(core)).call_soon(move || {
        if promise.is_cancelled() {
            return;
        }
        let kill_on_drop = settings.kill_on_drop;
        let process = spawn(&own, factory, settings)
            .map(|state| Process::new(ProcessHandle::new(own, state), kill_on_drop));
        if let Ok(process) = &process
            && promise.is_left_alone()
        {
            process.disown();
        }
        promise.set(process.map(finish));
    });
    result
}

/// Starts a child; `connection_made` is called.
fn spawn<P: ProcessProtocol>(
    core: &Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    settings: Box<ProcessSettings>,
) -> Result<Rc<ProcessState>, Error> {
    let factory = Guarded::new(core, factory, "protocol factory");
    core.check_open()?;
    core.driver.require_os(START_PROCESSES)?;
    let kill_on_drop = settings.kill_on_drop;
    let leads_group = settings.process_group == Some(0);
    let stream_options = settings.stream_options.clone();
    stream_options.check(core)?;
    let prepared = Prepared::new(settings)?;
    let factory = factory.take().ok_or_else(|| Error::bare(Kind::Closed))?;
    let protocol: Box<dyn ProcessProtocol> =
        Box::new(fence::run(factory).map_err(Panic::into_error)?);
    let protocol = Guarded::new(core, protocol, "protocol");
    let slot = Slot::reserve(core)?;
    let (child, ours) = prepared.spawn()?;
    let watch = match ExitWatch::begin(core, slot.key, child.id()) {
        Ok(watch) => watch,
        Err(error) => {
            return Err(not_watched(child.number(), error));
        }
    };
    let is_gone = watch.is_gone();
    let state = ProcessState::new(
        core,
        NewProcess {
            key: slot.key,
            pid: child.number(),
            leads_group,
            kill_on_close: kill_on_drop,
            watch,
            protocol: protocol.take().ok_or_else(|| Error::bare(Kind::Closed))?,
        },
    );
    state.pipes.borrow_mut().reserve_exact(ours.len());
    for end in ours {
        let pipe = Box::new(PipeProtocol::new(Rc::clone(&state), end.fd));
        let pipe_end = crate::pipe::Pipe::new(end.pipe);
        match crate::pipe::open(core, pipe_end, end.direction, pipe, &stream_options) {
            Ok(stream) => {
                let is_input = end.direction == Direction::Write;
                state.pipes.borrow_mut().push(Pipe { fd: end.fd, stream: stream.key, is_input });
            }
            Err(error) => {
                state.abandon(core);
                return Err(error);
            }
        }
    }
    child.keep();
    if is_gone {
        state.enqueue(core);
    }
    slot.fill(Rc::clone(&state) as Rc<dyn Source>);
    core.processes.insert(&state);
    // Nothing of the user's runs in between: they stay as they are.
    for place in 0..state.pipes.borrow().len() {
        let key = state.pipes.borrow()[place].stream;
        if let Some(stream) = core.stream(key) {
            stream.begin(core);
        }
    }
    state.call(core, "connection_made", |protocol, process| protocol.connection_made(process));
    Ok(state)
}

/// A slot that is free again if it is not filled.
pub(super) struct Slot<'a> {
    core: &'a Rc<Core>,
    pub(super) key: Key,
}

impl<'a> Slot<'a> {
    pub(super) fn reserve(core: &'a Rc<Core>) -> Result<Self, Error> {
        Ok(Self { core, key: core.reserve_slot()? })
    }

    pub(super) fn fill(self, source: Rc<dyn Source>) {
        self.core.fill_slot(self.key, Entry::Source(source));
        std::mem::forget(self);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.core.free_slot(self.key);
    }
}

/// What only a loop of the operating system can do.
pub(super) const START_PROCESSES: &str = "start processes";

pub(super) fn not_watched(pid: u32, error: std::io::Error) -> Error {
    Error::io(format!("process {pid} cannot be watched, and was ended"), error)
}

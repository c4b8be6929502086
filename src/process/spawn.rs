//! Starting a child: either there is a process afterwards, or nothing is left.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command};
use std::rc::Rc;

use rustix::process::Pid;

use super::exit::{self, ExitWatch};
use super::owned::Process;
use super::pipes::{Pipe, PipeProtocol};
use super::protocol::{ChildFd, ProcessProtocol};
use super::settings::{Extra, ProcessSettings, Stderr};
use super::state::{NewProcess, ProcessState};
use super::stdio::{Kind as StdioKind, Stdio};
use super::{ProcessHandle, extra};
use crate::driver::{Direction, Driver};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Source, Tenant, closed};
use crate::task::{LoopFuture, future};
use crate::transport::{Key, Stream};

/// Starts a child in the loop's next round.
pub(super) fn start<P: ProcessProtocol>(
    core: &Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    settings: Box<ProcessSettings>,
) -> LoopFuture<Process<P>> {
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
        promise.set(process);
    });
    result
}

/// Starts a child; `connection_made` is called.
pub(super) fn spawn<P: ProcessProtocol>(
    core: &Rc<Core>,
    factory: impl FnOnce() -> P,
    settings: Box<ProcessSettings>,
) -> Result<Rc<ProcessState>, Error> {
    core.check_open()?;
    if let Driver::Memory(_) = core.driver {
        return Err(Error::new(Kind::Unsupported, "a loop in memory cannot start processes"));
    }
    let kill_on_drop = settings.kill_on_drop;
    let leads_group = settings.process_group == Some(0);
    let stream_options = settings.stream_options.clone();
    let prepared = Prepared::new(settings)?;
    let protocol = catch_unwind(AssertUnwindSafe(factory)).map_err(Error::caught)?;
    let slot = Slot::reserve(core)?;
    let (child, ours) = prepared.spawn()?;
    let watch = match ExitWatch::begin(core, slot.key, child.0) {
        Ok(watch) => watch,
        Err(error) => {
            let text = format!("process {} cannot be watched, and was ended", child.number());
            return Err(Error::io(text, error));
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
            protocol: Box::new(protocol),
        },
    );
    let mut streams: Vec<Rc<Stream>> = Vec::with_capacity(ours.len());
    state.pipes.borrow_mut().reserve_exact(ours.len());
    for end in ours {
        let pipe = Box::new(PipeProtocol::new(Rc::clone(&state), end.fd));
        let pipe_end = crate::pipe::Pipe::new(end.pipe);
        match crate::pipe::open(core, pipe_end, end.direction, pipe, &stream_options) {
            Ok(stream) => {
                let is_input = end.direction == Direction::Write;
                state.pipes.borrow_mut().push(Pipe { fd: end.fd, stream: stream.key, is_input });
                streams.push(stream);
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
    slot.fill(&state);
    core.processes.insert(&state);
    for stream in streams {
        stream.begin(core);
    }
    state.call(core, "connection_made", |protocol, process| protocol.connection_made(process));
    Ok(state)
}

/// All that has to be there before the child is.
struct Prepared {
    command: Command,
    /// This process's ends of the pipes.
    ours: Vec<OurEnd>,
    /// What the child gets besides the standard streams.
    extra: Vec<(ChildFd, OwnedFd)>,
}

struct OurEnd {
    fd: ChildFd,
    pipe: OwnedFd,
    direction: Direction,
}

impl Prepared {
    fn new(settings: Box<ProcessSettings>) -> Result<Self, Error> {
        let ProcessSettings { command, stdin, stdout, stderr, extra, .. } = *settings;
        let mut prepared = Self { command, ours: Vec::new(), extra: Vec::new() };
        if let Err(error) = prepared.connect(stdin, stdout, stderr, extra) {
            let program = shown(&prepared.command);
            let text = format!("the descriptors for {program} could not be made");
            return Err(Error::io(text, error));
        }
        extra::check(&prepared.extra)?;
        Ok(prepared)
    }

    fn connect(
        &mut self,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stderr,
        extra: Vec<(ChildFd, Extra)>,
    ) -> io::Result<()> {
        let stderr = match stderr {
            Stderr::Own(stderr) => Some(stderr),
            Stderr::ToStdout => None,
        };
        let stdin = self.end(ChildFd::STDIN, stdin)?;
        self.command.stdin(for_std(stdin));
        let stdout = self.end(ChildFd::STDOUT, stdout)?;
        let stderr = match stderr {
            Some(stderr) => self.end(ChildFd::STDERR, stderr)?,
            None => match &stdout.0 {
                StdioKind::Fd(fd) => Stdio(StdioKind::Fd(fd.try_clone()?)),
                StdioKind::Null => Stdio::null(),
                StdioKind::Piped | StdioKind::Inherit => {
                    Stdio(StdioKind::Fd(io::stdout().as_fd().try_clone_to_owned()?))
                }
            },
        };
        self.command.stdout(for_std(stdout)).stderr(for_std(stderr));
        for (fd, extra) in extra {
            let theirs = match extra {
                Extra::Fd(given) => given,
                Extra::Input => self.pipe(fd, Direction::Write)?,
                Extra::Output => self.pipe(fd, Direction::Read)?,
            };
            self.extra.push((fd, theirs));
        }
        Ok(())
    }

    /// Makes the pipe, where one is wanted.
    fn end(&mut self, fd: ChildFd, stdio: Stdio) -> io::Result<Stdio> {
        let direction = if fd == ChildFd::STDIN { Direction::Write } else { Direction::Read };
        Ok(match stdio.0 {
            StdioKind::Piped => Stdio(StdioKind::Fd(self.pipe(fd, direction)?)),
            _ => stdio,
        })
    }

    /// Makes a pipe of which this process has the end for `direction`; gives the child's.
    fn pipe(&mut self, fd: ChildFd, direction: Direction) -> io::Result<OwnedFd> {
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        let (pipe, theirs) = match direction {
            Direction::Write => (writer, reader),
            _ => (reader, writer),
        };
        self.ours.push(OurEnd { fd, pipe, direction });
        Ok(theirs)
    }

    fn spawn(self) -> Result<(NewChild, Vec<OurEnd>), Error> {
        let Self { mut command, ours, extra } = self;
        let room = extra::give(&mut command, extra)?;
        let child = command.spawn().map_err(|error| spawn_failed(&command, error))?;
        drop(room);
        // The child's ends are closed with the command: a pipe ends with the last that has it.
        Ok((NewChild(Pid::from_child(&child)), ours))
    }
}

/// A child that is killed and waited for if what follows its start fails.
struct NewChild(Pid);

impl NewChild {
    fn number(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for NewChild {
    fn drop(&mut self) {
        exit::destroy(self.0);
    }
}

/// A slot that is free again if it is not filled.
struct Slot<'a> {
    core: &'a Rc<Core>,
    key: Key,
}

impl<'a> Slot<'a> {
    fn reserve(core: &'a Rc<Core>) -> Result<Self, Error> {
        Ok(Self { core, key: core.reserve_slot()? })
    }

    fn fill(self, state: &Rc<ProcessState>) {
        let source = Rc::clone(state) as Rc<dyn Source>;
        self.core.fill_slot(self.key, Tenant::Source(source));
        std::mem::forget(self);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.core.free_slot(self.key);
    }
}

fn for_std(stdio: Stdio) -> process::Stdio {
    match stdio.0 {
        StdioKind::Null => process::Stdio::null(),
        StdioKind::Fd(fd) => fd.into(),
        StdioKind::Piped | StdioKind::Inherit => process::Stdio::inherit(),
    }
}

fn shown(command: &Command) -> String {
    command.get_program().display().to_string()
}

/// The system does not say whether it was the program or the directory that it did not find.
fn spawn_failed(command: &Command, error: io::Error) -> Error {
    let program = shown(command);
    if let Some(directory) = command.get_current_dir()
        && !directory.is_dir()
    {
        let directory = directory.display();
        return Error::io(format!("could not run {program} in the directory {directory}"), error);
    }
    Error::io(format!("could not run {program}"), error)
}

//! Getting everything ready for a child, then starting it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{self, Command};

use rustix::process::Pid;

use super::exit;
use super::extra;
use super::protocol::ChildFd;
use super::settings::{Extra, ProcessSettings, Stderr};
use super::stdio::{Kind as StdioKind, Stdio};
use crate::driver::Direction;
use crate::error::Error;

/// Everything that is needed before the child starts.
pub(super) struct Prepared {
    /// Its command has the child's ends of the pipes.
    settings: Box<ProcessSettings>,
    /// This process's ends of the pipes.
    ours: Vec<OurEnd>,
    /// What the child gets besides the standard streams.
    extra: Vec<(ChildFd, OwnedFd)>,
}

/// This process's end of a pipe to or from a child.
pub(super) struct OurEnd {
    pub(super) fd: ChildFd,
    pub(super) pipe: OwnedFd,
    pub(super) direction: Direction,
}

impl Prepared {
    pub(super) fn new(settings: Box<ProcessSettings>) -> Result<Self, Error> {
        let mut prepared = Self { settings, ours: Vec::new(), extra: Vec::new() };
        if let Err(error) = prepared.connect() {
            let program = shown(&prepared.settings.command);
            let text = format!("the descriptors for {program} could not be made");
            return Err(Error::io(text, error));
        }
        extra::check(&prepared.extra)?;
        Ok(prepared)
    }

    pub(super) fn spawn(self) -> Result<(NewChild, Vec<OurEnd>), Error> {
        let Self { mut settings, ours, extra } = self;
        let command = &mut settings.command;
        let room = extra::give(command, extra)?;
        let child = command.spawn().map_err(|error| spawn_failed(command, error))?;
        drop(room);
        // The child's ends are closed with the command: a pipe ends with the last that has it.
        drop(settings);
        Ok((NewChild(Pid::from_child(&child)), ours))
    }

    fn connect(&mut self) -> io::Result<()> {
        let stdin = std::mem::replace(&mut self.settings.stdin, Stdio::inherit());
        let stdin = self.end(ChildFd::STDIN, stdin)?;
        self.settings.command.stdin(for_std(stdin));
        let stdout = std::mem::replace(&mut self.settings.stdout, Stdio::inherit());
        let stdout = self.end(ChildFd::STDOUT, stdout)?;
        let stderr = match std::mem::replace(&mut self.settings.stderr, Stderr::ToStdout) {
            Stderr::Own(stderr) => self.end(ChildFd::STDERR, stderr)?,
            Stderr::ToStdout => match &stdout.0 {
                StdioKind::Fd(fd) => Stdio(StdioKind::Fd(fd.try_clone()?)),
                StdioKind::Null => Stdio::null(),
                StdioKind::Piped | StdioKind::Inherit => {
                    Stdio(StdioKind::Fd(io::stdout().as_fd().try_clone_to_owned()?))
                }
            },
        };
        self.settings.command.stdout(for_std(stdout)).stderr(for_std(stderr));
        for (fd, extra) in std::mem::take(&mut self.settings.extra) {
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
}

/// A child that is killed and waited for if what follows its start fails.
pub(super) struct NewChild(Pid);

impl NewChild {
    pub(super) fn id(&self) -> Pid {
        self.0
    }

    pub(super) fn number(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// What follows its start has not failed.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for NewChild {
    fn drop(&mut self) {
        exit::destroy(self.0);
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

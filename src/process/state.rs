//! The state of one child process.

use std::cell::{Cell, RefCell};
use std::process::ExitStatus;
use std::rc::{Rc, Weak};

use rustix::process::Signal;

use super::exit::{ExitWatch, Group};
use super::pipes::Pipe;
use super::protocol::ProcessProtocol;
use crate::driver::{Key, Readiness};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Ready, Source, closed};
use crate::task::{LoopFuture, Waiters};

/// One child process: its exit, its protocol, and this end of its pipes.
///
/// Protocol and the rest are apart: while a callback runs, the protocol is taken out, and the
/// callback works on the rest.
pub(crate) struct ProcessState {
    pub(super) core: Weak<Core>,
    key: Key,
    pid: u32,
    /// The child leads a process group of its own.
    leads_group: bool,
    /// Whether the child is killed when the loop closes.
    kill_on_close: bool,
    /// `None` once the child was waited for: nothing can be signalled any more.
    watch: RefCell<Option<ExitWatch>>,
    /// The group of a leader that has exited, for as long as `close` may have to kill what it has
    /// left.
    group: RefCell<Option<Group>>,
    /// There is a `Process` that closes this when it is dropped.
    owned: Cell<bool>,
    status: Cell<Option<ExitStatus>>,
    waiting: Waiters<ExitStatus>,
    pub(super) pipes: RefCell<Vec<Pipe>>,
    /// `None` while one of its callbacks runs, and after the last.
    pub(super) protocol: Cell<Option<Box<dyn ProcessProtocol>>>,
    /// What `connection_lost` is to be told, or was.
    pub(super) error: RefCell<Option<Error>>,
    pub(super) phase: Cell<Phase>,
    /// In the ready list.
    queued: Cell<bool>,
    /// A pipe to the child passed its high-water mark while output was delivered.
    pub(super) overflowed_in_read: Cell<bool>,
}

/// How far a process has come, besides its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Its pipes are closed and it was killed.
    Closing,
    /// As `Closing`, since a callback failed: nothing but `connection_lost` is called.
    Failed,
    /// `connection_lost` was called, or is being called.
    Lost,
}

/// What a process begins with.
pub(super) struct NewProcess {
    pub(super) key: Key,
    pub(super) pid: u32,
    pub(super) leads_group: bool,
    pub(super) kill_on_close: bool,
    pub(super) watch: ExitWatch,
    pub(super) protocol: Box<dyn ProcessProtocol>,
}

impl ProcessState {
    pub(super) fn new(core: &Rc<Core>, new: NewProcess) -> Rc<Self> {
        if new.leads_group {
            new.watch.keep_group();
        }
        Rc::new(Self {
            core: Rc::downgrade(core),
            key: new.key,
            pid: new.pid,
            leads_group: new.leads_group,
            kill_on_close: new.kill_on_close,
            watch: RefCell::new(Some(new.watch)),
            group: RefCell::new(None),
            owned: Cell::new(false),
            status: Cell::new(None),
            waiting: Waiters::default(),
            pipes: RefCell::default(),
            protocol: Cell::new(Some(new.protocol)),
            error: RefCell::default(),
            phase: Cell::new(Phase::Open),
            queued: Cell::new(false),
            overflowed_in_read: Cell::new(false),
        })
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        self.status.get()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    pub(super) fn wait(&self, core: &Rc<Core>) -> LoopFuture<ExitStatus> {
        let result = self.waiting.wait(core);
        if let Some(status) = self.status.get() {
            self.waiting.tell(|| Ok(status));
        } else if core.is_closed() || self.phase.get() == Phase::Lost {
            self.waiting.tell(|| Err(closed()));
        }
        result
    }

    pub(super) fn send_signal(&self, signal: Signal) -> Result<(), Error> {
        self.signal(signal, ExitWatch::signal)
    }

    pub(super) fn send_signal_to_group(&self, signal: Signal) -> Result<(), Error> {
        if !self.leads_group {
            return Err(Error::invalid("the child has no process group of its own"));
        }
        if let Some(group) = &*self.group.borrow() {
            group.signal(signal);
            return Ok(());
        }
        self.signal(signal, ExitWatch::signal_group)
    }

    fn signal(
        &self,
        signal: Signal,
        send: fn(&ExitWatch, Signal) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let watch = self.watch.borrow();
        let watch = watch.as_ref().ok_or_else(|| Error::bare(Kind::Closed))?;
        send(watch, signal)
            .map_err(|error| Error::io(format!("process {} was not signalled", self.pid), error))
    }

    pub(super) fn close(self: &Rc<Self>, core: &Rc<Core>) {
        match self.phase.get() {
            Phase::Open => {
                self.phase.set(Phase::Closing);
                self.end(core);
            }
            // Nothing is left but what the child has started.
            Phase::Lost => self.end_group(core),
            Phase::Closing | Phase::Failed => {}
        }
    }

    /// Somebody has the process, and closes it when it is dropped.
    pub(super) fn own(&self) {
        self.owned.set(true);
    }

    /// The child is left to the loop: its group is not killed any more once all else is over.
    pub(super) fn disown(&self, core: &Core) {
        self.owned.set(false);
        if self.phase.get() == Phase::Lost {
            self.let_group_go(core);
        }
    }

    /// Kills what an exited child has left in its group.
    fn end_group(&self, core: &Core) {
        if let Some(group) = &*self.group.borrow() {
            group.signal(Signal::KILL);
        }
        self.let_group_go(core);
    }

    fn let_group_go(&self, core: &Core) {
        let group = self.group.borrow_mut().take();
        if group.is_some() && self.phase.get() == Phase::Lost {
            core.free_slot(self.key);
        }
    }

    /// Whether there may be something to kill when all else is over. If so the slot stays, so that the
    /// loop kills it when it closes.
    pub(super) fn keeps_group(&self, core: &Core) -> bool {
        if !self.owned.get() {
            self.let_group_go(core);
        }
        self.group.borrow().is_some()
    }

    /// A callback failed.
    pub(super) fn fail(self: &Rc<Self>, core: &Rc<Core>, error: Error) {
        if self.phase.get() < Phase::Failed {
            self.phase.set(Phase::Failed);
            *self.error.borrow_mut() = Some(error.of_transport());
            self.end(core);
        } else {
            core.drop_user(error, "user's error");
        }
    }

    /// Closes the pipes, and kills what still runs. One that has exited, told or not, is not
    /// harmed by the signal.
    fn end(self: &Rc<Self>, core: &Rc<Core>) {
        self.kill();
        drop(self.group.borrow_mut().take());
        self.abort_pipes(core);
        // If nothing else is to come, `connection_lost` is due.
        self.enqueue(core);
    }

    /// Kills the child, and the group it leads. What cannot be killed (it runs as another user) is
    /// waited for all the same.
    fn kill(&self) {
        let kill = if self.leads_group { Self::send_signal_to_group } else { Self::send_signal };
        let _ = kill(self, Signal::KILL);
    }

    /// Calls [`run`](Source::run) in the next round.
    pub(super) fn enqueue(self: &Rc<Self>, core: &Core) {
        if self.phase.get() != Phase::Lost && !self.queued.replace(true) {
            core.push_ready(Ready::Source(Rc::clone(self) as Rc<dyn Source>));
        }
    }

    /// Looks whether the child has exited, waits for it if it has, and tells.
    pub(super) fn reap(self: &Rc<Self>, core: &Rc<Core>) {
        let status = match &*self.watch.borrow() {
            Some(watch) if self.needs_group() => watch.try_look(),
            Some(watch) => watch.try_wait(),
            None => None,
        };
        if let Some(status) = status {
            self.exited(core, status);
        }
    }

    fn exited(self: &Rc<Self>, core: &Rc<Core>, status: ExitStatus) {
        let watch = self.watch.borrow_mut().take();
        if self.needs_group() {
            *self.group.borrow_mut() = watch.and_then(ExitWatch::into_group);
        } else {
            drop(watch);
        }
        self.status.set(Some(status));
        self.waiting.tell(|| Ok(status));
        self.tell_exit(core, status);
        self.finish_if_over(core);
    }

    /// Whether what the child has started in its group has to be killed when it is closed.
    fn needs_group(&self) -> bool {
        self.leads_group && self.phase.get() == Phase::Open
    }

    /// The loop closes. A child that is killed is waited for; another one runs on, and a thread
    /// waits for it.
    fn part(self: &Rc<Self>, core: &Rc<Core>) {
        if self.phase.get() == Phase::Lost {
            return if self.kill_on_close { self.end_group(core) } else { self.let_group_go(core) };
        }
        let killed = self.kill_on_close || self.is_closing();
        if killed {
            self.close(core);
        } else {
            self.phase.set(Phase::Closing);
            drop(self.group.borrow_mut().take());
            self.abort_pipes(core);
        }
        let watch = self.watch.borrow_mut().take();
        let status = watch.and_then(|watch| watch.part(killed));
        if let Some(status) = status {
            self.exited(core, status);
        }
        self.waiting.tell(|| Err(closed()));
        self.finish_if_over(core);
    }

    /// The child's start failed after all: the caller ends it.
    pub(super) fn abandon(&self, core: &Rc<Core>) {
        self.phase.set(Phase::Lost);
        let watch = self.watch.borrow_mut().take();
        drop(watch);
        self.abort_pipes(core);
        core.drop_user(self.protocol.take(), "protocol");
    }

    /// Whether neither an exit nor a pipe's end is still to come.
    pub(super) fn is_over(&self) -> bool {
        self.watch.borrow().is_none() && self.pipes.borrow().is_empty()
    }
}

impl Drop for ProcessState {
    /// The error may be the user's.
    fn drop(&mut self) {
        if let (Some(core), Some(error)) = (self.core.upgrade(), self.error.take()) {
            core.drop_user(error, "user's error");
        }
    }
}

impl Source for ProcessState {
    fn note(&self, _: Key, _: Readiness) -> bool {
        !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        self.reap(core);
        self.finish_if_over(core);
    }

    fn prepare_close(self: Rc<Self>, _: &Rc<Core>) {
        if self.kill_on_close {
            self.kill();
        }
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        self.part(core);
    }
}

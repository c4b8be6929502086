//! Running a program to its end for what it writes.
//!
//! Such a child gives a result and nothing else: there is no protocol to call, and no transport to
//! use. So its pipes are read into the result directly, and its exit is looked for when they have
//! ended. Most programs have exited by then; only the others need a descriptor for the exit.

mod pipes;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::process::{ExitStatus, Output};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal};

use self::pipes::{End, Pipes, Turn, Which};
use super::exit::{self, ExitWatch};
use super::partial_output::PartialOutput;
use super::prepare::{OurEnd, Prepared};
use super::protocol::ChildFd;
use super::settings::ProcessSettings;
use super::spawn::{START_PROCESSES, Slot, not_watched};
use crate::driver::{Key, OsDriver, PolledPipe, Readiness};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Ready, Source, TimerHandle};
use crate::task::Promise;
use crate::timeout::TimeoutKind;

/// A child whose output is collected until it has exited and its pipes have ended.
pub(super) struct Collecting {
    /// The slot of its exit and of the first of its outputs: the exit is reported when that output
    /// has ended.
    key: Key,
    leads_group: bool,
    exit: RefCell<Exit>,
    pipes: RefCell<Pipes>,
    /// The first to end the run takes it out.
    promise: Cell<Option<Promise<Output>>>,
    deadline: Cell<Option<TimerHandle>>,
    /// In the ready list.
    queued: Cell<bool>,
}

enum Exit {
    /// Nothing reports it yet. The id is the child's: it was not waited for.
    Unwatched(Pid),
    Watched(ExitWatch),
    /// The child was waited for.
    Known,
}

/// Starts a program. Its result goes to nobody before [`Collecting::begin`].
pub(super) fn start(
    core: &Rc<Core>,
    settings: Box<ProcessSettings>,
    input: Bytes,
    output_limit: usize,
) -> Result<Rc<Collecting>, Error> {
    core.check_open()?;
    let driver = core.driver.require_os(START_PROCESSES)?;
    let leads_group = settings.process_group == Some(0);
    let prepared = Prepared::new(settings)?;
    let slot = Slot::reserve(core)?;
    let (child, ours) = prepared.spawn()?;
    let run = Rc::new(Collecting {
        key: slot.key,
        leads_group,
        exit: RefCell::new(Exit::Unwatched(child.id())),
        pipes: RefCell::new(Pipes::new(input, output_limit)),
        promise: Cell::new(None),
        deadline: Cell::new(None),
        queued: Cell::new(false),
    });
    slot.fill(Rc::clone(&run) as Rc<dyn Source>);
    if let Err(error) = run.connect(core, driver, ours) {
        run.exit.replace(Exit::Known);
        run.close_pipes(core);
        core.free_slot(run.key);
        return Err(error);
    }
    child.keep();
    Ok(run)
}

impl Collecting {
    /// From now on there is somebody to whom the result goes.
    pub(super) fn begin(
        self: Rc<Self>,
        core: &Rc<Core>,
        promise: Promise<Output>,
        timeout: Option<Duration>,
    ) {
        let (own, run) = (Rc::clone(core), Rc::clone(&self));
        promise.on_cancel_at_once(move || run.abandon(&own));
        self.promise.set(Some(promise));
        if let Some(timeout) = timeout {
            let (own, run) = (Rc::clone(core), Rc::clone(&self));
            let event_loop = EventLoop::from_core(Rc::clone(core));
            let deadline = event_loop.call_later(timeout, move || run.time_out(&own));
            self.deadline.set(Some(deadline));
        }
        self.turn(core, Which::Stdin);
        self.look_if_over(core);
    }

    fn connect(
        self: &Rc<Self>,
        core: &Rc<Core>,
        driver: &OsDriver,
        ours: Vec<OurEnd>,
    ) -> Result<(), Error> {
        let mut is_free = true;
        for OurEnd { fd, pipe, direction } in ours {
            let which = match fd {
                ChildFd::STDIN => Which::Stdin,
                ChildFd::STDOUT => Which::Stdout,
                _ => Which::Stderr,
            };
            let key = if which != Which::Stdin && std::mem::take(&mut is_free) {
                self.key
            } else {
                let slot = Slot::reserve(core)?;
                let key = slot.key;
                slot.fill(Rc::clone(self) as Rc<dyn Source>);
                key
            };
            let pipe = PolledPipe::register_new(driver, pipe, direction, key).map_err(|error| {
                self.free_slot(core, key);
                Error::io("a child's pipe cannot be used", error)
            })?;
            self.pipes.borrow_mut().insert(which, key, pipe);
        }
        Ok(())
    }

    /// Reads or writes a pipe, if it is ready.
    fn turn(self: &Rc<Self>, core: &Rc<Core>, which: Which) {
        let turn = self.pipes.borrow_mut().turn(which);
        match turn {
            Turn::Waits => {}
            Turn::Again => self.enqueue(core),
            Turn::Ended(end) => {
                self.close_pipe(core, end);
                if which == Which::Stdin {
                    self.drop_input(core);
                }
            }
            Turn::TooMuch => {
                let limit = self.pipes.borrow().limit();
                let text = format!("the program wrote more than {limit} bytes");
                self.fail(core, Kind::OutputLimit, text);
            }
        }
    }

    fn enqueue(self: &Rc<Self>, core: &Core) {
        if !self.queued.replace(true) {
            core.push_ready(Ready::Source(Rc::clone(self) as Rc<dyn Source>));
        }
    }

    fn look_if_over(self: &Rc<Self>, core: &Rc<Core>) {
        if self.pipes.borrow().are_over() {
            self.look(core);
        }
    }

    /// Looks whether the child has exited. If not, its exit is reported from now on.
    fn look(self: &Rc<Self>, core: &Rc<Core>) {
        let status = match &*self.exit.borrow() {
            Exit::Unwatched(pid) => exit::look(*pid),
            Exit::Watched(watch) => watch.try_wait(),
            Exit::Known => return,
        };
        if let Some(status) = status {
            self.exited(core, status);
        } else if let Some(pid) = self.unwatched() {
            self.watch(core, pid);
        }
    }

    #[cold]
    fn watch(self: &Rc<Self>, core: &Rc<Core>, pid: Pid) {
        match ExitWatch::begin(core, self.key, pid) {
            Ok(watch) => {
                let is_gone = watch.is_gone();
                self.exit.replace(Exit::Watched(watch));
                if is_gone {
                    self.look(core);
                }
            }
            Err(error) => {
                exit::destroy(pid);
                self.exit.replace(Exit::Known);
                self.let_go(core);
                if let Some(promise) = self.promise.take() {
                    let pid = pid.as_raw_nonzero().get().unsigned_abs();
                    promise.set(Err(not_watched(pid, error)));
                }
            }
        }
    }

    fn exited(self: &Rc<Self>, core: &Rc<Core>, status: ExitStatus) {
        let watch = self.exit.replace(Exit::Known);
        drop(watch);
        self.let_go(core);
        if let Some(promise) = self.promise.take() {
            let [stdout, stderr] = self.pipes.borrow_mut().take_output();
            promise.set(Ok(Output { status, stdout, stderr }));
        }
    }

    /// Nothing is expected of the child any more.
    fn let_go(&self, core: &Rc<Core>) {
        self.cancel_deadline();
        core.free_slot(self.key);
    }

    /// It has to end. If it just has, in time, that counts.
    fn time_out(self: &Rc<Self>, core: &Rc<Core>) {
        self.pipes.borrow().look_again();
        Rc::clone(self).run(core);
        let kind = TimeoutKind::Process;
        self.fail(core, Kind::Timeout(kind), kind.text());
    }

    fn fail(self: &Rc<Self>, core: &Rc<Core>, kind: Kind, text: impl Into<Cow<'static, str>>) {
        if let Some(promise) = self.promise.take() {
            let [stdout, stderr] = self.pipes.borrow_mut().take_output();
            self.abandon(core);
            promise.set(Err(Error::with_source(kind, text, PartialOutput { stdout, stderr })));
        }
    }

    /// Nobody waits for the result any more: the child is killed, and waited for when it has died.
    fn abandon(self: &Rc<Self>, core: &Rc<Core>) {
        drop(self.promise.take());
        self.cancel_deadline();
        self.close_pipes(core);
        match self.unwatched() {
            // It may have exited and left others: they are its group until it is waited for.
            Some(pid) if self.leads_group && exit::is_child(pid) => self.watch(core, pid),
            _ => self.look(core),
        }
        if let Exit::Watched(watch) = &*self.exit.borrow() {
            let kill = if self.leads_group { ExitWatch::signal_group } else { ExitWatch::signal };
            // What cannot be killed (it runs as another user) is waited for all the same.
            let _ = kill(watch, Signal::KILL);
        }
    }

    fn unwatched(&self) -> Option<Pid> {
        match &*self.exit.borrow() {
            Exit::Unwatched(pid) => Some(*pid),
            Exit::Watched(_) | Exit::Known => None,
        }
    }

    fn close_pipes(&self, core: &Rc<Core>) {
        loop {
            let end = self.pipes.borrow_mut().take_end();
            let Some(end) = end else { break };
            self.close_pipe(core, end);
        }
        self.drop_input(core);
    }

    fn close_pipe(&self, core: &Rc<Core>, end: End) {
        // Closing the descriptor deregisters it.
        self.free_slot(core, end.key);
    }

    fn free_slot(&self, core: &Rc<Core>, key: Key) {
        if key != self.key {
            core.free_slot(key);
        }
    }

    /// The user's memory.
    fn drop_input(&self, core: &Rc<Core>) {
        let input = self.pipes.borrow_mut().take_input();
        core.drop_user(input, "buffer");
    }

    fn cancel_deadline(&self) {
        if let Some(deadline) = self.deadline.take() {
            deadline.cancel();
        }
    }
}

impl Source for Collecting {
    fn note(&self, key: Key, readiness: Readiness) -> bool {
        self.pipes.borrow().note(key, readiness);
        !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        for which in Which::ALL {
            self.turn(core, which);
        }
        self.look_if_over(core);
    }

    fn prepare_close(self: Rc<Self>, core: &Rc<Core>) {
        self.abandon(core);
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        self.abandon(core);
        let watch = self.exit.replace(Exit::Known);
        if let Exit::Watched(watch) = watch {
            watch.part(true);
        }
        core.free_slot(self.key);
    }
}

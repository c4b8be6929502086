//! Whether a host is on, off, or stands still.

use std::rc::Rc;

use rustix::io::Errno;

use super::Host;
use crate::driver::Driver;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::fence;
use crate::sim::fault::Fault;
use crate::sim::simulation::Shared;
use crate::sim::trace::TraceEvent;

impl Host {
    /// The cable is pulled: its programs end where they are, and nothing that they send from now on leaves it. Who is
    /// connected hears nothing. Nothing happens to one that has crashed; one that was killed still had power.
    pub fn crash(&self) {
        self.note(Fault::Crash, self.has_network());
        self.end(true);
    }

    /// `kill -9`: its programs end where they are, and its kernel closes their connections. Nothing happens to one that
    /// is off.
    pub fn kill(&self) {
        self.note(Fault::Kill, self.is_on());
        self.end(false);
    }

    /// Begins its programs anew, after a [`crash`](Self::crash) or a [`kill`](Self::kill), or in the middle of them as
    /// after a kill.
    pub fn restart(&self) {
        self.note(Fault::Restart, true);
        self.end(false);
        self.begin();
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.shared.event_loop.borrow().is_some()
    }

    /// Its loop stands still, as that of a process that is stopped; what arrives waits in its sockets.
    pub fn pause(&self) {
        self.note(Fault::Pause, !self.shared.is_paused.get());
        self.set_paused(true);
    }

    /// Its loop goes on.
    pub fn resume(&self) {
        self.note(Fault::Resume, self.shared.is_paused.get());
        self.go_on();
    }

    /// It is turned on: its programs begin.
    pub(super) fn begin(&self) {
        let Some(simulation) = self.shared.simulation.upgrade() else { return };
        if simulation.is_over() {
            return;
        }
        let starts = self.shared.starts.get();
        self.shared.machine.set_seed(self.shared.seed.wrapping_add(u64::from(starts) << 32));
        let driver = Driver::in_memory(self.shared.machine.clone());
        let event_loop = EventLoop::owner(Core::new(driver, 1, 1));
        self.watch(&event_loop, &simulation);
        simulation.links.set_down(self.shared.id, false);
        if let Some(disk) = self.shared.disk.get() {
            disk.begin_run();
        }
        self.shared.starts.set(starts + 1);
        for program in self.shared.programs.borrow().iter().filter(|program| !program.is_done.get())
        {
            self.shared.run(&event_loop, Rc::clone(program));
        }
        let former = self.shared.event_loop.replace(Some(event_loop));
        self.set_paused(false);
        // Drop code of the programs that have just ended has restarted it, too.
        drop(former);
    }

    /// What its loop reports is a failure of the simulation.
    fn watch(&self, event_loop: &EventLoop, simulation: &Rc<Shared>) {
        let (host, owner) = (Rc::downgrade(&self.shared), Rc::downgrade(simulation));
        event_loop.set_exception_handler(move |_, exception| {
            let (Some(host), Some(owner)) = (host.upgrade(), owner.upgrade()) else { return };
            if exception.error.is_some_and(is_shortage) {
                // A server goes on by itself: its kernel was told to be short.
                let at = owner.network.elapsed();
                let text = format!("{}: {exception}", host.name);
                owner.trace.add(TraceEvent::Note { at, text });
            } else if host.has_power() {
                owner.fail(&host.name, exception.to_string());
            }
        });
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.shared.is_paused.set(is_paused);
        self.shared.machine.set_running(!is_paused);
    }

    /// It is turned off, with its network if that `is_crash`.
    pub(super) fn end(&self, is_crash: bool) {
        self.shared.signals.take();
        let event_loop = self.shared.event_loop.take();
        if event_loop.is_none() && !(is_crash && self.has_network()) {
            return;
        }
        let Some(simulation) = self.shared.simulation.upgrade() else { return };
        if is_crash {
            simulation.links.set_down(self.shared.id, true);
            self.shared.machine.forget_connections();
        }
        // Before its programs are dropped: what they do then is not written.
        if let Some(disk) = self.shared.disk.get() {
            disk.end_run(is_crash);
        }
        // What it does while it is closed is no failure.
        if let Some(event_loop) = &event_loop {
            event_loop.set_exception_handler(|_, _| {});
        }
        drop(event_loop);
    }

    /// Whether it has power: its kernel answers, if nobody else does.
    fn has_network(&self) -> bool {
        let simulation = self.shared.simulation.upgrade();
        simulation.is_some_and(|simulation| !simulation.links.is_down(self.shared.id))
    }

    /// The end of the simulation.
    pub(in crate::sim) fn close(&self) {
        self.end(true);
        // Drop code may use the host, and panic: what happens at the end is no failure.
        let programs = self.shared.programs.take();
        drop(fence::run(|| drop(programs)));
    }
}

/// Whether there was no descriptor.
fn is_shortage(error: &Error) -> bool {
    let code = error.io_error().and_then(std::io::Error::raw_os_error);
    code == Some(Errno::MFILE.raw_os_error())
}

//! Signals that the process of a host gets.

use super::Host;
use crate::signal::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM,
    SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use crate::sim::fault::Fault;

/// The signals that scripts name.
const NAMES: [(i32, &str); 14] = [
    (SIGALRM, "SIGALRM"),
    (SIGCHLD, "SIGCHLD"),
    (SIGCONT, "SIGCONT"),
    (SIGHUP, "SIGHUP"),
    (SIGINT, "SIGINT"),
    (SIGKILL, "SIGKILL"),
    (SIGPIPE, "SIGPIPE"),
    (SIGQUIT, "SIGQUIT"),
    (SIGSTOP, "SIGSTOP"),
    (SIGTERM, "SIGTERM"),
    (SIGTSTP, "SIGTSTP"),
    (SIGUSR1, "SIGUSR1"),
    (SIGUSR2, "SIGUSR2"),
    (SIGWINCH, "SIGWINCH"),
];

/// What a signal does by default.
enum Action {
    End,
    Stop,
    Nothing,
}

impl Host {
    /// Its process gets a signal: a number of [`signal`](crate::signal).
    ///
    /// What its programs have for that is called, as on a loop of the operating system: handlers of
    /// [`add_signal_handler`](crate::EventLoop::add_signal_handler) and streams of
    /// [`signals`](crate::EventLoop::signals). Without any it does what it does by default: `SIGTERM`, `SIGINT`, `SIGHUP`
    /// and most others end the programs as [`kill`](Self::kill) does. `SIGTSTP` [pauses](Self::pause) the host; `SIGCHLD`,
    /// `SIGWINCH`, `SIGCONT`, and `SIGPIPE`, which programs in Rust ignore, do nothing.
    ///
    /// `SIGKILL` and `SIGSTOP` cannot be handled: they are [`kill`](Self::kill) and [`pause`](Self::pause). `SIGCONT` lets a
    /// host that stands still go on. What else comes to one that stands still waits until then, each signal once. Nothing
    /// happens to one that is off.
    ///
    /// A [`run`](crate::EventLoop::run) of a process drops its program at `SIGINT`, which ends then: here that is the kill.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::signal::SIGTERM;
    /// use wharf::sim::Simulation;
    ///
    /// # fn main() -> wharf::Result {
    /// let simulation = Simulation::new(7);
    /// let server = simulation.host("server");
    /// server.start(async |event_loop| {
    ///     // Says good-bye, and ends.
    ///     event_loop.signals([SIGTERM])?.next().await;
    ///     Ok(())
    /// });
    /// simulation.after(Duration::from_secs(1), move |_| server.signal(SIGTERM));
    /// simulation.run()?;
    /// assert_eq!(simulation.elapsed(), Duration::from_secs(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn signal(&self, signal: i32) {
        if !(1..=LAST).contains(&signal) {
            if let Some(simulation) = self.shared.simulation.upgrade() {
                simulation.fail(self.name(), format!("{signal} is no signal"));
            }
            return;
        }
        if self.is_on() {
            self.note(|name| Fault::Signal(name, signal), true);
            self.take_signal(signal);
        }
    }

    fn take_signal(&self, signal: i32) {
        match signal {
            SIGKILL => return self.end(false),
            SIGSTOP => return self.set_paused(true),
            SIGCONT => self.go_on(),
            _ => {}
        }
        let event_loop = self.shared.event_loop.borrow().as_ref().cloned();
        let Some(event_loop) = event_loop else { return };
        if self.shared.is_paused.get() {
            let mut waiting = self.shared.signals.borrow_mut();
            if !waiting.contains(&signal) {
                waiting.push(signal);
            }
            return;
        }
        let core = event_loop.core();
        if core.signal_handlers.simulate(core, signal) {
            return;
        }
        match by_default(signal) {
            Action::End => {
                drop(event_loop);
                self.end(false);
            }
            Action::Stop => self.set_paused(true),
            Action::Nothing => {}
        }
    }

    /// It stands still no more, and gets what has come meanwhile.
    pub(super) fn go_on(&self) {
        self.set_paused(false);
        for signal in self.shared.signals.take() {
            self.take_signal(signal);
        }
    }
}

/// The last that is not a real-time signal.
const LAST: i32 = 31;

fn by_default(signal: i32) -> Action {
    match signal {
        SIGTSTP => Action::Stop,
        SIGCHLD | SIGCONT | SIGPIPE | SIGWINCH => Action::Nothing,
        _ => Action::End,
    }
}

/// As scripts have it.
pub(in crate::sim) fn name_of(signal: i32) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == signal);
    known.map_or_else(|| signal.to_string(), |(_, name)| (*name).to_owned())
}

pub(in crate::sim) fn named(text: &str) -> Option<i32> {
    let known = NAMES.iter().find(|(_, name)| *name == text);
    let number = || text.parse().ok().filter(|number| (1..=LAST).contains(number));
    known.map(|(number, _)| *number).or_else(number)
}

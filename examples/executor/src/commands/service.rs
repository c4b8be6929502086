//! What a service manager is told (`sd_notify`). Without one, nothing is said.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use sd_notify::NotifyState;
use wharf::EventLoop;

/// Who is told. Clones tell the same one.
#[derive(Clone)]
pub(super) struct Manager {
    line: Option<Rc<Line>>,
}

/// The socket is made once: a coordinator that is out of descriptors would be taken for one that hangs.
struct Line {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    /// The one that has started this process.
    pub(super) fn new() -> io::Result<Self> {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(Self { line: None }) };
        let line = Line { socket: UnixDatagram::unbound()?, path: path.into() };
        Ok(Self { line: Some(Rc::new(line)) })
    }

    /// It serves.
    pub(super) fn is_ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It reads its configuration again, or restarts; `is_ready` follows.
    pub(super) fn reloads(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// It ends.
    pub(super) fn stops(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Says that the loop goes round, if the service manager wants to hear it (`WatchdogSec=`).
    pub(super) fn watch(&self, event_loop: &EventLoop) {
        if let Some(period) = sd_notify::watchdog_enabled() {
            self.every(event_loop, period / 2);
        }
    }

    fn every(&self, event_loop: &EventLoop, period: Duration) {
        match self.send(&[NotifyState::Watchdog], false) {
            // It has not heard the last ones yet, which say the same.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            told => report(told),
        }
        let (manager, again) = (self.clone(), event_loop.clone());
        event_loop.call_later(period, move || manager.every(&again, period));
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        report(self.send(states, true));
    }

    fn send(&self, states: &[NotifyState<'_>], waits: bool) -> io::Result<()> {
        let Some(line) = &self.line else { return Ok(()) };
        let mut text = String::new();
        for state in states {
            // A string takes everything.
            let _ = writeln!(text, "{state}");
        }
        line.socket.set_nonblocking(!waits)?;
        line.socket.send_to(text.as_bytes(), &line.path).map(drop)
    }
}

fn report(told: io::Result<()>) {
    if let Err(error) = told {
        eprintln!("the service manager cannot be told: {error}");
    }
}

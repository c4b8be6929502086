//! A process protocol that records what is called, and looks at children from outside.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;

use wharf::{ChildFd, Error, ProcessProtocol, ProcessTransport, Result};

/// A callback that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Made,
    Data(ChildFd),
    PipeLost(ChildFd, Option<ErrorKind>),
    Exited(ExitStatus),
    Pause(ChildFd),
    Resume(ChildFd),
    Lost(Option<String>),
}

/// What an [`Observer`] saw; clones share it.
#[derive(Clone, Default)]
pub struct Log(Rc<State>);

type Reaction = Box<dyn FnMut(&Event, &dyn ProcessTransport) -> Result>;

#[derive(Default)]
struct State {
    events: RefCell<Vec<Event>>,
    stdout: RefCell<Vec<u8>>,
    stderr: RefCell<Vec<u8>>,
    other: RefCell<Vec<u8>>,
    drops: Cell<u32>,
    reaction: Cell<Option<Reaction>>,
}

impl Log {
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `reaction` called in every callback.
    pub fn reacting(
        reaction: impl FnMut(&Event, &dyn ProcessTransport) -> Result + 'static,
    ) -> Self {
        let log = Self::default();
        log.0.reaction.set(Some(Box::new(reaction)));
        log
    }

    /// A factory of an observer with this log.
    pub fn factory(&self) -> impl FnOnce() -> Observer + use<> {
        let log = self.clone();
        || Observer(log)
    }

    pub fn events(&self) -> Vec<Event> {
        self.0.events.borrow().clone()
    }

    /// The events, with neighbouring data of one pipe as one.
    pub fn order(&self) -> Vec<Event> {
        let mut events = self.events();
        events.dedup_by(|second, first| matches!(first, Event::Data(_)) && first == second);
        events
    }

    pub fn has(&self, event: &Event) -> bool {
        self.0.events.borrow().contains(event)
    }

    pub fn stdout(&self) -> Vec<u8> {
        self.0.stdout.borrow().clone()
    }

    pub fn stderr(&self) -> Vec<u8> {
        self.0.stderr.borrow().clone()
    }

    /// What came from other pipes.
    pub fn other(&self) -> Vec<u8> {
        self.0.other.borrow().clone()
    }

    pub fn is_lost(&self) -> bool {
        self.0.events.borrow().iter().any(|event| matches!(event, Event::Lost(_)))
    }

    pub fn has_exited(&self) -> bool {
        self.0.events.borrow().iter().any(|event| matches!(event, Event::Exited(_)))
    }

    /// How often an observer with this log was dropped.
    pub fn drops(&self) -> u32 {
        self.0.drops.get()
    }
}

/// The protocol that writes a [`Log`].
pub struct Observer(Log);

impl Observer {
    /// Notes a callback, and checks that it may come now.
    fn note(&self, event: Event, process: &dyn ProcessTransport) -> Result {
        let state = &*self.0.0;
        {
            let mut events = state.events.borrow_mut();
            let first = events.is_empty();
            assert_eq!(first, event == Event::Made, "{event:?} after {events:?}");
            let lost = events.iter().any(|event| matches!(event, Event::Lost(_)));
            assert!(!lost, "{event:?} after {events:?}");
            if let Event::Data(fd) | Event::PipeLost(fd, _) = &event {
                let gone =
                    |event: &Event| matches!(event, Event::PipeLost(other, _) if other == fd);
                assert!(!events.iter().any(gone), "{event:?} after {events:?}");
            }
            events.push(event.clone());
        }
        let Some(mut reaction) = state.reaction.take() else { return Ok(()) };
        let outcome = reaction(&event, process);
        state.reaction.set(Some(reaction));
        outcome
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let drops = &self.0.0.drops;
        drops.set(drops.get() + 1);
    }
}

impl ProcessProtocol for Observer {
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        self.note(Event::Made, process)
    }

    fn pipe_data_received(
        &mut self,
        process: &dyn ProcessTransport,
        fd: ChildFd,
        data: &[u8],
    ) -> Result {
        assert!(!data.is_empty());
        let state = &*self.0.0;
        let output = match fd {
            ChildFd::STDOUT => &state.stdout,
            ChildFd::STDERR => &state.stderr,
            _ => &state.other,
        };
        output.borrow_mut().extend_from_slice(data);
        self.note(Event::Data(fd), process)
    }

    fn pipe_connection_lost(
        &mut self,
        process: &dyn ProcessTransport,
        fd: ChildFd,
        error: Option<&Error>,
    ) -> Result {
        assert!(process.pipe_transport(fd).is_none(), "it is gone");
        self.note(Event::PipeLost(fd, error.and_then(Error::io_kind)), process)
    }

    fn process_exited(&mut self, process: &dyn ProcessTransport, status: ExitStatus) -> Result {
        assert_eq!(process.exit_status(), Some(status));
        self.note(Event::Exited(status), process)
    }

    fn pause_writing(&mut self, process: &dyn ProcessTransport, fd: ChildFd) -> Result {
        process.hold_reading();
        self.note(Event::Pause(fd), process)
    }

    fn resume_writing(&mut self, process: &dyn ProcessTransport, fd: ChildFd) -> Result {
        self.note(Event::Resume(fd), process)
    }

    fn connection_lost(&mut self, process: &dyn ProcessTransport, error: Option<&Error>) -> Result {
        self.note(Event::Lost(error.map(ToString::to_string)), process)
    }
}

/// The status of a child that has called `exit` with `code`.
pub fn code(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

/// The status of a child that a signal has ended.
pub fn killed_by(signal: i32) -> ExitStatus {
    ExitStatus::from_raw(signal)
}

/// The state of a process, as one letter of the system's: `Z` for a zombie; `None`: there is none.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may contain anything, and is in parentheses.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process runs: it is there, and no zombie.
pub fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

//! Where everything is shown: standard output and standard error.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wharf::{ChildFd, EventLoop, ProcessHandle, ProcessTransport, Result, TransportId};

use wharf_examples::output::{Outcome, Output};

/// Both streams, and the programs whose output they show.
///
/// While the reader of a stream is behind, that stream of all programs is not read: their pipes fill
/// up, and they wait, as they would if they wrote to the reader themselves.
pub(crate) struct Screen {
    standard_output: Output,
    standard_error: Output,
    running: Running,
    has_failed: Cell<bool>,
}

type Running = Rc<RefCell<BTreeMap<TransportId, ProcessHandle>>>;

impl Screen {
    pub(crate) async fn open(event_loop: &EventLoop) -> Result<Rc<Self>> {
        let screen = Self {
            standard_output: Output::standard_output(event_loop).await?,
            standard_error: Output::standard_error(event_loop).await?,
            running: Running::default(),
            has_failed: Cell::new(false),
        };
        for fd in [ChildFd::STDOUT, ChildFd::STDERR] {
            let running = Rc::clone(&screen.running);
            screen.stream(fd).on_pace(move |is_behind| {
                for process in running.borrow().values() {
                    match is_behind {
                        true => process.pause_reading(fd),
                        false => process.resume_reading(fd),
                    }
                }
            });
        }
        Ok(Rc::new(screen))
    }

    /// Has `told` called with the reason when one of the streams cannot be written to any more.
    pub(crate) fn on_failure(self: &Rc<Self>, told: impl Fn(&str) + Clone + 'static) {
        for (fd, name) in [(ChildFd::STDOUT, "output"), (ChildFd::STDERR, "error")] {
            let (own, told) = (Rc::downgrade(self), told.clone());
            self.stream(fd).on_failure(move |reason| {
                if let Some(own) = own.upgrade() {
                    own.has_failed.set(true);
                }
                told(&format!("standard {name}: {reason}"));
            });
        }
    }

    /// Shows what a program writes, at the pace of the readers.
    pub(crate) fn begin(&self, process: &dyn ProcessTransport) {
        for fd in [ChildFd::STDOUT, ChildFd::STDERR] {
            if self.stream(fd).is_behind() {
                process.pause_reading(fd);
            }
        }
        self.running.borrow_mut().insert(process.id(), process.handle());
    }

    pub(crate) fn end(&self, process: &dyn ProcessTransport) {
        self.running.borrow_mut().remove(&process.id());
    }

    /// Whether a reader is behind, so that programs may have to wait.
    pub(crate) fn is_behind(&self) -> bool {
        self.standard_output.is_behind() || self.standard_error.is_behind()
    }

    pub(crate) fn print_line(&self, fd: ChildFd, prefix: &str, line: &[u8]) {
        self.stream(fd).write(&[prefix.as_bytes(), line, b"\n"].concat());
    }

    /// Says something about the programs.
    pub(crate) fn say(&self, what: &str) {
        self.standard_error.write(format!("supervise: {what}\n").as_bytes());
    }

    /// Waits until all is shown, but not longer than `limit` for each stream.
    pub(crate) async fn finish(&self, limit: Duration) -> Outcome {
        let outcome = self.standard_output.finish(limit).await;
        if let Err(reason) = &outcome
            && !self.has_failed.get()
        {
            self.say(&format!("standard output: {reason}"));
        }
        outcome.and(self.standard_error.finish(limit).await)
    }

    fn stream(&self, fd: ChildFd) -> &Output {
        match fd {
            ChildFd::STDERR => &self.standard_error,
            _ => &self.standard_output,
        }
    }
}

//! The child processes of a loop.

#[cfg(any(pidfd, test))]
use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use super::ProcessHandle;
use super::state::ProcessState;
use crate::driver::{Key, TransportId};
use crate::event_loop::EventLoop;

/// The child processes of a loop whose `connection_lost` was not called yet.
#[derive(Default)]
pub(crate) struct ProcessTable {
    /// In the order of the keys. The memory stays for the next child.
    processes: RefCell<Vec<Rc<ProcessState>>>,
    /// The system has no pidfds, though it is Linux.
    #[cfg(any(pidfd, test))]
    with_threads: Cell<bool>,
}

impl ProcessTable {
    pub(super) fn insert(&self, process: &Rc<ProcessState>) {
        let mut processes = self.processes.borrow_mut();
        if let Err(place) = search(&processes, process.key()) {
            processes.insert(place, Rc::clone(process));
        }
    }

    pub(super) fn remove(&self, key: Key) {
        let mut processes = self.processes.borrow_mut();
        let removed = search(&processes, key).ok().map(|place| processes.remove(place));
        drop(processes);
        drop(removed);
    }

    fn find(&self, key: Key) -> Option<Rc<ProcessState>> {
        let processes = self.processes.borrow();
        search(&processes, key).ok().map(|place| Rc::clone(&processes[place]))
    }

    #[cfg(pidfd)]
    pub(super) fn waits_with_threads(&self) -> bool {
        self.with_threads.get()
    }

    #[cfg(any(pidfd, test))]
    pub(super) fn wait_with_threads(&self) {
        self.with_threads.set(true);
    }
}

/// # Child processes by identity
impl EventLoop {
    /// The handle of a child process by its identity; `None` when it is gone.
    ///
    /// The way to a child for other threads: they keep the id, and ask inside
    /// [`Remote::call_soon_threadsafe`](crate::Remote::call_soon_threadsafe).
    pub fn process(&self, id: TransportId) -> Option<ProcessHandle> {
        let process = self.core().processes.find(id.0)?;
        Some(ProcessHandle::new(Rc::clone(self.core()), process))
    }
}

/// Where the process is, or would be.
fn search(processes: &[Rc<ProcessState>], key: Key) -> Result<usize, usize> {
    processes.binary_search_by_key(&key, |process| process.key())
}

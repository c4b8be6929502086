//! Tasks of the kind `exec`: they run programs.
//!
//! A program runs in a process group of its own. What it writes is the task's output: when much of that is not sent yet,
//! the program waits. It ends with its task: when the task is cancelled or takes too long, the group gets SIGTERM, and after
//! a grace SIGKILL; and when the program has exited, what is left in its group gets SIGKILL.
//!
//! When the worker dies, whatever of, its programs are ended by its [warden]. The system could only signal direct
//! children (`PR_SET_PDEATHSIG`), and that would take unsafe code in the child.

mod arguments;
mod run;
#[cfg(test)]
mod tests;
mod warden;

use std::rc::Rc;

pub use arguments::{ExecArguments, ExecLimits};

use super::functions::{End, Functions, Runner, Running};
use crate::task::InvalidName;
use warden::Warden;

impl Functions {
    /// Tasks of the kind `exec` are run: programs, with [`ExecArguments`]. Whoever may submit can do everything then that
    /// this process's user can, so no worker does this by itself.
    ///
    /// The result is `{"status": 0}`; another status and a signal are errors, with the end of what was written to standard
    /// error.
    ///
    /// # Errors
    /// None: `exec` is a name.
    pub fn enable_exec(&mut self) -> Result<&mut Self, InvalidName> {
        let warden = Rc::new(Warden::new());
        let run = move |call| {
            let running: Running = Box::pin(run::run(call, Rc::clone(&warden)));
            running
        };
        self.insert("exec", Runner { run: Rc::new(run), end: End::Itself })
    }
}

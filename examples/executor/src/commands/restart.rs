//! A coordinator is replaced by a new process image, which takes over what listens.
//!
//! The image is executed in the same process (`exec`): whoever supervises it sees no change, also where it is the first
//! process of a container. The store is closed, and its lock given up, before that; what listens stays open, so that
//! whoever connects meanwhile waits and is not refused.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use wharf::{EventLoop, Result};

use super::listening::Listener;
use crate::store::FORMAT;

/// The program that follows, with the same arguments.
pub(super) struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// How long a program may look at its options.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first descriptor that is passed, as `sd_listen_fds` has it.
const FIRST: i32 = 3;

impl Successor {
    /// What is at the path that this program was started from, whatever that will be.
    pub(super) fn new() -> Result<Self> {
        let given = std::env::args_os().skip(1);
        // Whether it drains by then is told by the variable.
        let arguments = given.filter(|argument| argument != "--draining").collect();
        Ok(Self { program: std::env::current_exe()?, arguments })
    }

    /// Has the program look at its options, certificates and tokens. Nothing has happened if it does not like them.
    ///
    /// # Errors
    /// It cannot be run, does not like something, or knows only an older format of the store.
    pub(super) async fn check(&self, event_loop: &EventLoop) -> Result {
        let mut command = event_loop.run_process(&self.program).args(&self.arguments);
        command = command.arg("--check").timeout(PATIENCE);
        let output = command.await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("{} does not start: {why}", self.program.display()).into());
        }
        match said.lines().find_map(|line| line.strip_prefix(CHECKED)?.parse::<u64>().ok()) {
            Some(format) if format >= FORMAT => Ok(()),
            Some(format) => {
                let text = format!("it knows the store's format {format}, and this is {FORMAT}");
                Err(text.into())
            }
            None => Err("it is another program, or an older one that cannot take over".into()),
        }
    }

    /// Becomes the program. `sockets` have the names by which it knows them.
    ///
    /// # Errors
    /// It cannot be executed. This process has nothing left to go on with.
    pub(super) fn execute(
        self,
        sockets: Vec<(&'static str, OwnedFd)>,
        is_draining: bool,
    ) -> Result {
        let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.env(DRAINING, is_draining.to_string());
        command.env("LISTEN_FDS", sockets.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        command.env("LISTEN_PID", std::process::id().to_string());
        let map = |((_, parent_fd), child_fd)| FdMapping { parent_fd, child_fd };
        command.fd_mappings(sockets.into_iter().zip(FIRST..).map(map).collect())?;
        Err(format!("{}: {}", self.program.display(), command.exec()).into())
    }
}

/// The variable that says whether to begin draining.
pub(super) const DRAINING: &str = "WHARF_EXECUTOR_DRAINING";

/// What `--check` says before the number of the format that it knows.
pub(super) const CHECKED: &str = "ready for a store of format ";

/// Descriptors of all that listens.
pub(super) fn sockets_of(listeners: &[Listener]) -> Result<Vec<(&'static str, OwnedFd)>> {
    let mut sockets = Vec::new();
    for listener in listeners {
        for socket in listener.server.duplicate_listeners()? {
            sockets.push((listener.name, socket));
        }
    }
    Ok(sockets)
}

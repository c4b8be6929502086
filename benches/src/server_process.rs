//! A contender while it is measured.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::child_process::ChildProcess;
use crate::contender::{Contender, NGINX};

/// Under valgrind even starting takes a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A contender that listens.
#[derive(Debug)]
pub struct ServerProcess {
    child: ChildProcess,
    process: u32,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts a contender, pinned to `core`, and waits until it listens.
    ///
    /// # Errors
    /// It does not.
    pub fn start(contender: &Contender, core: Option<usize>) -> Result<Self> {
        Self::start_under(&[], contender, core)
    }

    /// Starts a contender under a counting program, whose command line is `wrapper`.
    ///
    /// # Errors
    /// It does not start or listen.
    pub fn start_under(
        wrapper: &[OsString],
        contender: &Contender,
        core: Option<usize>,
    ) -> Result<Self> {
        let mut words = wrapper.iter().cloned().chain(contender.command_line());
        let mut command = Command::new(words.next().ok_or("an empty command line")?);
        command.args(words);
        let child = ChildProcess::spawn(command, core)?;
        let line = child.line(LIMIT)?;
        let address = line
            .strip_prefix("listening on ")
            .ok_or_else(|| format!("{} does not say where it listens: {line}", contender.name))?
            .parse()?;
        if contender.name == NGINX {
            wait_until_it_listens(address)?;
        }
        let process = process_of(&child)?;
        Ok(Self { child, process, address })
    }

    /// The server's process id, also when it runs under a counting program.
    pub fn id(&self) -> u32 {
        self.process
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server with SIGTERM, and waits for it and what it runs under.
    ///
    /// # Errors
    /// It does not end, or not well.
    pub fn stop(self) -> Result {
        let process = Pid::from_raw(self.process.try_into()?).ok_or("process id 0")?;
        kill_process(process, Signal::TERM)?;
        self.child.wait(LIMIT)
    }
}

/// nginx says nothing when it does.
fn wait_until_it_listens(address: SocketAddr) -> Result {
    let until = Instant::now() + LIMIT;
    while let Err(error) = TcpStream::connect(address) {
        if Instant::now() > until {
            return Err(error.into());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Valgrind runs the program in its own process, strace in a child.
fn process_of(child: &ChildProcess) -> Result<u32> {
    let id = child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    match children.split_whitespace().next() {
        Some(grandchild) => Ok(grandchild.parse()?),
        None => Ok(id),
    }
}

//! A child that is killed when nobody wants it any more, and never waited for without limit.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::affinity::spawn_on;
use crate::{Failure, Result};

/// A running child, its output line by line, and its input.
#[derive(Debug)]
pub struct ChildProcess {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl ChildProcess {
    /// Starts `command` on `core`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(mut command: Command, core: Option<usize>) -> Result<Self> {
        let name = command.get_program().display().to_string();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = spawn_on(core, || command.spawn())?;
        let mut child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
        let output = child.stdout.take().ok_or("a piped output is missing")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, child, lines })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of output.
    ///
    /// # Errors
    /// There is none within `limit`, or the output has ended.
    pub fn line(&self, limit: Duration) -> Result<String> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.failure("says nothing"),
            RecvTimeoutError::Disconnected => self.failure("ended too early"),
        })
    }

    /// Sends an empty line.
    ///
    /// # Errors
    /// The child is gone.
    pub fn go_on(&mut self) -> Result {
        let input = self.child.stdin.as_mut().ok_or("a piped input is missing")?;
        input.write_all(b"\n").map_err(|_| self.failure("ended too early"))
    }

    /// Waits until the child has ended by itself.
    ///
    /// # Errors
    /// It does not within `limit`, or it ends with a failure.
    pub fn wait(mut self, limit: Duration) -> Result {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failure(&format!("ended with {status}"))),
                None if Instant::now() > deadline => return Err(self.failure("does not end")),
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn failure(&self, what: &str) -> Failure {
        format!("{} {what}", self.name).into()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

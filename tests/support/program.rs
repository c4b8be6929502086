//! Programs under test, as processes that never outlive their test.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use wharf::EventLoop;

use crate::needs;
use crate::process;
use crate::serving::until;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs: an example of this package, or a foreign peer. Dropping it kills it.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ending {
    /// What `exit` was given; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The lines on standard output that were not taken before.
    pub output: Vec<String>,
    pub errors: String,
}

impl Program {
    /// Starts an example.
    pub fn example(name: &str, arguments: &[&str]) -> Self {
        let path = built(name);
        Self::start(Command::new(&path).args(arguments)).unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build --examples` makes it", path.display())
        })
    }

    /// Starts a program of the system; `None` where [`needs::program`] says that it is missing.
    pub fn foreign(name: &str, arguments: &[&str]) -> Option<Self> {
        if !needs::program(name) {
            return None;
        }
        let program = Self::start(Command::new(name).args(arguments));
        Some(program.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// Starts what `command` says, with its standard streams in our hands.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (line, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().try_for_each(|text| line.send(text.unwrap())));
        let (error, errors) = channel();
        let mut output = child.stderr.take().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            error.send(text)
        });
        let input = child.stdin.take();
        Ok(Self { child, input, lines, errors })
    }

    /// The next line on standard output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line on standard output")
    }

    /// The next line on standard output with `part` in it, waited for on the loop: for a peer that
    /// has to be served before it says something.
    pub async fn line_with(&self, event_loop: &EventLoop, part: &str) -> String {
        let found = RefCell::new(None);
        until(event_loop, part, || {
            let line = self.lines.try_iter().find(|line| line.contains(part));
            let is_found = line.is_some();
            *found.borrow_mut() = line;
            is_found
        })
        .await;
        found.into_inner().expect("a line")
    }

    /// The next lines on standard output until each of `parts` was in one, as
    /// [`line_with`](Self::line_with): for a peer that says them in no certain order.
    pub async fn lines_with(&self, event_loop: &EventLoop, parts: &[&str]) -> Vec<String> {
        let lines = RefCell::new(Vec::<String>::new());
        until(event_loop, &parts.join(", "), || {
            let mut lines = lines.borrow_mut();
            lines.extend(self.lines.try_iter());
            parts.iter().all(|part| lines.iter().any(|line| line.contains(part)))
        })
        .await;
        lines.into_inner()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where a server says it listens.
    pub fn address(&self) -> String {
        let line = self.line();
        line.strip_prefix("listening on ").expect(&line).to_owned()
    }

    pub fn types(&mut self, text: &str) {
        self.input.as_mut().expect("an open standard input").write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    pub fn types_no_more(&mut self) {
        self.input = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it, until a `SIGCONT`.
    pub fn stop(&self) {
        process::stop(Pid::from_child(&self.child));
    }

    /// Its resident memory in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        kibibytes.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// How many descriptors it has open.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ending {
        let mut output = Vec::new();
        // Its outputs end when it does.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            output.push(line);
        }
        let errors = self.errors.recv_timeout(PATIENCE).expect("the program to end");
        let code = self.child.wait().unwrap().code();
        Ending { code, output, errors }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cargo puts an example: `target/PROFILE/examples`, beside the `deps` this test runs from.
pub fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name)
}
